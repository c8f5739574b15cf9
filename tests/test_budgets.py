"""Limits on totals: read as they are written, each able to fail, and silent where a bound does not tell."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from gnet_inspect.analysis.summary import Summary, summarize
from gnet_inspect.budgets.config import find_config, read_config
from gnet_inspect.budgets.limits import judge, limit_names, parse_limit
from gnet_inspect.errors import SpecError, UsageError
from gnet_inspect.language import load_spec
from gnet_inspect.sources.spec import build_graph


@pytest.fixture(scope="module")
def googlenet() -> Summary:
    return summarize(build_graph(load_spec("googlenet")), "fp32")


@pytest.fixture(scope="module")
def with_buffers() -> Summary:
    """No total of it is 0."""
    return summarize(build_graph(load_spec("googlenet_torchvision")), "fp32")


@pytest.mark.parametrize("name", limit_names())
def test_each_limit_can_be_kept_and_broken(name: str, with_buffers: Summary) -> None:
    """At the total itself, and one beside it, by every operator."""
    value = judge(parse_limit(name, "<= 1"), with_buffers).value
    assert value is not None
    for operator, one_less, same, one_more in (
        ("<=", False, True, True),
        (">=", True, True, False),
        ("<", False, False, True),
        (">", True, False, False),
        ("==", False, True, False),
    ):
        found = [judge(parse_limit(name, f"{operator} {value + by:.0f}"), with_buffers).holds for by in (-1, 0, 1)]
        assert found == [one_less, same, one_more], operator


@pytest.mark.parametrize(
    ("name", "text", "bound"),
    [
        ("params", "<= 7 M", 7e6),
        ("params", "<=7m", 7e6),
        ("macs", "< 1.6 G", 1.6e9),
        ("macs", "<= 1_582_671_872", 1582671872),
        ("peak", "<= 7 MB", 7e6),
        ("peak", "<= 7 M", 7e6),
        ("activations", ">= 12,000 B", 12000),
        ("field", ">= 224", 224),
        ("depth", "== 22", 22),
    ],
)
def test_limits_as_they_are_written(name: str, text: str, bound: float) -> None:
    """With and without units, in powers of 1000."""
    assert parse_limit(name, text).bound == pytest.approx(bound)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("parms", "<= 7 M", "did you mean `params`?"),
        ("params", "7 M", "an operator"),
        ("params", "<= 7 MB", "a unit"),
        ("params", "=> 7", "an operator"),
        ("peak", "<= 7 MiB", "a unit"),
        ("params", "<= -7", "a number"),
        ("params", "<= 7 M 8", "a number"),
    ],
)
def test_what_is_no_limit_is_refused(name: str, text: str, said: str) -> None:
    """With what could stand there."""
    with pytest.raises(UsageError, match="expected") as caught:
        parse_limit(name, text)
    assert said in str(caught.value)


def test_a_bound_tells_only_what_it_tells(googlenet: Summary) -> None:
    """MACs that are a least, a field that is never too small, and one that nobody knows."""
    least = replace(googlenet, coverage=replace(googlenet.coverage, unknown=("x",)))
    macs = least.totals.macs
    assert judge(parse_limit("macs", f"<= {macs - 1}"), least).holds is False
    assert judge(parse_limit("macs", f"<= {macs + 1}"), least).holds is None
    assert judge(parse_limit("macs", f">= {macs - 1}"), least).holds is True
    assert judge(parse_limit("macs", f">= {macs + 1}"), least).holds is None
    assert judge(parse_limit("macs", f"== {macs}"), least).holds is None
    bound = replace(googlenet, totals=replace(googlenet.totals, receptive_field_status="bound"))
    assert judge(parse_limit("field", "<= 907"), bound).holds is True
    assert judge(parse_limit("field", "<= 906"), bound).holds is None
    assert judge(parse_limit("field", ">= 908"), bound).holds is False
    assert judge(parse_limit("field", ">= 907"), bound).holds is None
    nobody = replace(googlenet, totals=replace(googlenet.totals, receptive_field_status="unknown"))
    assert judge(parse_limit("field", ">= 1"), nobody).value is None


CONFIG = """
[[check]]
model = "specs/mine.yaml"
params = "<= 7 M"
receptive_field = ">= 224"
message = "see docs/budget.md"

[[check]]
model = "googlenet"
macs = 1600000000
coverage = 100
"""


def test_the_config_of_a_project(tmp_path: Path) -> None:
    """In a file of its own, or in pyproject.toml; budgets are found by the file, from wherever it is named."""
    assert find_config(tmp_path) is None
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert find_config(tmp_path) is None
    under = CONFIG.replace("[[check]]", "[[tool.gnet-inspect.check]]")
    for name, text in (("pyproject.toml", under), ("gnet-inspect.toml", CONFIG)):
        (tmp_path / name).write_text(text)
        config = find_config(tmp_path)
        assert config is not None
        assert config.path == tmp_path / name
        (mine,) = config.of("mine.yaml", tmp_path / "specs" / "mine.yaml")
        assert [str(limit) for limit in mine.limits] == ["<= 7.00 M", ">= 224"]
        assert mine.message == "see docs/budget.md"
        (built_in,) = config.of("googlenet", None)
        assert [(limit.name, str(limit)) for limit in built_in.limits] == [
            ("macs", "<= 1.60 G"),
            ("coverage", ">= 100"),
        ]
        assert config.of("other.yaml", tmp_path / "other.yaml") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[check]]\nparams = '<= 7 M'", "`check.0`: expected the model"),
        ("[[check]]\nmodel = 'x'\nparms = '<= 7 M'", "did you mean `params`?"),
        ("[[check]]\nmodel = 'x'\nparams = 'few'", "`check.0.params`: params: expected an operator"),
        ("[[check]]\nmodel = 3", "expected text, got 3"),
        ("[check]\nmodel = 'x'", "write [[check]]"),
        ("[[check]\n", "expected valid TOML"),
    ],
)
def test_a_config_that_cannot_be_read_says_why(tmp_path: Path, text: str, said: str) -> None:
    """With its file, and the table."""
    path = tmp_path / "gnet-inspect.toml"
    path.write_text(text)
    with pytest.raises(SpecError) as caught:
        read_config(path)
    assert said in str(caught.value)
    assert str(caught.value).startswith(str(path))
