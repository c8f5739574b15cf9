"""What a network may come from: each source turns it into a Graph."""
