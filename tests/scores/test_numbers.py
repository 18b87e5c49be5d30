"""Cells as scores."""

import numpy as np
import pytest
from writing import string

from bench.scores.naming import DIGITS_ORDERS, edge, edges_of, operation
from bench.scores.numbers import numbers
from bench.scores.read import read_predictions
from mngnas.spaces.topology import EDGES, OPERATIONS, TOPOLOGY


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["85.157%", " 86 %", "1e1%"], [85.157, 86, 10]),
        (["85.1 ± 0.2", "86+-1", "87 +/- 2.5"], [85.1, 86, 87]),
        (["tensor(0.5)", "tensor(-1.5, device='cuda:0')", "tensor([2.], grad_fn=<X>)"], [0.5, -1.5, 2]),
        (["np.float64(0.5)", "0.75"], [0.5, 0.75]),
        (["85,1", "86,25", "87"], [85.1, 86.25, 87]),
        (["1,234,567.5", "12,345,678"], [1234567.5, 12345678]),
        (["0,512", "7"], [0.512, 7]),
        ([".5", "5.", "+1", "−2", "1E3"], [0.5, 5, 1, -2, 1000]),
        (["inf", "-Infinity", "1"], [np.inf, -np.inf, 1]),
        ([1, 2.5, "3"], [1, 2.5, 3]),
        ([[1, 2], [3, None], [4.5]], [1.5, 3, 4.5]),
    ],
)
def test_numbers_in_a_dress(cells, values):
    found = numbers(cells)
    np.testing.assert_allclose(found.values, values)
    assert not found.bad.any()
    assert not found.missing.any()


@pytest.mark.parametrize("cell", ["", " ", "nan", "NaN", "null", "None", "NA", "n/a", None, float("nan"), [None]])
def test_missing(cell):
    found = numbers(["1", cell, 2.0])
    assert (found.missing.tolist(), found.bad.any()) == ([False, True, False], False)


@pytest.mark.parametrize(
    "cell", ["1_0", "0x10", "١", "high", True, [True], {}, "1 2", "1/2", "--1", "1e", [[1]], "5%%"]
)
def test_no_numbers(cell):
    found = numbers(["1", cell, "2"])
    assert (found.bad.tolist(), found.missing.any()) == ([False, True, False], False)
    assert np.isnan(found.values[1])


def test_what_may_mean_two_things_is_not_read():
    assert numbers(["1,234", "5,678", "900"]).bad.tolist() == [True, True, False]  # 1.234 or 1234
    assert not numbers(["1,234", "5,678"]).bad.any()  # the order is the same in both readings
    assert numbers(["85%", "86%", "0.87"]).bad.tolist() == [False, False, True]
    assert numbers(["0.85", "0.86", "87%"]).bad.tolist() == [False, False, True]


def test_numbers_are_what_float_makes_of_them():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(size=500) * 10.0 ** rng.integers(-300, 300, 500), [0.0, -0.0, 5e-324]])
    for write in (repr, "{:.3e}".format, "{:.17g}".format, " {:f} ".format):
        cells = [write(float(value)) for value in values]
        for column in (cells, [*cells, "x"]):  # the quick way and the other
            np.testing.assert_array_equal(numbers(column).values[: len(values)], list(map(float, cells)))


def test_operations_and_edges():
    for names in (OPERATIONS, ("Zero", "Identity", "ReLUConvBN1x1", "ReLUConvBN3x3", "AvgPool1x1")):
        assert [operation(name) for name in names] == list(range(len(OPERATIONS)))
    assert operation("max_pool_3x3") is operation("sep_conv_3x3") is operation("") is None
    for text in ("0_1", "(0, 1)", "0->1", "1<-0", "edge_0_1", "0-1"):
        assert edge(text) == (0, 1), text
    assert edges_of(tuple(f"{s}_{t}" for s, t in EDGES)) == tuple(range(len(EDGES)))
    assert edges_of(tuple(f"{s + 1}_{t + 1}" for s, t in EDGES[::-1])) == tuple(range(len(EDGES)))[::-1]
    assert edges_of(("0_1",) * len(EDGES)) is None
    for order in DIGITS_ORDERS.values():
        archs = [order.arch(TOPOLOGY.from_index(index)) for index in range(0, TOPOLOGY.n_arch, 7)]
        assert len(set(archs)) == len(archs)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "json"])
def test_many_rows_take_seconds(kind, tmp_path):
    import json
    import resource
    import time

    index = np.random.default_rng(0).integers(0, TOPOLOGY.n_arch, 200_000)
    texts = [string(i) for i in range(TOPOLOGY.n_arch)]
    if kind == "csv":
        (tmp_path / "a").write_text("arch,score\n" + "".join(f"{texts[i]},{i / 1000}\n" for i in index))
    else:
        (tmp_path / "a").write_text(json.dumps([{"arch": texts[i], "score": i / 1000} for i in index]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    found = read_predictions(tmp_path / "a", space=TOPOLOGY)
    assert time.perf_counter() - began < 6
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KiB
    assert found.report.n_rows == 200_000
    np.testing.assert_array_equal(found.score, found.arch_index / 1000)
