"""What this machine has, and how to get what it lacks."""

import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from gnet_inspect.errors import INSTALL_REPORT, INSTALL_TORCH, INSTALL_TRAIN
from gnet_inspect.records import SCHEMA_VERSION
from gnet_inspect.records.environment import Examination, Part


def examine() -> Examination:
    """Look for everything any command uses. torch is imported only to ask it for devices."""
    parts = [
        Part("gnet-inspect", version_of("gnet-inspect"), "", "pip install ."),
        Part("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}", ""),
        *(
            _package(name, "the command line and the specs", "pip install gnet-inspect")
            for name in ("typer", "rich", "msgspec")
        ),
        _yaml(),
        _package("torch", "modules, verification, latency", INSTALL_TORCH),
        _cuda(),
        *(_package(name, "verification", INSTALL_TORCH) for name in ("torchinfo", "fvcore")),
        _package("psutil", "refusing modules too large for memory", INSTALL_TORCH),
        _package("safetensors", "checkpoints in that format", INSTALL_TORCH),
        *(_package(name, "data sets to train on", INSTALL_TRAIN) for name in ("scikit-learn", "Pillow")),
        _package("graphviz", "diagrams: the DOT source", "pip install graphviz"),
        _package("pygraphviz", "diagrams: svg, png, pdf", "pip install pygraphviz"),
        _package("font-roboto", "diagrams: the letters in png and pdf", "pip install font-roboto"),
        *(_package(name, "reports and plots", INSTALL_REPORT) for name in ("Jinja2", "vl-convert-python")),
        Part("dot", shutil.which("dot"), "diagrams, where pygraphviz is missing", "apt-get install graphviz"),
    ]
    mended = (Part(part.name, part.found, part.purpose, "" if part.found else part.remedy) for part in parts)
    return Examination(SCHEMA_VERSION, tuple(mended))


def version_of(package: str) -> str | None:
    """An installed distribution's version; None where it is missing."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _package(name: str, purpose: str, remedy: str) -> Part:
    return Part(name, version_of(name), purpose, remedy)


def _yaml() -> Part:
    found = version_of("PyYAML")
    if found is not None:
        import yaml

        found += " with its C parser" if yaml.__with_libyaml__ else " without its C parser (slower)"
    return Part("PyYAML", found, "specs", "pip install PyYAML")


def _cuda() -> Part:
    remedy = "a GPU, its driver, and a CUDA build of torch"
    if find_spec("torch") is None:
        return Part("CUDA device", None, "latency on a GPU", remedy)
    import torch

    if not torch.cuda.is_available():
        return Part("CUDA device", None, "latency on a GPU", remedy)
    names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
    return Part("CUDA device", names, "latency on a GPU", remedy)
