"""Graph -> diagrams: what is drawn, as DOT, as svg, png and pdf."""
