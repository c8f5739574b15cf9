"""The only rooms that import torch: Graph -> nn.Module, and the checks against it."""
