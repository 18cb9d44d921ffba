"""A run on disk: its folder, configuration, checkpoints and results; measuring and drawing it."""
