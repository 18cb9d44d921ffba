"""Many runs from one command line: started, watched, resumed, searched and answered."""
