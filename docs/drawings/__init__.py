"""The pictures of docs/how_it_works.md, each a function that returns a figure."""
