"""Published results next to ours: the recipes of conf/experiment, their runs, and the page that compares the two."""
