"""docs/coverage.md is what its command finds: a sample of its networks goes through the same functions."""

import re
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("torch")
if find_spec("timm") is None:
    pytest.skip("timm is not installed", allow_module_level=True)

from benchmarks import coverage

TEXT = (Path(__file__).parent.parent / "docs" / "coverage.md").read_text(encoding="utf-8")
# What is traced, and what is written down.
PAGE, _, WRITTEN = TEXT.partition("## What is written down")
SAMPLE = (
    *("torchvision:squeezenet1_1", "torchvision:mnasnet0_5", "torchvision:mobilenet_v3_small"),
    *("fpn of mobilenet_v3_large", "torchvision:lraspp_mobilenet_v3_large"),
    *("timm:test_vit3", "timm:test_vit_relpos", "timm:test_efficientnet_ln", "timm:test_convnext", "timm:test_nfnet"),
)


@pytest.mark.torchvision
@pytest.mark.parametrize("name", SAMPLE)
def test_a_network_comes_out_as_the_page_says(name: str, torchvision: ModuleType) -> None:
    """Traced; parameters, multiply-accumulates and outputs equal."""
    result = coverage.examined(name, "sample")
    assert result.is_right == (f"| {name} |" not in PAGE), result


@pytest.mark.torchvision
@pytest.mark.parametrize("name", ["torchvision:squeezenet1_1", "torchvision:mnasnet0_5", "torchvision:swin_v2_t"])
def test_a_classifier_is_written_as_the_page_says(name: str, torchvision: ModuleType) -> None:
    """As a spec and as source, or refused with the reason that stands there."""
    result = coverage.examined(name, coverage.CLASSIFIERS)
    assert (result.spec == result.source == "") == (f"| {name} |" not in WRITTEN), result
    assert not result.spec or f"| {name} | {result.spec} |" in WRITTEN


def test_so_many_classifiers_are_written() -> None:
    """Nine in ten of torchvision's at least."""
    row = re.search(r"^\| torchvision, classification \| 80 \| (\d+) of 80 .*\| (\d+) of (\d+) ", WRITTEN, re.MULTILINE)
    assert row is not None
    assert int(row[1]) >= 72
    assert int(row[2]) >= 0.9 * int(row[3])


def test_the_page_is_of_so_many() -> None:
    """At least three hundred of timm, and all of torchvision's."""
    rows = dict(re.findall(r"^\| (timm|torchvision, \w+|all) \| (\d+) \|", PAGE, re.MULTILINE))
    assert int(rows["timm"]) >= coverage.TIMM
    assert int(rows["torchvision, classification"]) >= 80


def test_a_network_that_is_wrong_is_told() -> None:
    """The page can say so."""
    results = [
        coverage.Result("a", "one", params=True, macs=False, replay=True, note="ours 1, torch's 2"),
        coverage.Result("b", "one", refused="it reads values"),
    ]
    page = coverage.page(results)
    assert "| a | MACs differ | ours 1, torch's 2 |" in page
    assert "| b | refused | it reads values |" in page
    assert "| all | 2 | 1 of 2 (50.0 %) | 1 of 1 (100.0 %) | 0 of 1 (0.0 %) | 1 of 1 (100.0 %) |" in page
