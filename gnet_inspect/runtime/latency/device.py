"""What a measurement was taken on, and how much memory it took."""

import platform
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from gnet_inspect import __version__

PROCESS = "the most memory the whole process held at once (resident), torch itself included"
ALLOCATOR = "the most memory torch's allocator had handed out at once (max_memory_allocated)"
_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


def describe_device(device: str, threads: int) -> dict[str, Any]:
    """The device, driver, torch, threads and clocks, as far as they can be read."""
    software = {
        "gnet_inspect": __version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }
    if device.startswith("cuda"):
        return {"type": "cuda", **_gpu(device), "cuda": torch.version.cuda, **software}
    name = processor_name()
    if device == "mps":
        return {"type": "mps", "name": name, **software}
    return {"type": "cpu", "name": name, "threads": threads, **_clock(), **software}


def processor_name() -> str:
    """The CPU's own name, where the system tells it."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        if found:
            return found[1].strip()
    except OSError:  # not Linux
        pass
    return platform.processor() or platform.machine()


def _clock() -> dict[str, Any]:
    try:
        clocks = re.findall(r"^cpu MHz\s*:\s*([\d.]+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        return {}
    return {"clock_mhz": round(max(map(float, clocks)))} if clocks else {}


def _gpu(device: str) -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(device)
    found: dict[str, Any] = {"name": properties.name, "memory_bytes": properties.total_memory}
    found["compute_capability"] = f"{properties.major}.{properties.minor}"
    fields = {"driver": "driver_version", "clock_mhz": "clocks.sm", "memory_clock_mhz": "clocks.mem"}
    program = shutil.which("nvidia-smi")
    if program is None:
        return found
    uuid = getattr(properties, "uuid", None)
    which = [f"--id=GPU-{uuid}"] if uuid else []
    query = [program, *which, f"--query-gpu={','.join(fields.values())}", "--format=csv,noheader,nounits"]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    values = done.stdout.splitlines()[0].split(", ") if done.returncode == 0 and done.stdout else []
    return found | dict(zip(fields, values, strict=False))


class PeakMemory:
    """The most memory that was held since this was made: torch's allocator's on CUDA, else the whole process's."""

    def __init__(self, device: str) -> None:
        self._device = device
        if device.startswith("cuda"):
            torch.cuda.reset_peak_memory_stats(device)
        else:
            # Linux forgets the peak so far, see proc_pid_clear_refs(5); elsewhere it is that since the process began.
            with suppress(OSError):
                _RESET.write_text("5")

    @property
    def meaning(self) -> str:
        return ALLOCATOR if self._device.startswith("cuda") else PROCESS

    def read(self) -> int | None:
        """Bytes; None where the system does not tell."""
        if self._device.startswith("cuda"):
            return int(torch.cuda.max_memory_allocated(self._device))
        try:
            found = re.search(r"^VmHWM:\s*(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
        except OSError:
            return _since_the_start()
        return int(found[1]) * 1024 if found else None


def _since_the_start() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
