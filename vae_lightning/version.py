"""The version of this package, once: `pyproject.toml` and `results.json` take it from here."""

__version__ = "0.1.0"
