"""How methods draw paths."""

import numpy as np

from mngnas.spaces.topology import TOPOLOGY


def test_uniform_sampling_is_uniform():
    drawn = np.array(TOPOLOGY.sample_uniform(np.random.default_rng(0), 20_000))
    for edge in range(6):
        counts = np.bincount(drawn[:, edge], minlength=5)
        assert ((counts - 4000) ** 2 / 4000).sum() < 18.5  # chi-square with 4 degrees of freedom, p = 0.001
    pairs = np.bincount(drawn[:, 0] * 5 + drawn[:, 5], minlength=25)
    assert ((pairs - 800) ** 2 / 800).sum() < 51.2  # 24 degrees of freedom


def test_strictly_fair_sampling_uses_every_operation_once_an_edge():
    rng, seen = np.random.default_rng(0), set()
    for _ in range(50):
        archs = np.array(TOPOLOGY.sample_strictly_fair(rng))
        assert (np.sort(archs, axis=0) == np.arange(5)[:, None]).all()
        seen |= set(map(tuple, archs.tolist()))
    assert len(seen) > 240  # the sets change from call to call
