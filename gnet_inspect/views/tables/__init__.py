"""Results -> the tables of the command line, of Markdown and CSV."""
