"""What is shown, drawn and kept while a VAE trains."""
