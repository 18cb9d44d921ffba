"""Killing runs, breaking their disks and cutting their checkpoints: what the short tests and `make chaos` share."""
