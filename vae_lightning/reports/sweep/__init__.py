"""The summary of a sweep: rankings, tables and the page, from the folders of its runs."""
