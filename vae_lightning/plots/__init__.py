"""Pictures of a VAE."""
