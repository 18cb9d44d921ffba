from tests.sweeps.sweeping import sweeps

__all__ = ["sweeps"]
