"""Data sets held in memory as uint8, split with a seed; binarisation; loaders whose batch is one index operation."""
