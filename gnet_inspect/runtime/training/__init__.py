"""Training a network: data to batches, batches to steps, and a run's folder that a kill cannot tear."""
