import subprocess
import sys
from pathlib import Path

import pytest

from bench.truth import TABLES, load_table
from mngnas.errors import UserError


def test_entries_describe_themselves():
    for name, source in TABLES.items():
        assert source.name == name
        assert source.description
        assert source.datasets


def test_unknown_benchmark():
    with pytest.raises(UserError, match=r"unknown benchmark 'nb20l'; did you mean 'nb201'\? available: nb201, nats, "):
        load_table("nb20l")


def test_path_that_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"table 'nb201' is made from six files: .* is not a folder"):
        load_table("nb201", path=tmp_path / "file")


@pytest.mark.parametrize(
    "module",
    [
        "bench.truth",
        "bench.truth.oracle",
        "bench.truth.sources.nb201",
        "bench.truth.sources.digits201",
        "bench.digits201.reliability",
        "bench.stats.evaluation",
        "bench.scores.read",
        "mngnas.spaces",
        "mngnas.data.download",
    ],
)
def test_importing_is_light(module):
    heavy = {
        "torch",
        "scipy",
        "matplotlib",
        "nats_bench",
        "nas_201_api",
        "pandas",
        "pooch",
        "requests",
        "tqdm",
        "sklearn",
    }
    code = f"import sys, {module}; print([m for m in sys.modules if '.' not in m])"
    root = Path(__file__).parent.parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert not heavy & set(eval(done.stdout))
