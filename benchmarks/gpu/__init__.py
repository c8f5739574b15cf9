"""What a GPU measures, beside what else could have measured it: `make gpu`, `make gpu-full`."""
