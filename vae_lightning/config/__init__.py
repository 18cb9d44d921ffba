"""From the command line to checked objects: compose the configuration, refuse mistakes, build data set and VAE."""
