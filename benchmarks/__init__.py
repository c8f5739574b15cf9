"""The budgets: each a ratio beside the peer, measured in one run. `make bench` runs them all."""
