"""What the commands print, whole: tests/golden, written anew by `make goldens`."""

from collections.abc import Callable

import pytest

from tests.conftest import Run

SCALED = "docs/spaces/googlenet_scaled.yaml"
# Those of docs/design-spaces.md.
EXAMPLES = {
    "sweep_kernels.txt": [
        *("sweep", SCALED, "--vary", "inception??.k=3,5,7", "--vary", "inception4?.0.k=3,5,7"),
        *("--where", "receptive_field >= 907", "--minimize", "macs,params"),
    ],
    "sweep_widths.txt": [
        *("sweep", SCALED, "--vary", "w3=0.375:1.75:0.125", "--vary", "w4=0.375:1.75:0.125"),
        *("--vary", "w5=0.375:1.75:0.125", "--vary", "ratio=0.25,0.375,0.5,0.625,0.75,0.875,1.0,1.25"),
        *("--where", "macs <= 1.2G and params <= 6M", "--maximize", "macs,params", "--points", "8"),
    ],
    "sweep_compound.txt": [
        *("sweep", SCALED, "--vary", "input=160:256:32", "--vary", "w3=0.5,0.75,1.0", "--vary", "w4=0.5,0.75,1.0"),
        *("--vary", "w5=0.5,0.75,1.0", "--vary", "times=1:4"),
        *("--where", "0.95G <= macs <= 1G", "--minimize", "peak", "--maximize", "receptive_field,params"),
    ],
    "sweep_memory.txt": [
        *("sweep", SCALED, "--vary", "stem=0.25:1:0.125", "--vary", "input=128:256:32", "--vary", "w5=0.5:1:0.125"),
        *("--where", "peak <= 4MB and params <= 6M", "--maximize", "macs,receptive_field"),
    ],
}
OUTPUTS = EXAMPLES | {
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
    "explain_inception4a.txt": ["explain", "googlenet", "inception4a"],
    "explain_resnet50.txt": ["explain", "resnet50", "layer2.0"],
    "explain_branch.json": ["explain", "googlenet", "inception4a.branch3", "--format", "json"],
    "explain_conv1.csv": ["explain", "googlenet", "conv1", "--format", "csv"],
    "help_explain.txt": ["explain", "--help"],
    "help_sweep.txt": ["sweep", "--help"],
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
    "list_chosen.txt": ["list", "--where", "macs < 1G and params < 5M", "--minimize", "top1_error,macs"],
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
    "roofline_totals.txt": [
        *("roofline", "googlenet", "mobilenet_v2", "lenet5", "--on", "coral_usb,jetson_orin_nano,stm32h743"),
        *("--dtype", "int8", "--totals"),
    ],
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
    "explain_inception4a": ["explain", "googlenet", "inception4a"],
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
