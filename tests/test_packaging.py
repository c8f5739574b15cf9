"""The wheel: whole, and at home in an empty environment away from the checkout."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from gnet_inspect.analysis.devices import known_devices
from gnet_inspect.errors import INSTALL_REPORT, INSTALL_TORCH
from gnet_inspect.language import catalogue

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution."""
    pytest.importorskip("build")
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_the_specs_and_nothing_of_the_workshop(wheel: Path) -> None:
    """Package, specs, devices, types marker and license; no tests, no benchmarks."""
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"gnet_inspect/specs/{model}.yaml" for model in catalogue()} <= set(names)
    assert {f"gnet_inspect/analysis/devices/{device}.yaml" for device in known_devices()} <= set(names)
    assert "gnet_inspect/py.typed" in names
    templates = "gnet_inspect/views/pages/templates/"
    assert {f"{templates}report.{kind}" for kind in ("html", "css", "js")} <= set(names)
    assert {f"gnet_inspect/serving/page/page.{kind}" for kind in ("html", "css")} <= set(names)
    script = "gnet_inspect/serving/page/editor.js"
    # Built, with the licences of what is in it, where there is npm.
    assert (script in names) == (ROOT / script).is_file()
    if script in names:
        assert "Permission is hereby granted" in zipfile.ZipFile(wheel).read(script)[:5000].decode()
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"gnet_inspect"}


@pytest.mark.slow
def test_the_wheel_works_without_torch_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    """`pip install` it, go elsewhere, and summarise GoogLeNet."""
    home = tmp_path / "venv"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--constraint", str(ROOT / "constraints.txt"), str(wheel)]
    installed = subprocess.run(pip, capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"pip cannot install here: {installed.stderr[-300:]}")
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        binary = home / "bin" / "gnet-inspect"
        return subprocess.run(
            [binary, *arguments], cwd=tmp_path, env=clean, capture_output=True, text=True, check=False
        )

    listed = command("list")
    assert all(model in listed.stdout for model in catalogue()), listed.stderr
    assert "6,998,552" in command("summary", "googlenet").stdout
    assert "missing" in command("doctor").stdout
    verified = command("verify", "googlenet")
    assert (verified.returncode, "torch is not installed" in verified.stderr) == (3, True)
    reported = command("report", "googlenet")
    assert (reported.returncode, f"Install it with: {INSTALL_REPORT}" in reported.stderr) == (3, True)
    code = "from gnet_inspect import build_module; build_module(None)"
    api = subprocess.run([python, "-c", code], cwd=tmp_path, env=clean, capture_output=True, text=True, check=False)
    assert f"build_module needs torch, which is not installed. Install it with: {INSTALL_TORCH}" in api.stderr
