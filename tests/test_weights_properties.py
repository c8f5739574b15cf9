"""Properties of loading: drawn specs come back to the bit, and what was changed is reported exactly."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from hypothesis import HealthCheck, given, settings  # after the skips
from hypothesis import strategies as st  # the same

from gnet_inspect.errors import GnetError  # the same
from gnet_inspect.language import parse_spec  # the same
from gnet_inspect.runtime.module import build_module  # the same
from gnet_inspect.runtime.weights import load_weights  # the same
from gnet_inspect.sources.spec import build_graph  # the same
from tests.strategies import Document, specs, to_yaml  # the same
from tests.test_weights import bits, refused, save  # the same

PROFILE = settings(derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))


def drawn(document: Document, mode: str) -> Callable[[], Any] | None:
    """What builds the module of a drawn spec; None where the spec is refused."""
    try:
        graph = build_graph(parse_spec(to_yaml(document), "drawn.yaml"), mode=mode)
    except GnetError:
        return None
    return lambda: build_module(graph)


def folders() -> Iterator[Path]:
    """A folder for one example: pytest's are one for a whole test."""
    with TemporaryDirectory() as folder:
        yield Path(folder)


@settings(PROFILE, max_examples=60)
@given(specs(faults=False), st.sampled_from(("eval", "train")), st.sampled_from((".pth", ".safetensors")))
def test_any_spec_survives_a_round_trip(document: Document, mode: str, ending: str) -> None:
    """Saved and loaded, every tensor is equal to the bit and every name was loaded."""
    make = drawn(document, mode)
    if make is None:
        return
    source, target = make(), make()
    for folder in folders():
        report = load_weights(target, save(folder / f"a{ending}", source.state_dict()))
    assert list(report.loaded) == list(source.state_dict())
    assert report.complete
    assert bits(target) == bits(source)


@settings(PROFILE, max_examples=60)
@given(specs(faults=False), st.sampled_from((".pth", ".safetensors")), st.data())
def test_whatever_is_removed_or_renamed_is_reported_exactly(
    document: Document, ending: str, data: st.DataObject
) -> None:
    """Missing and unexpected names are those that were changed, and strict or not depends on there being any."""
    make = drawn(document, "eval")
    if make is None:
        return
    source, target = make(), make()
    names = [name for name in source.state_dict() if not name.endswith("num_batches_tracked")]
    if not names:
        return
    removed = data.draw(st.sets(st.sampled_from(names)))
    renamed = data.draw(st.sets(st.sampled_from(names))) - removed
    state = {
        f"{key}.renamed" if key in renamed else key: tensor
        for key, tensor in source.state_dict().items()
        if key not in removed
    }
    for folder in folders():
        path = save(folder / f"a{ending}", state)
        before = bits(target)
        if removed | renamed:
            refused(target, path, "Nothing was loaded")
        report = load_weights(target, path, strict=False)
    assert set(report.missing) == removed | renamed
    assert set(report.unexpected) == {f"{key}.renamed" for key in renamed}
    assert report.complete == (not removed | renamed)
    after, wanted = bits(target), bits(source)
    assert all(after[key] == (before if key in report.missing else wanted)[key] for key in after)
