"""Loads that need a word more: which parts to leave, which prefix to take off, and which model a file is of."""

import re
from ast import literal_eval
from pathlib import Path
from typing import Any

import pytest

from gnet_inspect.errors import UsageError
from gnet_inspect.graph import Graph
from gnet_inspect.language import Spec, catalogue, load_spec
from gnet_inspect.sources.spec import build_graph
from tests.specs import graph_of, model_graph, model_spec

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from gnet_inspect.runtime import recognition  # noqa: E402  # needs torch
from gnet_inspect.runtime.module import build_module  # noqa: E402  # needs torch
from gnet_inspect.runtime.recognition import recognise  # noqa: E402  # needs torch
from gnet_inspect.runtime.weights import load_weights  # noqa: E402  # needs torch
from tests.test_weights import AUX, BN, CONV, FC, OWN, equal, net, refused, save  # noqa: E402  # needs torch

NEW: dict[str, object] = {"fc.out_features": 7}


@pytest.fixture(autouse=True)
def expanded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is recognised is compared with the whole catalogue: with graphs expanded once for all tests."""

    def expand(spec: Spec, mode: str, overrides: dict[str, int] | None = None) -> Graph:
        assert set(overrides or {}) <= {recognition.CLASSES}
        return model_graph(spec.name, mode, (overrides or {}).get(recognition.CLASSES))

    monkeypatch.setattr(recognition, "load_spec", model_spec)
    monkeypatch.setattr(recognition, "build_graph", expand)


def message(module: Any, path: Path, **options: Any) -> str:
    """What a load that fails says."""
    with pytest.raises(UsageError) as error:
        load_weights(module, path, **options)
    assert str(error.value).isprintable()
    return str(error.value)


def named(text: str) -> Any:
    """The `leave` that a message names."""
    found = re.search(r"leave=(\(.*?\)|\"heads\") (?:leaves|keeps)", text)
    assert found is not None
    return literal_eval(found[1])


# --- parts to leave ---


@pytest.mark.parametrize("leave", [(), ("fc",), "heads", ("heads",), ["fc"], ("aux",)])
def test_a_file_with_heads_and_other_classes_loads_as_the_hint_says(tmp_path: Path, leave: Any) -> None:
    """The commonest fine-tune: whatever was left already, the hint names all that is to be."""
    path = save(tmp_path / "a.pth", net("train", seed=2).state_dict())
    text = message(net(edits=NEW), path, leave=leave)
    complete = named(text)
    assert set(complete) == {"fc", "aux" if leave == ("aux",) else "heads"}
    assert set(complete) >= ({leave} if isinstance(leave, str) else set(leave))
    report = load_weights(module := net(edits=NEW), path, leave=complete)
    assert [list(report.loaded), sorted(report.left)] == [[*CONV, *BN], sorted([*AUX, *FC])]
    assert equal(module, {name: net("train", seed=2).state_dict()[name] for name in report.loaded})


def test_the_hint_says_what_each_part_is(tmp_path: Path) -> None:
    """Either direction, heads on both sides, and parts of a stranger's module."""
    full = save(tmp_path / "full.pth", net("train", seed=2).state_dict())
    bare = save(tmp_path / "bare.pth", net(seed=2).state_dict())
    heads = r"leaves out what the file has of the auxiliary heads `aux`"
    refused(net(edits=NEW), full, rf"\(leave=\('heads', 'fc'\) {heads} and keeps the module's own weights of `fc`\)$")
    lacks = r'the file lacks the auxiliary heads `aux`: build_graph\(spec, mode="eval"\) has none, or'
    kept = "keeps theirs as initialised and keeps the module's own weights of `fc`"
    refused(net("train", edits=NEW), bare, rf"\({lacks} leave=\('heads', 'fc'\) {kept}\)$")
    extra = save(tmp_path / "extra.pth", net(seed=2).state_dict() | {"ema.step": torch.ones(1), "ema.a": torch.ones(1)})
    refused(net(), extra, r"\(leave=\('ema',\) leaves these parts out\)$")
    refused(net(edits=NEW), extra, r"\(leave=\('fc', 'ema'\) keeps the .* `fc` and leaves out the file's `ema`\)$")
    assert load_weights(net(edits=NEW), extra, leave=("fc", "ema")).complete


def test_only_the_last_layers_of_heads_that_both_have_are_left(tmp_path: Path) -> None:
    """What was trained of them is kept."""
    text = "stages: {s: {f: Flatten, a: {Linear: {out_features: 4}}, fc: {Linear: {out_features: %d}}}}\n"
    text += "heads: {h: {from: a, layers: {x: {Linear: {out_features: 6}}, y: {Linear: {out_features: %d}}}}}"
    ten, three = (build_module(graph_of(text % (size, size), mode="train")) for size in (10, 3))
    path = save(tmp_path / "a.pth", ten.state_dict())
    complete = named(message(three, path))
    assert complete == ("h.y", "fc")
    assert list(load_weights(three, path, leave=complete).loaded) == ["a.weight", "a.bias", "h.x.weight", "h.x.bias"]


def test_the_word_for_heads_among_names(tmp_path: Path) -> None:
    """It stands for the spec's; where a part is called so it is that part, and a stranger's module knows no heads."""
    path = save(tmp_path / "a.pth", net("train", seed=2).state_dict())
    report = load_weights(net(), path, leave=("heads", "fc.bias"))
    assert [report.parts, list(report.left)] == [("aux", "fc.bias"), ["fc.bias", *AUX]]
    headless = build_module(graph_of("stages: {s: {f: Flatten, fc: {Linear: {out_features: 2}}}}"))
    assert load_weights(headless, save(tmp_path / "b.pth", headless.state_dict()), leave=("heads", "fc")).left
    state = net("train", seed=2).state_dict() | {"heads.x": torch.ones(1)}
    path = save(tmp_path / "c.pth", state)
    assert load_weights(net(), path, leave=("heads", "aux")).left == (*AUX, "heads.x")
    assert named(message(net(edits=NEW), path)) == ("aux", "fc", "heads")
    assert load_weights(net(edits=NEW), path, leave=named(message(net(edits=NEW), path))).complete
    stranger = torch.nn.Sequential(torch.nn.Linear(1, 1))
    path = save(tmp_path / "d.pth", stranger.state_dict())
    refused(stranger, path, r"which knows its heads, got a Sequential\. \(name the parts", leave=("heads", "0"))


def test_weights_of_another_network_are_no_list_of_parts(tmp_path: Path) -> None:
    """Where most does not fit, leaving it is no help."""
    state = net(seed=2).state_dict()
    path = save(tmp_path / "a.pth", {name: torch.ones(3, 3, 3) for name in state})
    assert "leave" not in message(net(), path)
    path = save(tmp_path / "b.pth", {f"x.{name}.{number}": state[name] for name in OWN for number in range(3)})
    assert message(net(), path).endswith(
        "(no name is in both: these are weights of another network, or under another library's names)"
    )


# --- prefixes ---


@pytest.mark.parametrize("prefix", ["model.", "backbone.", "module.model.", "_orig_mod.a.b.", "module.module.x."])
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_a_prefix_that_all_names_have_is_taken_off(tmp_path: Path, prefix: str, mode: str) -> None:
    """And the notes say so; what a head has is left as ever, a counter missing as ever."""
    state = net("train", seed=2).state_dict()
    path = save(tmp_path / "a.pth", {prefix + name: tensor for name, tensor in state.items()})
    report = load_weights(module := net(mode), path, leave="heads" if mode == "eval" else ())
    assert report.notes == (f"took the prefix `{prefix}` off the file's names",)
    assert list(report.loaded) == list(module.state_dict())
    assert equal(module, {name: state[name] for name in report.loaded})


@pytest.mark.parametrize(
    "wrap",
    [
        lambda name: f"module.{name}" if name.startswith("fc") else name,
        lambda name: name.replace("conv.", "conv.module."),
        lambda name: name.replace("conv.", "conv._orig_mod.module."),
        lambda name: "module.net." + name.replace("bn.", "bn.module."),
    ],
)
def test_wrappers_anywhere_in_names_are_taken_out(tmp_path: Path, wrap: Any) -> None:
    """DataParallel around a part of the network, as the first published weights of AlexNet and VGG were trained."""
    state = net(seed=2).state_dict()
    path = save(tmp_path / "a.pth", {wrap(name): tensor for name, tensor in state.items()})
    report = load_weights(module := net(), path)
    assert list(report.loaded) == OWN
    assert equal(module, state)
    assert "took the wrappers inside of" in report.notes[-1]


def test_a_file_that_says_batchnorm_counted_says_so_under_a_prefix_too(tmp_path: Path) -> None:
    """The version is looked up by the name in the file."""
    outer = torch.nn.ModuleDict({"backbone": net()})
    state = outer.state_dict()
    del state["backbone.bn.num_batches_tracked"]
    refused(net(), save(tmp_path / "a.pth", state), "1 missing in the file: `bn.num_batches_tracked`")
    inner = torch.nn.DataParallel(net()).module
    inner.bn = torch.nn.DataParallel(inner.bn)
    state = inner.state_dict()
    assert load_weights(net(), save(tmp_path / "b.pth", state)).complete
    del state["bn.module.num_batches_tracked"]
    refused(net(), save(tmp_path / "b.pth", state), "1 missing in the file: `bn.num_batches_tracked`")


def test_a_backbone_beside_another_head_is_a_backbone(tmp_path: Path) -> None:
    """Most of the file and of the network lies under the prefix; what else there is must be named."""
    state = {f"backbone.{name}": tensor for name, tensor in net(seed=2).state_dict().items() if name not in FC}
    path = save(tmp_path / "a.pth", {**state, "neck.0.scale": torch.ones(2)})
    complete = named(message(net(), path))
    assert complete == ("fc", "neck")
    report = load_weights(net(), path, leave=complete)
    assert list(report.loaded) == [*CONV, *BN]
    assert report.notes == ("took the prefix `backbone.` off those of the file's names that have it",)


def test_what_may_be_meant_otherwise_is_not_guessed(tmp_path: Path) -> None:
    """Two copies, a layer of a like name elsewhere, and names that would meet."""
    state = net(seed=2).state_dict()
    copies = {f"{copy}.{name}": tensor for name, tensor in state.items() for copy in ("student", "teacher")}
    path = save(tmp_path / "a.pth", copies)
    refused(net(), path, r"\(the names fit under `student.` and under `teacher.`: save the tensors of the one")
    assert load_weights(net(), path, strict=False).loaded == ()
    nested: Any = torch.nn.Module()
    nested.w, nested.b = torch.nn.Parameter(torch.zeros(1)), torch.nn.Module()
    nested.b.w = torch.nn.Parameter(torch.zeros(1))
    assert load_weights(nested, save(tmp_path / "n.pth", {"a.b.w": torch.ones(1)}), strict=False).loaded == ()
    linear = torch.nn.Linear(4, 5)
    path = save(tmp_path / "b.pth", state)
    assert load_weights(linear, path, strict=False).loaded == ()
    path = save(tmp_path / "c.pth", {**state, **{f"ema.{name}": tensor for name, tensor in state.items()}})
    assert list(load_weights(net(), path, leave=("ema",)).loaded) == OWN
    assert load_weights(net(), path, leave=("ema",)).notes == ()


def test_every_name_that_fits_a_part_of_the_module_is_no_other_network(tmp_path: Path) -> None:
    """The hint names the part to load into."""
    module = torch.nn.ModuleDict({"backbone": net()})
    path = save(tmp_path / "a.pth", net(seed=2).state_dict())
    refused(module, path, r'part `backbone`: load_weights\(module.get_submodule\("backbone"\), \.\.\.\)\)$')
    assert load_weights(module.get_submodule("backbone"), path).complete


# --- which model it is ---


def weights_of(model: str, mode: str = "eval", classes: int | None = None) -> Any:
    """The names and shapes of a built-in model's weights."""
    return build_module(model_graph(model, mode, classes), device="meta").state_dict()


@pytest.mark.parametrize("model", catalogue())
def test_every_built_in_model_is_recognised_as_itself_alone(model: str) -> None:
    """With heads and without, with other classes, without its classifier, under a prefix."""
    whole = weights_of(model, "train")
    assert [tuple(found) for found in recognise(whole)] == [(model, None, ())]
    bare = {f"module.{name}": tensor for name, tensor in weights_of(model).items()}
    assert [found.model for found in recognise(bare)] == [model]
    (found,) = recognise(weights_of(model, "train", classes=17))
    assert (found.model, found.classes) == (model, 17)
    assert found.describe() == f"`{model}` with 17 classes"


def test_weights_without_their_classifier_are_recognised_and_others_are_not() -> None:
    """What depends on the classes may be absent; anything else may not, nor have another shape."""
    state = weights_of("resnet50")
    body = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    assert [found.describe() for found in recognise(body)] == ["`resnet50` without `fc`"]
    for name, tensor in (("fc.weight", state["fc.bias"]), ("more.weight", state["fc.bias"]), ("conv1.bias", None)):
        assert recognise({**state, name: tensor if tensor is not None else state["bn1.bias"]}) == []
    assert recognise({name: tensor for name, tensor in state.items() if not name.startswith("layer4.2.conv3")}) == []
    turned = {
        name: tensor.transpose(0, 1) if name == "layer1.0.conv3.weight" else tensor for name, tensor in state.items()
    }
    assert recognise(turned) == []
    assert recognise({}) == []


@pytest.mark.parametrize(
    ("module", "file", "hint"),
    [
        ("resnet34", "resnet18", r'\(this looks like `resnet18`: build_graph\(load_spec\("resnet18"\)\)\)$'),
        ("googlenet", "googlenet_torchvision", r"\(this looks like `googlenet_torchvision`: "),
        ("resnet18", "lenet5", r"\(this looks like `lenet5`: "),
    ],
)
def test_weights_of_another_built_in_model_are_called_by_its_name(
    tmp_path: Path, module: str, file: str, hint: str
) -> None:
    """Whether some names are in both or none."""
    state = build_module(build_graph(load_spec(file))).state_dict()
    refused(build_module(build_graph(load_spec(module))), save(tmp_path / "a.pth", state), hint)


def test_another_number_of_classes_is_said(tmp_path: Path) -> None:
    """With the edit that makes the network."""
    graph = build_graph(load_spec("resnet18"), overrides={"classes": 12})
    path = save(tmp_path / "a.pth", build_module(graph).state_dict())
    text = r'like `resnet18` with 12 classes: build_graph\(load_spec\("resnet18"\), overrides=\{"classes": 12\}\)\)$'
    refused(build_module(build_graph(load_spec("resnet34"))), path, text)
    assert load_weights(build_module(graph), path).complete


def test_recognising_draws_no_random_numbers(tmp_path: Path) -> None:
    """A load that fails changes nothing, that of the generator included."""
    path = save(tmp_path / "a.pth", build_module(build_graph(load_spec("resnet18"))).state_dict())
    module = net()
    before = torch.get_rng_state()
    assert "this looks like `resnet18`" in message(module, path)
    assert torch.equal(torch.get_rng_state(), before)
