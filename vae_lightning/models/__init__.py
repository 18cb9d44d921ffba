"""The VAE and the parts it is made of. Plain torch."""
