"""Fixtures that several test modules use."""

from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)  # two threads are slower than one on networks this small


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real tables and images that some tests check against; it stands beside the checkout, not in it."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data (real tables and images), which is not beside this checkout")
    return folder
