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


def test_listing_the_tables_imports_nothing_heavy():
    code = "import sys, bench.truth as t; list(t.TABLES); print([m for m in sys.modules if '.' not in m])"
    root = Path(__file__).parent.parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert not {"torch", "nats_bench", "nas_201_api", "pandas", "pooch", "requests", "tqdm"} & set(eval(done.stdout))
