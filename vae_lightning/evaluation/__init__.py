"""Measuring a trained VAE: each measure, and the table of all metrics (`metrics.py`)."""
