"""Searching design spaces: all networks that a spec's edits make, counted in arrays, and the best of them, proved."""
