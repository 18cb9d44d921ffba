"""The commands. Each file has a `main()`, which the script of the same name and `vae-lightning <command>` call."""
