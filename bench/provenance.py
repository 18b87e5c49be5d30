"""With what a number was made: versions, commit, device."""

import os
import platform
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("mngnas-bench", "torch", "numpy", "scipy", "nats-bench", "nas-bench-201")
_ROOT = Path(__file__).resolve().parent.parent
_SOURCES = ("bench", "mngnas", "run_bench.py")


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Python's version and those of the packages that a number may depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def commit() -> tuple[str, bool]:
    """The commit of this source tree, and whether its sources differ from it; ("unknown", True) outside a checkout."""
    try:
        head = _git("rev-parse", "HEAD")
        return head, bool(_git("status", "--porcelain", "--", *_SOURCES))
    except (OSError, subprocess.CalledProcessError):
        return "unknown", True


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def device_name(device: str) -> str:
    """The GPU's name, or the processor's with the number of threads that torch uses."""
    import torch

    if device.startswith("cuda"):
        return str(torch.cuda.get_device_name(device))
    return cpu_name(torch.get_num_threads())


def cpu_name(threads: int) -> str:
    """The processor's name with the number of threads that compute."""
    return f"cpu: {_processor()}, {threads} thread{'s' * (threads != 1)}"


@lru_cache(maxsize=1)
def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        for line in facts.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def core_count() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
