"""What the commands print, whole: tests/golden, written anew by `make goldens`."""

from collections.abc import Callable

import pytest

from tests.conftest import Run

OUTPUTS = {
    "summary_googlenet_stage.txt": ["summary", "googlenet", "--depth", "stage"],
    "summary_googlenet_block.txt": ["summary", "googlenet"],
    "summary_googlenet_layer.txt": ["summary", "googlenet", "--depth", "layer"],
    "summary_googlenet_train.txt": ["summary", "googlenet", "--mode", "train", "--dtype", "fp16", "--batch", "8"],
    "summary_train_adam.txt": [
        "summary",
        "googlenet_torchvision",
        "--mode",
        "train",
        "--optimizer",
        "adam",
        "--batch",
        "32",
        "--depth",
        "stage",
    ],
    "summary_googlenet.md": ["summary", "googlenet", "--format", "markdown"],
    "summary_googlenet.csv": ["summary", "googlenet", "--format", "csv"],
    "summary_googlenet_top.txt": ["summary", "googlenet", "--depth", "layer", "--sort", "macs", "--top", "5"],
    "summary_googlenet_torchvision.txt": ["summary", "googlenet_torchvision"],
    "summary_googlenet_d2l.txt": ["summary", "googlenet_d2l"],
    "summary_googlenet_d2l_224.json": ["summary", "googlenet_d2l", "--input", "1x1x224x224", "--format", "json"],
    "flops_googlenet.txt": ["flops", "googlenet"],
    "flops_googlenet.json": ["flops", "googlenet", "--format", "json"],
    "flops_googlenet_train.txt": ["flops", "googlenet_torchvision", "--mode", "train", "--batch", "2"],
    "taps_resnet50.txt": ["taps", "resnet50"],
    "taps_inception_v3.json": ["taps", "inception_v3", "--format", "json"],
    "compare_train.txt": ["compare", "googlenet", "inception_v3", "--mode", "train", "--dtype", "fp16"],
    "compare_vgg16_bn.txt": ["compare", "vgg16", "vgg16_bn", "--diff"],
    "compare_inceptions.txt": ["compare", "googlenet", "bn_inception", "--diff", "--no-bars"],
    "diagram_googlenet.dot": ["diagram", "googlenet"],
    "diagram_inception3a.dot": [
        "diagram",
        "googlenet",
        "--only",
        "inception3a",
        "--color",
        "macs",
        "--direction",
        "LR",
    ],
    "diagram_resnet50.dot": ["diagram", "resnet50", "--depth", "layer", "--collapse"],
    "diagram_train.dot": ["diagram", "googlenet", "--mode", "train", "--depth", "stage"],
    "help_diagram.txt": ["diagram", "--help"],
    "list.txt": ["list"],
    "list_lenet.json": ["list", "--family", "lenet", "--format", "json"],
    "list_vgg.csv": ["list", "--family", "vgg,alexnet", "--sort", "params", "--format", "csv"],
    "compare.txt": ["compare", "googlenet", "alexnet", "vgg16"],
    "compare_vgg16.md": ["compare", "vgg16", "--format", "markdown"],
    "compare_resnets.csv": [
        "compare",
        "resnet18",
        "resnet50",
        "inception_v3",
        "--input",
        "1x3x299x299",
        "--format",
        "csv",
    ],
    "compare_lenet5.json": ["compare", "lenet5", "nin", "--format", "json"],
    "compare_googlenets.txt": ["compare", "googlenet", "googlenet_torchvision", "--diff"],
    "compare_vggs.txt": ["compare", "vgg16", "vgg19", "--diff"],
    "compare_vggs.csv": ["compare", "vgg11", "vgg13", "--diff", "--format", "csv"],
    "compare_edited.txt": ["compare", "googlenet", "--set", "inception3a.c2=[96,256]", "--diff", "--depth", "layer"],
    "compare_edited.json": ["compare", "lenet5", "--set", "c3.kernel_size=3", "--resize", "--diff", "--format", "json"],
    "verify_inception_v3_published.txt": ["verify", "inception_v3", "--published"],
    "verify_googlenet_published.txt": ["verify", "googlenet", "--published"],
    "verify_googlenet_published.csv": ["verify", "googlenet", "--published", "--format", "csv"],
    "schema.json": ["schema"],
    "help.txt": ["--help"],
    "help_glossary.txt": ["glossary", "--help"],
    "glossary.md": ["glossary", "--format", "markdown"],
    "glossary_peak.txt": ["glossary", "peak"],
    "help_summary.txt": ["summary", "--help"],
    "help_compare.txt": ["compare", "--help"],
    "help_check.txt": ["check", "--help"],
    "help_report.txt": ["report", "--help"],
    "roofline_googlenet_h200.txt": ["roofline", "googlenet", "--on", "h200", "--dtype", "bf16", "--batch", "64"],
    "roofline_devices.txt": ["roofline", "--devices"],
    "help_roofline.txt": ["roofline", "--help"],
    "help_latency.txt": ["latency", "--help"],
    "help_calibrate.txt": ["calibrate", "--help"],
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_output_is_as_recorded(name: str, run: Run, golden: Callable[[str, str], None]) -> None:
    """The whole text, at the width it takes."""
    result = run(*OUTPUTS[name])
    assert result.code == 0
    golden(name, result.out)


NARROW = {
    "summary_googlenet": ["summary", "googlenet"],
    "flops_googlenet": ["flops", "googlenet"],
    "list": ["list"],
    "glossary": ["glossary"],
    "list_inception": ["list", "--family", "inception"],
    "summary_googlenet_stage": ["summary", "googlenet", "--depth", "stage"],
    "compare": ["compare", "googlenet", "alexnet", "vgg16"],
    "compare_googlenets": ["compare", "googlenet", "googlenet_torchvision", "--diff"],
}


@pytest.mark.parametrize("width", [80, 140])
@pytest.mark.parametrize("name", NARROW)
def test_narrow_output_is_as_recorded(
    name: str, width: int, run: Run, golden: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same on terminals of two widths; no line of a table is wider."""
    monkeypatch.setenv("COLUMNS", str(width))
    text = run(*NARROW[name]).out
    assert max(map(len, text.splitlines())) <= width
    golden(f"{name}_{width}.txt", text)
