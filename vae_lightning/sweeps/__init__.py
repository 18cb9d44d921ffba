"""Many runs from one command line: launching, progress display, resuming and searching."""
