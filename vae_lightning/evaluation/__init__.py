"""What is measured of a trained VAE, each usable from Python alone."""
