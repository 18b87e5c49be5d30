import pickle

import pytest

from bench.truth.sources.pandas_frame import read_frame
from mngnas.errors import UserError


def test_frame(shared):
    columns = read_frame(shared / "nb201" / "mini-bench-arch-cell-accs.pd")
    assert list(columns["arch"]) == list(range(15_625))
    assert columns["cellstr"][0].startswith("|avg_pool_3x3~0|+|nor_conv_1x1~0|")
    assert {len(values) for values in columns.values()} == {15_625}
    assert columns["cifar10-test"].max() < 100


def test_not_a_frame(tmp_path):
    (tmp_path / "p").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(UserError, match="is not a pickled pandas data frame"):
        read_frame(tmp_path / "p")
