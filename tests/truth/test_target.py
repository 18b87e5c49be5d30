import pickle
import zipfile

import numpy as np
import pytest

from bench.truth.sources import latency
from bench.truth.table import Measure, Table
from bench.truth.target import accuracy_target, latency_target
from mngnas.errors import UserError
from mngnas.spaces.topology import TOPOLOGY

FIRST = {"eyeriss": 3.64562, "fpga": 2.57296, "raspi4": 10.48198, "pixel3": 3.60585}


@pytest.mark.parametrize("device", latency.FILES)
def test_published_latencies(device, shared, tmp_path, monkeypatch):
    monkeypatch.setenv("MNGNAS_BENCH_CACHE", str(tmp_path))
    file = latency.file_of(device, TOPOLOGY.name, "cifar10")
    assert "45f70eb92d0d735970a33b608d1544ad3c52f285/data/nasbench201/latency" in file.url
    times = latency.load(file, str(shared))
    assert (times.shape, times.dtype) == ((15_625,), np.float64)
    if device in FIRST:
        assert times[0] == pytest.approx(FIRST[device], abs=1e-5)


def saved(path, value, member="archive/data.pkl"):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(member, pickle.dumps(value, protocol=2))
    return path


def test_files_that_are_no_latencies(tmp_path):
    good = [1.0 + i for i in range(15_625)]
    assert latency.read(saved(tmp_path / "a.pt", good), 1.0)[-1] == 15_625
    with pytest.raises(UserError, match=r"is in another order: its first time is 1.00000 ms, not 2.00000"):
        latency.read(saved(tmp_path / "a.pt", good), 2.0)
    for wrong in (good[1:], [0.0, *good[1:]], [float("nan"), *good[1:]]):
        with pytest.raises(UserError, match="does not hold one time for each of 15,625 architectures"):
            latency.read(saved(tmp_path / "a.pt", wrong))
    (tmp_path / "b.pt").write_bytes(b"junk")
    for path in (tmp_path / "b.pt", saved(tmp_path / "c.pt", good, "data.pkl"), saved(tmp_path / "d.pt", ["x"])):
        with pytest.raises(UserError, match="is no list of latencies"):
            latency.read(path)
    with pytest.raises(UserError, match="unknown device 'fpgb'; did you mean 'fpga'"):
        latency.file_of("fpgb", TOPOLOGY.name, "cifar10")
    with pytest.raises(UserError, match="latencies are known of NAS-Bench-201"):
        latency.file_of("fpga", TOPOLOGY.name, "digits")


def test_targets():
    values = np.random.default_rng(0).random((15_625, 2)).astype(np.float32)
    measure, short = Measure("digits", "test", 200), Measure("digits", "test", 12)
    table = Table("t", TOPOLOGY.name, {measure: values, short: values[:, :1]}, seeds={measure: (777, 999)})
    mean = accuracy_target(table, "digits", "test", None)
    np.testing.assert_array_equal(mean.true, table.mean(measure))
    assert (mean.label, mean.of_seeds.shape, mean.is_accuracy) == (str(measure), (15_625, 2), True)
    one = accuracy_target(table, "digits", "test", None, 999)
    np.testing.assert_allclose(one.true, values[:, 1], atol=1e-6)
    assert one.label == f"{measure}, seed 999"
    assert accuracy_target(table, "digits", "test", 12, 0).label == f"{short}, seed 0"
    with pytest.raises(UserError, match="unknown seed '0'; available: 777, 999"):
        accuracy_target(table, "digits", "test", 200, 0)
    times = latency_target("fpga", np.arange(4.0))
    assert (times.label, times.of_seeds.shape, times.is_accuracy) == ("latency of fpga in ms", (4, 0), False)
