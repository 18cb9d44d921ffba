"""Published results beside ours: recipes of conf/experiment, the runs made of them, and the page that compares the two."""
