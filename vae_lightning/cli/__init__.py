"""The commands: train, evaluate, generate. Each `main()` is what the script of its name and the wheel's command run."""
