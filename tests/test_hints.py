"""What an error advises is what was meant, or nothing: no neighbour of another meaning."""

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest

from gnet_inspect.errors import SpecError, UsageError, nearest, show
from gnet_inspect.language import catalogue, load_spec, parse_spec
from gnet_inspect.language.catalogue import OTHER_NAMES
from gnet_inspect.language.torch_names import ARGUMENTS, CLASSES, FUNCTIONS, INFERRED, INSTEAD, INSTEAD_OF, layer_hint
from gnet_inspect.ops import VOCABULARY
from gnet_inspect.sources.spec import build_graph
from gnet_inspect.spelling import distance, near_names, plain_name
from tests.conftest import Run
from tests.specs import HEADER


def advice(text: str) -> str:
    """The hint a spec is answered with."""
    with pytest.raises(SpecError) as caught:
        build_graph(parse_spec(HEADER + text, "m.yaml"))
    return caught.value.hint


# --- misspellings ---


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("googlnet", catalogue(), ["googlenet"]),
        ("GoogLeNet", catalogue(), ["googlenet"]),
        ("inception-v3", catalogue(), ["inception_v3"]),
        ("resnet-50", catalogue(), ["resnet50"]),
        ("vgg", catalogue(), ["vgg11", "vgg13", "vgg16", "vgg19"]),
        ("mobilenet_v7", catalogue(), []),
        ("darknet", catalogue(), []),
        ("densenet169", catalogue(), []),
        ("resnet35", catalogue(), []),
        ("vgg17", catalogue(), []),
        ("", catalogue(), []),
        ("out_chanels", ["out_channels", "kernel_size"], ["out_channels"]),
        ("kernel", ["out_channels", "kernel_size"], ["kernel_size"]),
        ("widht", ["width", "height"], ["width"]),
        ("layers", ["year", "stages", "name"], []),
        ("c3", ["c1", "c2"], []),
        ("conv2", ["conv1", "conv3"], []),
        ("x" * 10_000, ["x" * 10_000], []),
        ("stage", ["stages", "name"], ["stages"]),
    ],
)
def test_a_name_is_offered_where_the_word_is_a_misspelling_of_it(word: str, known: list[str], meant: list[str]) -> None:
    """Another number is another thing, and so is a name that only sounds alike."""
    assert near_names(word, known) == meant


def test_the_distance_is_that_of_a_plain_table() -> None:
    """Beside the textbook's recurrence over the whole table, for every pair of many names."""

    def plain(one: str, other: str) -> int:
        table = {(i, 0): i for i in range(len(one) + 1)} | {(0, j): j for j in range(len(other) + 1)}
        for i in range(1, len(one) + 1):
            for j in range(1, len(other) + 1):
                least = min(table[i - 1, j], table[i, j - 1]) + 1
                least = min(least, table[i - 1, j - 1] + (one[i - 1] != other[j - 1]))
                if i > 1 and j > 1 and one[i - 1] == other[j - 2] and one[i - 2] == other[j - 1]:
                    least = min(least, table[i - 2, j - 2] + 1)
                table[i, j] = least
        return table[len(one), len(other)]

    words = ["", "a", "ab", "ba", "relu", "prelu", "reul", "conv2d", "ocnv2d", "stages", "stegas", "layers", "year"]
    for one in words:
        for other in words:
            for most in range(4):
                assert distance(one, other, most) == min(plain(one, other), most + 1), (one, other, most)


def test_a_misspelling_among_many_names_is_bounded_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A band of letters for each name: the work grows with their number, not with the square of their length."""
    from gnet_inspect import spelling

    work = 0

    class Counted(str):
        def __getitem__(self, place: object) -> str:
            nonlocal work
            work += 1
            return str.__getitem__(self, place)  # type: ignore[index]

    def letters(length: int) -> int:
        nonlocal work
        work = 0
        spelling.distance("ab" * length, Counted("ab" * length), 3)
        return work

    assert letters(40) < 2.2 * letters(20)

    calls: list[str] = []

    def count_calls(one: str, other: str, most: int) -> int:
        calls.append(other)
        return most + 1

    monkeypatch.setattr(spelling, "distance", count_calls)
    for number in (10_000, 20_000):
        calls.clear()
        letters_only = str.maketrans("0123456789", "abcdefghij")
        near_names("x" * 5, (f"{index:05}".translate(letters_only) for index in range(number)))
        assert len(calls) == spelling.COMPARED
    assert near_names("layer99999a", (f"layer{index}" for index in range(100_000))) == []
    assert near_names("Layer99999", (f"layer{index}" for index in range(100_000))) == ["layer99999"]


def test_a_list_of_names_begins_with_those_that_begin_alike() -> None:
    """Where nothing is near, and there are more than a sentence holds."""
    known = [f"a{index:03}" for index in range(100)] + ["zeta1", "zeta2"]
    assert nearest("zeta7", known).startswith("known: `zeta1`, `zeta2`, `a000`, ")
    assert nearest("c3", ["c1", "c2"]) == "known: `c1`, `c2`"


# --- layers and arguments of torch ---


def test_the_classes_are_torchs() -> None:
    """Every class of torch.nn, and no other."""
    nn = pytest.importorskip("torch").nn
    found = {name for name, item in vars(nn).items() if inspect.isclass(item) and issubclass(item, nn.Module)}
    assert found == CLASSES
    assert set(INSTEAD) <= CLASSES - set(VOCABULARY)


@pytest.mark.parametrize("name", sorted(CLASSES - set(VOCABULARY)))
def test_a_class_that_specs_lack_is_told_as_that(name: str) -> None:
    """Under its own name, in any capitals, behind its package; never as a class that is spelt alike."""
    for written in (name, name.lower(), f"nn.{name}", f"torch.nn.{name}"):
        assert layer_hint(written, ["inception"], VOCABULARY).startswith(f"torch has `{name}`, specs do not")
    assert advice(f"stages: {{s: {{a: {name}}}}}").startswith(f"torch has `{name}`, specs do not")


def test_a_function_is_told_as_its_class() -> None:
    """Every function of torch.nn.functional: as the class it stands for, or as what specs do not have."""
    functional = pytest.importorskip("torch").nn.functional
    helpers = ("has_torch_function", "handle_torch_function", "boolean_dispatch", "assert_int_or_pair")
    names = [
        name
        for name, item in vars(functional).items()
        if name.islower() and name[0] != "_" and inspect.isroutine(item) and not name.startswith(helpers)
    ]
    assert len(names) > 100
    elsewhere = "cat concatenate multiply bmm mm split chunk narrow transpose swapaxes view dense"
    assert set(FUNCTIONS) - set(names) == {"lrn", "swish", *elsewhere.split()}
    for name in names:
        hint = layer_hint(f"F.{name}", [], VOCABULARY)
        spelt = plain_name(name.removesuffix("_with_indices"))
        same = [kind for kind in VOCABULARY if plain_name(kind) == spelt]
        if same:
            assert hint == f"did you mean `{same[0]}`?"
        else:
            assert hint.startswith("torch has `") or hint[len("did you mean `") : -2] == FUNCTIONS[name]


def test_a_layer_that_is_there_is_offered() -> None:
    """Misspelt, as a function, or a block of the spec, whatever torch calls alike."""
    assert layer_hint("max_pool2d", [], VOCABULARY) == "did you mean `MaxPool2d`?"
    assert layer_hint("F.relu_", [], VOCABULARY) == "did you mean `ReLU`?"
    assert layer_hint("batch_norm", [], VOCABULARY) == "did you mean `BatchNorm2d`?"
    assert layer_hint("cat", [], VOCABULARY) == "did you mean `concat`?"
    assert layer_hint("Conv", [], VOCABULARY) == "did you mean `Conv1d` or `Conv2d` or `Conv3d`?"
    assert layer_hint("MaxPol2d", [], VOCABULARY) == "did you mean `MaxPool2d`?"
    assert layer_hint("celu", ["CELU"], VOCABULARY) == "did you mean `CELU`?"
    assert layer_hint("torch.bmm", [], VOCABULARY) == "did you mean `matmul`?"
    assert layer_hint("torch.chunk", [], VOCABULARY) == "did you mean `Slice`?"
    assert layer_hint("FractionalMaxPol2d", [], VOCABULARY) == "torch has `FractionalMaxPool2d`, specs do not"
    assert layer_hint("Xyz", [], VOCABULARY).startswith("known: `AdaptiveAvgPool1d`, ")
    assert layer_hint("Dense", [], VOCABULARY) == "did you mean `Linear`?"


@pytest.mark.parametrize("kind", sorted(VOCABULARY))
def test_an_argument_that_specs_lack_is_told_as_that(kind: str) -> None:
    """Every argument of torch's class is taken, inferred, or one that only torch has; no other is called torch's."""
    nn = pytest.importorskip("torch").nn
    own = set(VOCABULARY[kind].parameters())
    if not hasattr(nn, kind):
        assert kind not in ARGUMENTS
        return
    cls = nn.RNNBase if kind in ("LSTM", "GRU") else getattr(nn, kind)
    torchs = set(inspect.signature(cls.__init__).parameters) - {"self", "args", "kwargs"}
    # The recurrent layers' base has what they tell it themselves, and what torch refuses in a GRU.
    torchs -= {"mode", "proj_size"} if kind == "GRU" else {"mode"} if kind == "LSTM" else set()
    said_otherwise = {argument for layer, argument in INSTEAD_OF if layer == kind}
    assert said_otherwise <= torchs
    assert torchs - own - set(INFERRED) - said_otherwise == set(ARGUMENTS.get(kind, ()))
    for name in ARGUMENTS.get(kind, ()):
        assert advice(f"stages: {{s: {{a: {{{kind}: {{{name}: 1}}}}}}}}") == f"torch has `{name}`, specs do not"


def test_a_blocks_argument_is_not_torchs() -> None:
    """A block has the parameters that its spec gives it."""
    block = "blocks: {b: {params: [c], layers: {a: {Conv2d: {out_channels: $c, kernel_size: 1}}}}}\n"
    assert advice(block + "stages: {s: {a: {b: {c: 1, dtype: x}}}}") == "known: `c`"


# --- values ---


@pytest.mark.parametrize(
    ("layer", "hint"),
    [
        ("{MaxPool2d: {kernel_size: (3, 3), stride: (2, 2)}}", "write [3, 3]"),
        ("{MaxPool2d: {kernel_size: (2, 3), stride: (2, 3), padding: (1, 3)}}", "write [2, 3]"),
        ("{MaxPool2d: {kernel_size: [(3, 3), 1]}}", "write [3, 3]"),
        ("{MaxPool2d: {kernel_size: '(3, 3)'}}", "write [3, 3]"),
        ("{MaxPool2d: {kernel_size: 3x5}}", "write [3, 5]"),
        ("{AdaptiveAvgPool2d: {output_size: (None, 7)}}", "write [null, 7]"),
        ("{AdaptiveAvgPool2d: {output_size: [None, 7]}}", "write null"),
        ("{MaxPool2d: {kernel_size: 3, ceil_mode: yes}}", "write true"),
        ("{MaxPool2d: {kernel_size: '3'}}", "a quoted number is text: remove the quotes"),
        ("{MaxPool2d: {kernel_size: three}}", ""),
    ],
)
def test_a_value_in_other_words_is_told_in_yamls(layer: str, hint: str) -> None:
    """Python's tuples, which YAML cuts at their commas; sizes as papers print them; None, yes and quoted numbers."""
    assert advice(f"stages: {{s: {{a: {layer}}}}}") == hint


def test_a_tuple_is_quoted_whole() -> None:
    """Not as "(3", and at its own path and line."""
    text = HEADER + "stages:\n  s:\n    a: {MaxPool2d: {kernel_size: (3, 3)}}\n"
    with pytest.raises(SpecError) as caught:
        parse_spec(text, "m.yaml")
    expected = "m.yaml:5: `stages.s.a.MaxPool2d.kernel_size`: expected a list in square brackets, got (3, 3)"
    assert str(caught.value) == f"{expected}. (write [3, 3])"
    assert parse_spec(text.replace("(3, 3)", "3") + "title: (a b)\n").title == "(a b)"
    with pytest.raises(SpecError, match=r"expected a key of a paper .*, got `b\)`"):
        parse_spec(text.replace("(3, 3)", "3") + "paper: {title: (a, b)}\n")
    with pytest.raises(SpecError, match=r"`input`: expected an input .*\(write \[3, 32, 32\]\)"):
        parse_spec("name: x\ninput: (3, 32, 32)\nstages: {s: {a: ReLU}}")


@pytest.mark.parametrize("text", ["96,256", "(96, 256)", "96, 256", "96-256", "96x256"])
def test_an_edit_to_several_numbers_is_told_as_a_list(run: Run, text: str) -> None:
    """As shells, Python and our own tables write them."""
    result = run("summary", "googlenet", "--set", f"inception4a.c2={text}")
    assert (result.code, result.out) == (2, "")
    assert result.err.endswith("(write [96, 256])\n")


def test_an_element_that_is_nothing_is_shown_as_null() -> None:
    """A list reads as YAML has it."""
    assert show([None, 7]) == "[null, 7]"


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("layers", "stages: {main: ...}"),
        ("backbone", "stages: {main: ...}"),
        ("input_shape", "input: [channels, height, width]"),
        ("num_classes", "params: {classes: 1000}"),
        ("defaults", "defaults belong to a block"),
        ("stagse", "did you mean `stages`?"),
    ],
)
def test_a_key_that_belongs_elsewhere_is_told_where(key: str, hint: str) -> None:
    """What people put at the top of a spec."""
    assert hint in advice(f"stages: {{s: {{a: ReLU}}}}\n{key}: 1")


# --- models ---


@pytest.mark.parametrize("model", ["mobilenet_v7", "densenet169", "darknet53", "efficientnet_b7", "vgg17", "x" * 99])
def test_an_unknown_model_is_answered_with_the_command_that_lists_them(run: Run, model: str) -> None:
    """No 24 names, and none that is not near."""
    result = run("summary", model)
    assert (result.code, result.out) == (2, "")
    assert result.err.endswith(": there is none of that name. (`gnet-inspect list` shows all)\n")
    assert "did you mean" not in result.err


def test_a_model_of_another_name_is_offered(run: Run) -> None:
    """What the field calls it elsewhere; every one of them is there."""
    assert set(OTHER_NAMES.values()) <= set(catalogue())
    for written, meant in (
        ("inception_v1", "googlenet"),
        ("Inception-v2", "bn_inception"),
        ("naive", "googlenet_naive"),
    ):
        assert f"did you mean `{meant}`? (`gnet-inspect list` shows all)" in run("summary", written).err


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("model.ONNX", "a graph of ONNX. (commands read it: `gnet-inspect summary FILE.onnx`)"),
        ("torchvision.models.vgg16()", "a call in Python. (write ./FILE.py:NAME or package.module:NAME"),
        ("x.pt", "a file of weights. (a spec says the layers, and `load_weights(module, path)` reads weights"),
        ("x.PTH", "a file of weights. (a spec says the layers"),
        ("x.safetensors", "a file of weights. (a spec says the layers"),
        ("x.PT2", "a program of torch.export. (commands read it: `gnet-inspect summary FILE.pt2`)"),
        ("https://a.b/c.yaml", "a URL. (files are read from disk"),
    ],
)
@pytest.mark.parametrize("there", [False, True])
def test_what_is_no_spec_is_told_by_its_name(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, what: str, there: bool
) -> None:
    """Whether there is such a file or not."""
    monkeypatch.chdir(tmp_path)
    if there and "/" not in name and not name.endswith((":Net", ")")):
        Path(name).write_bytes(b"\x08\x07")
    result = run("summary", name)
    assert (result.code, result.out) == (2, "")
    assert f"expected a built-in model or a spec file, got {name!r}, {what}" in result.err


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"PK\x03\x04rest", "an archive, as torch.save writes it"),
        (b"\x80\x02}q\x00.", "a pickle, which could run code"),
        (b"\x02\x00\x00\x00\x00\x00\x00\x00{}", "a file of safetensors"),
        (b"\x89HDF\r\n", "a file of HDF5"),
    ],
)
def test_what_is_no_spec_is_told_by_its_bytes(run: Run, tmp_path: Path, head: bytes, what: str) -> None:
    """Whatever its name."""
    path = tmp_path / "mine.yaml"
    path.write_bytes(head)
    assert f", {what}. (a spec says the layers" in run("summary", str(path)).err


def test_a_file_whose_name_has_a_colon_is_read(run: Run, write_spec: Callable[[str], str], tmp_path: Path) -> None:
    """What is there is read; only what is not there may be a Python object."""
    path = tmp_path / "net:v2"
    path.write_text(HEADER + "stages: {s: {a: ReLU}}")
    assert run("validate", str(path)).code == 0


def test_a_folder_is_answered_with_what_is_in_it(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its specs by their paths, or what a model is."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "nets"
    folder.mkdir()
    assert "got the folder 'nets'. (a spec file is one YAML file)" in run("summary", "nets").err
    (folder / "a.yaml").touch()
    assert "got the folder 'nets'. (give one of its files: `nets/a.yaml`)" in run("summary", "nets").err


# --- inputs ---


@pytest.mark.parametrize(
    ("flag", "mend"), [("1x224x224x3", "1x3x224x224"), ("224x224x3", "3x224x224"), ("8x300x200x3", "8x3x300x200")]
)
def test_channels_that_stand_last_are_told_at_the_flag(run: Run, flag: str, mend: str) -> None:
    """Not at the second pool."""
    result = run("summary", "vgg16", "--input", flag)
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        f"error: --input {flag} has its 3 channels last, expected them before height and width. (write {mend})\n"
    )


def test_channels_that_stand_last_are_told_in_python_and_in_specs() -> None:
    """A shape that is given, one that is accepted by `resize`, and a spec's own."""
    with pytest.raises(UsageError, match=r"got 1x224x224x3, which has them last\. \(write 1x3x224x224\)"):
        build_graph(load_spec("vgg16"), (1, 224, 224, 3))
    told = r"is 224x224x3 meant to be 3x224x224\?"
    with pytest.raises(SpecError, match=told):
        build_graph(load_spec("vgg16"), (1, 224, 224, 3), resize=True)
    with pytest.raises(SpecError, match=told):
        build_graph(parse_spec("name: x\ninput: [224, 224, 3]\nstages: {s: {a: {MaxPool2d: {kernel_size: 7}}}}"))
    assert build_graph(parse_spec("name: x\ninput: [224, 224, 3]\nstages: {s: {a: ReLU}}")).nodes


def test_weights_that_would_change_are_told_by_their_features() -> None:
    """A Linear has no batch, a convolution no height."""
    spec = parse_spec(HEADER + "stages: {s: {f: Flatten, fc: {Linear: {out_features: 10}}}}")
    side = spec.input[1]
    had, gets = (spec.input[0] * size**2 for size in (side, 2 * side))
    with pytest.raises(SpecError) as caught:
        build_graph(spec, (8, spec.input[0], 2 * side, 2 * side))
    assert f"layer `fc` (Linear 10) expected {had:,} features, as at the model's own input" in str(caught.value)
    assert f", got {gets:,} at " in str(caught.value)


@pytest.mark.parametrize(
    ("size", "words"),
    [("[null, 7]", "to 7 wide"), ("[7, null]", "to 7 high"), ("[null, null]", "to the input's size"), ("3", "3x3")],
)
def test_an_adaptive_pool_that_keeps_a_size_reads_well(size: str, words: str) -> None:
    """The axis that it sets, by its name."""
    spec = parse_spec(HEADER + f"stages: {{s: {{a: {{AdaptiveAvgPool2d: {{output_size: {size}}}}}}}}}")
    assert build_graph(spec).nodes[0].op.describe() == f"AdaptiveAvgPool2d {words}"
