"""The machine on which measurements are made, and pinning a measurement to one core."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from pathlib import Path
from typing import Any

from gesta.words import DISTRIBUTION

LIBRARIES = ("numpy", "opencv-python-headless", "av", "openvino", "onnxruntime", "torch")


def describe() -> dict[str, Any]:
    """The processor, its cores, memory, operating system, and the versions of the libraries used."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count() or 1,
        "cores_usable": usable_cores(),
        "memory_gb": _memory_gb(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {"gesta": _version(DISTRIBUTION), **{name: _version(name) for name in LIBRARIES}},
    }


def text(machine: dict[str, Any]) -> str:
    """The description as one readable line."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    memory = f", {machine['memory_gb']:g} GB" if machine["memory_gb"] else ""
    cores = f"{machine['cores_usable']} of {machine['cores']} cores"
    return f"{machine['cpu']}, {cores}{memory}, {machine['system']}, Python {machine['python']}; {versions}"


def usable_cores() -> int:
    """The number of cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def pin_to_one_core() -> bool:
    """Pins this process, and threads it starts later, to one core. False if the system does not support it."""
    if not hasattr(os, "sched_setaffinity"):
        return False
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    return True


def peak_memory_mb() -> float | None:
    """Peak resident memory of this process so far, in MiB; None if the system does not report it."""
    status = Path("/proc/self/status")
    if status.is_file():  # not getrusage: its maximum is inherited from the parent process
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine() or "unknown processor"


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None
