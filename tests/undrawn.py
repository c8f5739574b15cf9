"""Modules whose weights a test gives itself, or never looks at: drawing those of a VGG takes longer than the test."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from torch import nn
from torch.nn.modules.conv import _ConvNd


@contextmanager
def undrawn() -> Iterator[None]:
    """While it is on, convolutions and linear layers are made with whatever lies in memory for weights."""
    with (
        patch.object(_ConvNd, "reset_parameters", lambda _: None),
        patch.object(nn.Linear, "reset_parameters", lambda _: None),
    ):
        yield
