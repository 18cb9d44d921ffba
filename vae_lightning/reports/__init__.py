"""Reports on many runs: the summary of a sweep, and published results next to ours."""
