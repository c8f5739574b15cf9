"""Pure functions Graph -> numbers."""
