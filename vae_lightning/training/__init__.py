"""One training run, from a complete configuration to `results.json`."""
