"""Standings: metrics against direct computation, both intervals, who is partial, what is refused."""

import csv
import io

import numpy as np
import pytest

from bench.board.page import blocks, lines, title, to_csv
from bench.board.standings import SHOWN, TAU, standings
from bench.report.look import to_svg
from bench.report.page import Folded, Picture, TextTable, to_html, to_markdown
from bench.stats.intervals import bootstrap, seed_spread
from bench.stats.metrics import METRICS, kendall_tau_b, regret
from bench.truth.target import Target
from mngnas.errors import UserError
from mngnas.spaces.topology import TOPOLOGY
from tests.board.made import N_ARCH, entry_of

RNG = np.random.default_rng(5)
TRUTH = np.round(RNG.uniform(0.5, 0.9, N_ARCH), 3)
SOME = np.sort(RNG.choice(N_ARCH, 400, replace=False))
NOISY = TRUTH[SOME] + RNG.normal(0, 0.1, (3, 400))


def target(true=TRUTH):
    return Target("accuracy", true, true[:, None], True)


def several(values=NOISY, index=SOME, **fields):
    scores = np.full((len(values), N_ARCH), np.nan)
    scores[:, index] = values
    return entry_of([], scores=scores, seeds=tuple(range(len(values))), **fields)


def test_numbers_are_those_of_the_metrics():
    board = standings([several()], target(), TOPOLOGY, resamples=30)
    (row,) = board.rows
    live = TOPOLOGY.is_canonical[SOME]
    for part, keep in ((row.all, np.ones(400, bool)), (row.live, live)):
        assert part.n == keep.sum()
        for metric in SHOWN:
            direct = [metric.function(scores[keep], TRUTH[SOME][keep]) for scores in NOISY]
            assert part.metrics[metric.name].values == pytest.approx(direct)
            assert part.metrics[metric.name].spread == seed_spread(direct)
            assert (part.metrics[metric.name].architectures is not None) == (metric is TAU)
    assert (board.n_known, board.n_live, board.n_common) == (N_ARCH, 9_445, 400)


def test_the_interval_over_architectures_is_the_bootstrap_s():
    board = standings([several(NOISY[:1])], target(), TOPOLOGY, with_archs=SHOWN, resamples=40)
    wanted = bootstrap(NOISY[0], TRUTH[SOME], SHOWN, resamples=40, rng=np.random.default_rng(0))
    for metric in SHOWN:
        found = board.rows[0].all.metrics[metric.name].architectures
        assert (found.ci_low, found.ci_high) == pytest.approx((wanted[metric.name].ci_low, wanted[metric.name].ci_high))


def test_infinite_scores_rank_and_a_constant_has_no_tau():
    true = TRUTH[:5]
    values = [3.0, -np.inf, 4.0, np.inf, -np.inf]
    board = standings([entry_of(values), entry_of([1.0] * 5, name="flat")], target(), TOPOLOGY, resamples=5)
    first, flat = board.rows
    assert first.all.metrics[TAU.name].values[0] == kendall_tau_b([3, 0, 4, 9, 0], true)
    assert first.all.metrics["regret"].values[0] == regret([3, 0, 4, 9, 0], true)
    assert first.all.pick == 3
    assert flat.all.pick == np.argmin(true)
    assert np.isnan(flat.all.metrics[TAU.name].spread.mean)


def test_rows_are_sorted_and_partial_ones_are_marked():
    good, part = several(NOISY, label="good"), several(NOISY[:, :100], SOME[:100], label="part")
    cost = entry_of(-TRUTH, label="cost")
    board = standings([cost, part, good], target(), TOPOLOGY, resamples=5)
    taus = [row.all.metrics[TAU.name].spread.mean for row in board.rows]
    assert taus == sorted(taus, reverse=True)
    assert {row.entry.label: row.is_partial for row in board.rows} == {"good": True, "part": True, "cost": False}
    text = "\n".join(lines(board))
    assert "part †" in text
    assert "with --common on the 100" in text


def test_common_confines_all_rows():
    good, part = several(NOISY, label="good"), several(NOISY[:, :100], SOME[:100], label="part")
    board = standings([good, part], target(), TOPOLOGY, common=True, resamples=5)
    assert [row.all.n for row in board.rows] == [100, 100]
    assert board.rows[0].all.metrics == board.rows[1].all.metrics
    assert not any(row.is_partial for row in board.rows)
    assert "100 architectures that all rows share" in "\n".join(lines(board))
    with pytest.raises(UserError, match="the rows share 0 architectures; 'far'"):
        standings([good, entry_of([1.0], [15_000], name="far")], target(), TOPOLOGY, common=True)


def test_an_entry_without_a_ground_truth_is_refused():
    with pytest.raises(UserError, match="here: no architecture scored by 'x' has a accuracy"):
        standings([entry_of([1.0, 2.0])], target(np.where(np.arange(N_ARCH) < 2, np.nan, TRUTH)), TOPOLOGY)


def test_the_page_has_every_row_and_the_csv_every_number():
    entries = [
        several(label="ours", passes=100.0, protocol={"width": "4"}),
        entry_of(TRUTH, label="<file>", asked=True),
    ]
    board = standings(entries, target(), TOPOLOGY, resamples=5)
    page = blocks(board, "run_bench.py leaderboard")
    tables = [block for block in page if isinstance(block, TextTable)]
    assert [len(table.rows) for table in tables] == [2, 2, 2]
    assert all(len(row) == len(table.head) for table in tables for row in table.rows)
    (picture,) = (block for block in page if isinstance(block, Picture))  # two rows are too few for more
    assert "&lt;file&gt;" in to_html(title(board), page, {"tau": to_svg(picture.draw)})
    assert sum(row[2] == "seed" for row in picture.csv.rows()) == 3
    assert "100 passes" in to_markdown(title(board), page)
    rows = list(csv.DictReader(io.StringIO(to_csv(board))))
    assert [row["architectures"] for row in rows] == ["all", "live"] * 2
    ours = next(row for row in rows if row["method"] == "ours")
    measured = next(row for row in board.rows if row.entry.label == "ours").all
    for metric in SHOWN:
        assert float(ours[metric.name]) == measured.metrics[metric.name].spread.mean
    assert ours["kendall_tau_b_seeds_low"] == str(measured.metrics[TAU.name].spread.ci_low)
    assert ours["protocol"] == "width: 4"
    assert METRICS[TAU.name] is TAU


def test_three_rows_have_all_pictures():
    entries = [several(NOISY + 0.02 * n, label=f"row {n}", passes=10.0**n, seconds=1.0) for n in range(3)]
    page = blocks(standings(entries, target(), TOPOLOGY, resamples=5), "command")
    found = [block for one in page for block in (one.blocks if isinstance(one, Folded) else (one,))]
    pictures = [block for block in found if isinstance(block, Picture)]
    assert [picture.name for picture in pictures] == ["tau", "tau-by-cost", "alike", "picks"]
    assert all(to_svg(picture.draw).startswith(b"<?xml") for picture in pictures)
