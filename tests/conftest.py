"""Fixtures that several test modules use."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch

from mngnas.data import download

ROOT = Path(__file__).resolve().parent.parent
LONGEST = ("test_contract.py", "test_slurm.py", "test_contributing.py", "test_end_to_end.py", "test_run.py")


def pytest_collection_modifyitems(items):
    """The longest files first, so that no process is left alone with one at the end; xdist must not order them anew."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)  # two threads are slower than one on networks this small


@pytest.fixture
def start() -> Iterator[Callable[..., "subprocess.Popen[Any]"]]:
    """Starts a process as `subprocess.Popen` does; what a failed test leaves at work is killed, its pipes closed."""
    with ExitStack() as stack:

        def begin(*arguments: Any, **options: Any) -> "subprocess.Popen[Any]":
            process = stack.enter_context(subprocess.Popen(*arguments, **options))
            stack.callback(process.kill)  # before its pipes are closed and it is waited for
            return process

        yield begin


@pytest.fixture
def empty_cache(tmp_path, monkeypatch) -> Path:
    """A cache folder of this test's own, and no network."""
    monkeypatch.setenv(download.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv(download.OFFLINE_VARIABLE, "1")
    monkeypatch.delenv(download.MIRROR_VARIABLE, raising=False)
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real tables and images that some tests check against; it stands beside the checkout, not in it."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data (real tables and images), which is not beside this checkout")
    return folder
