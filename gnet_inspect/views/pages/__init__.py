"""Results -> HTML: a page that needs nothing else, or what the cell of a notebook shows."""
