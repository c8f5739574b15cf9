"""Loading weights: torchvision's own files, every name reported, and nothing copied by a load that fails."""

import pickle
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gnet_inspect.errors import UsageError
from gnet_inspect.language import load_spec
from gnet_inspect.records.weights import LoadedWeights
from gnet_inspect.sources.spec import build_graph
from tests.conftest import twin
from tests.specs import graph_of

torch = pytest.importorskip("torch", reason="torch is not installed")
safetensors = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")

from gnet_inspect.runtime.module import build_module  # noqa: E402  # needs torch
from gnet_inspect.runtime.weights import load_weights  # noqa: E402  # needs torch

TEXT = """
params: {transform_input: false}
stages:
  s:
    transform: {ChannelAffine: {scale: [2, 2, 2], shift: [0, 0, 0]}, when: $transform_input}
    conv: {Conv2d: {out_channels: 4, kernel_size: 3}}
    bn: BatchNorm2d
    gap: {AdaptiveAvgPool2d: {output_size: 1}}
    flatten: Flatten
    fc: {Linear: {out_features: 5}}
heads:
  aux: {from: conv, layers: {flatten: Flatten, fc: {Linear: {out_features: 5}}}}
"""
CONV = ["conv.weight", "conv.bias"]
BN = ["bn.weight", "bn.bias", "bn.running_mean", "bn.running_var", "bn.num_batches_tracked"]
FC = ["fc.weight", "fc.bias"]
AUX = ["aux.fc.weight", "aux.fc.bias"]
OWN = [*CONV, *BN, *FC]

State = dict[str, Any]


def net(mode: str = "eval", seed: int = 1, edits: dict[str, object] | None = None) -> Any:
    """A small network, its weights drawn anew for each seed."""
    torch.manual_seed(seed)
    module = build_module(graph_of(TEXT, mode=mode, overrides=edits))
    with torch.no_grad():
        for tensor in module.state_dict().values():
            tensor.copy_(torch.randint(1, 9, tensor.shape) + (torch.rand(tensor.shape) if tensor.ndim else 0))
    return module


def save(path: Path, state: object) -> Path:
    """A state as torch saves it or, by the path's ending, safetensors."""
    if path.suffix == ".safetensors":
        safetensors.save_file({key: tensor.contiguous() for key, tensor in dict(state).items()}, path)  # type: ignore[call-overload]
    else:
        torch.save(state, path)
    return path


def bits(module: Any) -> dict[str, bytes]:
    """Every tensor of a module, as bytes."""
    return {key: tensor.cpu().numpy().tobytes() for key, tensor in module.state_dict().items()}


def equal(module: Any, state: State) -> bool:
    """Whether a module holds these tensors."""
    own = module.state_dict()
    return all(torch.equal(own[key], tensor) for key, tensor in state.items())


def refused(module: Any, path: Path, message: str, **options: Any) -> None:
    """The load fails with that message, and not a bit of the module changes."""
    before = bits(module)
    with pytest.raises(UsageError, match=message) as error:
        load_weights(module, path, **options)
    assert bits(module) == before
    assert str(error.value).isprintable()


# --- torchvision's own ---


@pytest.fixture(scope="module", params=[".pth", ".safetensors"])
def googlenet(
    request: pytest.FixtureRequest, torchvision: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Path]:
    """torchvision's GoogLeNet with heads, and the file of its weights."""
    theirs = twin(torchvision, "googlenet_torchvision", heads=True)
    path = tmp_path_factory.mktemp("weights") / f"googlenet{request.param}"
    return theirs.eval(), save(path, theirs.state_dict())


@pytest.mark.torchvision
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_torchvisions_googlenet_loads_with_its_heads_and_without(googlenet: tuple[Any, Path], mode: str) -> None:
    """Outputs are equal to the bit; without heads the heads' names are what was left."""
    theirs, path = googlenet
    ours = build_module(build_graph(load_spec("googlenet_torchvision"), mode=mode)).eval()
    report = load_weights(ours, path, leave="heads" if mode == "eval" else ())
    heads = {key for key in theirs.state_dict() if key.startswith(("aux1.", "aux2."))}
    assert set(report.left) == (heads if mode == "eval" else set())
    assert set(report.loaded) == set(ours.state_dict())
    assert report.complete
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(ours(x), theirs(x))
    if mode == "train":
        assert equal(ours, theirs.state_dict())


@pytest.mark.torchvision
def test_heads_of_a_file_are_an_error_that_names_the_option(googlenet: tuple[Any, Path]) -> None:
    """A strict load takes no key silently."""
    ours = build_module(build_graph(load_spec("googlenet_torchvision")))
    message = r"20 that the module does not have: `aux1.* and 14 more.*\(leave=\"heads\" leaves out .* `aux1`, `aux2`\)"
    refused(ours, googlenet[1], message)


@pytest.mark.torchvision
def test_torchvisions_vgg16_loads(torchvision: ModuleType, tmp_path: Path) -> None:
    """A list cut into stages has torchvision's names; a network without heads has none to leave."""
    theirs = torchvision.models.vgg16(weights=None, init_weights=False)
    spec = load_spec("vgg16")
    path = save(tmp_path / "vgg16.pth", theirs.state_dict())
    ours = build_module(build_graph(spec))
    report = load_weights(ours, path, leave="heads")
    assert list(report.loaded) == list(theirs.state_dict())
    assert report.left == ()
    assert equal(ours, theirs.state_dict())


@pytest.mark.torchvision
def test_a_module_of_torchvisions_own_loads_too(googlenet: tuple[Any, Path], torchvision: ModuleType) -> None:
    """It does not know its heads, so they are named; its transform is a flag."""
    bare = twin(torchvision, "googlenet_torchvision", transform_input=True)
    refused(bare, googlenet[1], r"\(leave=\('aux1', 'aux2',?\) leaves these parts out\)")
    refused(bare, googlenet[1], r"which knows its heads, got a GoogLeNet\. \(name the parts", leave="heads")
    refused(bare, googlenet[1], "without the input transform, got one with it", transform_input=False)
    report = load_weights(bare, googlenet[1], leave=("aux1", "aux2"), transform_input=True)
    assert all(name.startswith("aux") for name in report.left)
    assert report.complete


# --- heads and other parts ---


def test_heads_the_file_lacks_are_an_error_and_may_stay_as_they_are(tmp_path: Path) -> None:
    """The other direction: a module with heads, weights without."""
    path = save(tmp_path / "a.pth", net(seed=2).state_dict())
    module = net("train")
    refused(
        module, path, r"2 missing in the file: `aux.fc.weight`, `aux.fc.bias`.*lacks the auxiliary heads `aux`: build_"
    )
    kept = {key: tensor.clone() for key, tensor in module.state_dict().items() if key in AUX}
    report = load_weights(module, path, leave="heads")
    assert [list(report.loaded), list(report.left)] == [OWN, AUX]
    assert equal(module, kept)
    assert equal(module, net(seed=2).state_dict())


def test_heads_that_both_have_are_left_alone_when_asked(tmp_path: Path) -> None:
    """`leave` means the same on either side."""
    path = save(tmp_path / "a.pth", net("train", seed=2).state_dict())
    module = net("train")
    aux = module.aux.fc.weight.clone()
    assert list(load_weights(module, path, leave="heads").left) == AUX
    assert torch.equal(module.aux.fc.weight, aux)
    load_weights(module, path)
    assert not torch.equal(module.aux.fc.weight, aux)


def test_only_keys_of_real_heads_are_left(tmp_path: Path) -> None:
    """A name that merely looks like a head's is as unexpected as any."""
    state = net("train", seed=2).state_dict() | {"aux2.fc.weight": torch.ones(2), "auxiliary": torch.ones(1)}
    path = save(tmp_path / "a.pth", state)
    refused(net(), path, "2 that the module does not have: `aux2.fc.weight`, `auxiliary`", leave="heads")


def test_a_new_classifier_is_trained_from_old_weights(tmp_path: Path) -> None:
    """Any part can be left alone, also one whose shapes differ."""
    path = save(tmp_path / "a.pth", net(seed=2).state_dict())
    module = net(edits={"fc.out_features": 7})
    refused(
        module,
        path,
        r"2 that differ: `fc.weight` \(float32 7x4, in the file float32 5x4\), `fc.bias`.*\(leave=\('fc',\) keeps",
    )
    report = load_weights(module, path, leave=("fc",))
    assert [list(report.loaded), list(report.left)] == [[*CONV, *BN], FC]
    assert load_weights(net(), path, leave=["conv.bias"]).left == ("conv.bias",)
    refused(module, path, r"leave: expected a part .* got `conw`\. \(did you mean `conv`\?\)", leave=("conw",))


def test_wrong_arguments_are_answered_in_words(tmp_path: Path) -> None:
    """Before a file is read."""
    path = tmp_path / "none.pth"
    wrong: list[tuple[Any, Any, dict[str, Any], str]] = [
        ("net", path, {}, r"expected a torch.nn.Module \(build_module gives one\), got a str"),
        (net(), 5, {}, "expected the path of a checkpoint, got a int"),
        (net(), path, {"leave": "fc"}, r'expected leave="heads" or a tuple of names, got \'fc\'. \(leave=\("fc",\)'),
        (net(), path, {"leave": (5,)}, "expected the name of a part to leave as text, got a int"),
        (net(), path, {"transform_input": "yes"}, "expected transform_input as True, False or None, got a str"),
        (build_module(graph_of(TEXT), device="meta"), path, {}, "got `conv.weight` on the device meta, without memory"),
        (torch.nn.LazyLinear(3), path, {}, "got `weight` lazy, without a shape yet"),
    ]
    for module, where, options, message in wrong:
        with pytest.raises(UsageError, match=message):
            load_weights(module, where, **options)


def test_the_input_transform_is_demanded_or_forbidden(tmp_path: Path) -> None:
    """None does not ask."""
    path = save(tmp_path / "a.pth", net(seed=2).state_dict())
    plain, transforming = net(), net(edits={"transform_input": True})
    refused(
        plain,
        path,
        r"with the input transform, got one without it\. \(.*\"transform_input\": True",
        transform_input=True,
    )
    refused(transforming, path, r"without the input transform, got one with it.*False", transform_input=False)
    for module, wanted in ((plain, False), (plain, None), (transforming, True), (transforming, None)):
        assert load_weights(module, path, transform_input=wanted).complete


# --- names ---


def test_names_that_do_not_fit_are_all_in_one_error(tmp_path: Path) -> None:
    """Missing, unexpected and mismatched, with what is near, and nothing is loaded."""
    state = dict(net(seed=2).state_dict())
    state["fc.wieght"] = state.pop("fc.weight")
    state["conv.bias"] = torch.ones(5)
    path = save(tmp_path / "a.pth", state)
    refused(
        net(),
        path,
        r"1 missing in the file: `fc.weight`; 1 that the module does not have: `fc.wieght`; 1 that differ: `conv.bias` "
        r"\(float32 4, in the file float32 5\). Nothing was loaded. "
        r"\(near each other: `fc.weight` and the file's `fc.wieght`\)",
    )
    report = load_weights(module := net(), path, strict=False)
    assert not report.complete
    assert report.missing == ("fc.weight",)
    assert report.unexpected == ("fc.wieght",)
    assert [(item.name, item.expected, item.got) for item in report.mismatched] == [
        ("conv.bias", "float32 4", "float32 5")
    ]
    assert list(report.loaded) == [name for name in OWN if name not in ("fc.weight", "conv.bias")]
    assert equal(module, {name: state[name] for name in report.loaded})
    untouched = net().state_dict()
    assert equal(module, {name: untouched[name] for name in ("fc.weight", "conv.bias")})


def test_long_lists_and_odd_names_are_cut_and_escaped(tmp_path: Path) -> None:
    """A stranger's names stay on one line."""
    state = {f"x{index}": torch.ones(1) for index in range(50)} | {
        "a\n\x1b[31m": torch.ones(1),
        "b" * 500: torch.ones(1),
    }
    path = save(tmp_path / "a.pth", state)
    refused(net(), path, r"52 that the module does not have: `x0`, .*`x5` and 46 more.*\(no name is in both: these are")
    message = str(load_weights(net(), save(path, dict(reversed(state.items()))), strict=False))
    assert f"`{'b' * 100}...`, `a\\n\\x1b[31m`, `x49`" in message


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_wrapped_names_are_unwrapped(tmp_path: Path, ending: str, prefix: str) -> None:
    """DataParallel's and torch.compile's prefixes, and the report says so."""
    state = {f"{prefix}{key}": tensor for key, tensor in net(seed=2).state_dict().items()}
    report = load_weights(module := net(), save(tmp_path / f"a{ending}", state))
    assert list(report.loaded) == OWN
    assert report.notes == (f"took the prefix `{prefix}` off the file's names",)
    assert equal(module, net(seed=2).state_dict())


def test_wrapped_modules_are_loaded_through_their_wrapper(tmp_path: Path) -> None:
    """A file without the prefix into a module with it, heads known all the same."""
    state = net("train", seed=2).state_dict()
    path = save(tmp_path / "a.pth", state)
    for wrap in (torch.nn.DataParallel, lambda inner: torch.compile(inner, backend="eager")):
        module = net()
        report = load_weights(wrap(module), path, leave="heads")
        assert [list(report.loaded), list(report.left), report.notes] == [OWN, AUX, ()]
        assert equal(module, {name: state[name] for name in OWN})


def test_a_layer_called_module_is_not_a_wrapper(tmp_path: Path) -> None:
    """Where a network has the name itself, nothing is taken off."""
    graph = graph_of("stages: {s: {module: [Flatten, {Linear: {out_features: 2}}]}}")
    path = save(tmp_path / "a.pth", build_module(graph).state_dict())
    report = load_weights(build_module(graph), path)
    assert [report.loaded, report.notes] == [("module.1.weight", "module.1.bias"), ()]


@pytest.mark.parametrize("entry", ["state_dict", "model", "model_state_dict"])
def test_training_states_are_unwrapped(tmp_path: Path, entry: str) -> None:
    """The entry that holds the weights is read, and what else the file holds is said."""
    optimizer = torch.optim.SGD(net().parameters(), lr=0.1, momentum=0.9).state_dict()
    path = save(tmp_path / "a.pth", {"epoch": 3, entry: net(seed=2).state_dict(), "optimizer": optimizer})
    report = load_weights(module := net(), path)
    assert report.notes == (f"read the entry `{entry}`; not read: `epoch`, `optimizer`",)
    assert equal(module, net(seed=2).state_dict())


# --- BatchNorm's counters and dtypes ---


def old(state: Any) -> State:
    """A state dict as torch saved it before 0.4.1: without counters, and without versions."""
    return {key: tensor for key, tensor in state.items() if not key.endswith("num_batches_tracked")}


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_files_from_before_batchnorm_counted_load(tmp_path: Path, ending: str) -> None:
    """The counter keeps its value, and is reported."""
    report = load_weights(module := net(), save(tmp_path / f"a{ending}", old(net(seed=2).state_dict())))
    assert report.untracked == ("bn.num_batches_tracked",)
    assert report.complete
    assert equal(module, old(net(seed=2).state_dict()))
    assert torch.equal(module.bn.num_batches_tracked, net().bn.num_batches_tracked)


def test_the_counter_of_a_layer_that_is_missing_is_missing_too(tmp_path: Path) -> None:
    """Only a file that has the layer may lack its counter."""
    state = {key: tensor for key, tensor in net(seed=2).state_dict().items() if key not in BN}
    report = load_weights(net(), save(tmp_path / "a.safetensors", state), strict=False)
    assert [list(report.missing), report.untracked] == [BN, ()]


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_file_that_says_batchnorm_counted_must_have_the_counter(tmp_path: Path, prefix: str) -> None:
    """torch's own rule: it depends on the version the file states."""
    state = (torch.nn.DataParallel(net()) if prefix else net()).state_dict()
    del state[f"{prefix}bn.num_batches_tracked"]
    path = save(tmp_path / "a.pth", state)
    refused(net(), path, "1 missing in the file: `bn.num_batches_tracked`.")
    theirs = torch.nn.DataParallel(net()) if prefix else net()
    with pytest.raises(RuntimeError, match="num_batches_tracked"):
        theirs.load_state_dict(torch.load(path))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_are_copied_into_the_modules_dtype(tmp_path: Path, dtype: Any) -> None:
    """As copy_ rounds them, and the report says so; a counter made a float by the conversion is one again."""
    state = {key: tensor.to(dtype) for key, tensor in net(seed=2).state_dict().items()}
    report = load_weights(module := net(), save(tmp_path / "a.safetensors", state))
    name = str(dtype).removeprefix("torch.")
    assert report.notes == (f"copied 8 from {name} into float32", f"copied 1 from {name} into int64")
    assert equal(module, {key: state[key].float() for key in [*CONV, *FC]})
    assert module.bn.num_batches_tracked.dtype == torch.int64


def test_numbers_that_would_mean_something_else_do_not_fit(tmp_path: Path) -> None:
    """Quantised, complex and sparse weights, and tensors without data."""
    conv, fc = net().conv.weight.detach(), net().fc.weight.detach()
    odd = {
        "int8": (fc.to(torch.int8), "int8 5x4"),
        "float8": (fc.to(torch.float8_e4m3fn), "float8_e4m3fn 5x4"),
        "complex": (fc.to(torch.complex64), "complex64 5x4"),
        "sparse": (fc.to_sparse(), "float32 5x4 sparse_coo"),
        "meta": (fc.to("meta"), "float32 5x4 without data"),
        "shape": (conv, "float32 4x3x3x3"),
        "scalar": (torch.tensor(1.0), "float32 scalar"),
    }
    for name, (tensor, got) in odd.items():
        path = save(tmp_path / f"{name}.pth", net(seed=2).state_dict() | {"fc.weight": tensor})
        refused(net(), path, rf"1 that differ: `fc.weight` \(float32 5x4, in the file {got}\)")


# --- the report ---


def test_the_report_reads_as_a_few_lines(tmp_path: Path) -> None:
    """A line for each thing there is to say, and it is plain data."""
    state = old(net("train", seed=2).half().state_dict()) | {"more": torch.ones(1)}
    path = save(tmp_path / "a.pth", {"state_dict": state})
    report = load_weights(net(), path, strict=False, leave="heads")
    assert (
        str(report)
        == f"""{path} (torch): 8 tensors loaded
  left alone on purpose: `aux` (2 tensors)
  BatchNorm counters the file lacks, kept: 1 tensor
  1 that the module does not have: `more`
  read the entry `state_dict`
  copied 8 from float16 into float32"""
    )
    assert pickle.loads(pickle.dumps(report)) == report
    assert isinstance(report, LoadedWeights)
    with pytest.raises(AttributeError):
        report.path = "b"  # type: ignore[misc]  # that is the point
