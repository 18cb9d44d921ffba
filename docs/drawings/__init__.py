"""The figures of docs/how_it_works.md, each drawn by a function that returns a matplotlib figure."""
