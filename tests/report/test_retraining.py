"""Rank correlation against the length of retraining, from made-up numbers."""

from functools import partial

import numpy as np
import pytest

from bench.report.look import to_svg
from bench.report.page import TextTable
from bench.report.sections.retraining import blocks, csv_rows, draw_retraining, retraining
from bench.stats.intervals import paired_difference
from bench.stats.metrics import kendall_tau_b, spearman_rho
from bench.study.retrain import GUIDED, SCRATCH, UNGUIDED, Found, Line, save_retrained
from mngnas.errors import UserError
from tests.report.made_up import N_ARCH, SAMPLE, TARGET, read, small_study

ARCHS = [int(index) for index in SAMPLE[:40]]
LENGTHS = (0, 5, 20)
NAMES = ("plain-tiny-seed0", "plain-tiny-seed1")


def measured(seed, archs=ARCHS):
    rng = np.random.default_rng(seed)
    return {index: (round(float(rng.random()), 6), float(rng.random()), 0.5) for index in archs}


def made_up():
    """Two seeds of a method that guides, at 2.5 passes a step."""
    found = {}
    for seed, name in enumerate(NAMES):
        for number, (way, run) in enumerate(((GUIDED, name), (UNGUIDED, name), (SCRATCH, ""))):
            by_passes = {n: measured([seed, number, n]) for n in LENGTHS}
            found[Line(way, run, seed)] = Found(2.5 if way == GUIDED else 1.0, "" if way == SCRATCH else "w", by_passes)
    return found


@pytest.fixture
def study(table, tmp_path):
    small_study(tmp_path, table, ("plain", "fair"), seeds=(0, 1))
    return tmp_path


def test_every_way_and_length_over_the_same_architectures(table, study):
    assert retraining(read(study, table)) is None
    found = made_up()
    save_retrained(study, found)
    numbers, truth = retraining(read(study, table)), table.mean(TARGET)[sorted(ARCHS)]
    (method,) = numbers.methods
    assert (method.label, numbers.n_arch, numbers.unfinished) == ("Plain", 40, 0)
    for way in (*method.ways, numbers.scratch):
        of_way = [one for line, one in found.items() if line.way == way.way]
        for point in way.points:
            rows = [np.array([one.by_passes[point.passes][i] for i in sorted(ARCHS)]).T for one in of_way]
            assert point.tau.values == tuple(kendall_tau_b(row[0], truth) for row in rows)
            assert point.rho.values == tuple(spearman_rho(row[0], truth) for row in rows)
            assert point.tau_by_loss.values == tuple(kendall_tau_b(-row[1], truth) for row in rows)
            assert point.seconds == 0.5
    assert [point.steps for point in method.ways[0].points] == [(0, 0), (2, 2), (8, 8)]
    assert numbers.parameters["kendall_tau_b"].value == kendall_tau_b(table.parameters["digits"][sorted(ARCHS)], truth)
    assert numbers.ceiling["kendall_tau_b"].n == 40


def test_differences_are_paired_by_seed(table, study):
    save_retrained(study, made_up())
    (method,) = retraining(read(study, table)).methods
    points = {way.way: {point.passes: point.tau.values for point in way.points} for way in method.ways}
    of = {(one.a, one.b, one.passes): one for one in method.differences}
    assert of[GUIDED, UNGUIDED, 20].over_seeds == paired_difference(points[GUIDED][20], points[UNGUIDED][20])
    assert (GUIDED, UNGUIDED, 0) not in of  # the same weights
    assert {passes for a, b, passes in of if (a, b) == (GUIDED, SCRATCH)} == set(LENGTHS)
    assert all(one.over_archs is None for one in method.differences)


def test_of_one_seed_the_interval_is_over_architectures(table, study):
    save_retrained(study, {line: found for line, found in made_up().items() if line.seed == 0})
    numbers = retraining(read(study, table, resamples=50))
    one = numbers.methods[0].differences[0]
    assert one.over_archs.ci_low < one.over_archs.value < one.over_archs.ci_high
    assert one.over_archs.value == pytest.approx(one.over_seeds.value)
    cells = [cell for block in blocks(numbers) if isinstance(block, TextTable) for row in block.rows for cell in row]
    assert any("\narchs" in cell for cell in cells)


def test_accuracies_found_anew_are_counted(table, study):
    found, runs = made_up(), {run.directory.name: run for run in read(study, table).runs}
    inherited = runs[NAMES[0]].scores.rankings["inherited"]
    known = dict(zip(inherited.arch_index.tolist(), inherited.score.tolist(), strict=True))
    found[Line(UNGUIDED, NAMES[0], 0)].by_passes[0].update({i: (known[i], 1.0, 0.5) for i in ARCHS[:30]})
    save_retrained(study, found)
    (method,) = retraining(read(study, table)).methods
    assert (method.n_compared, 30 <= method.n_same < 36) == (160, True)


def test_what_is_unfinished_is_left_out(table, study):
    found = made_up()
    found[Line(GUIDED, NAMES[1], 1)].by_passes[20] = measured(3, ARCHS[:10])
    found[Line(GUIDED, NAMES[1], 1)].by_passes[5] = measured(3, ARCHS[:30])
    save_retrained(study, found)
    numbers = retraining(read(study, table))
    assert (numbers.n_arch, numbers.unfinished) == (30, 1)
    assert [point.seeds for point in numbers.methods[0].ways[0].points] == [(0, 1), (0, 1), (0,)]


def test_the_picture_and_its_numbers(table, study):
    save_retrained(study, made_up())
    numbers = retraining(read(study, table))
    assert to_svg(partial(draw_retraining, numbers)).startswith(b"<?xml")
    assert len(list(csv_rows(numbers))) == 3 * 3 * 3 + 2


def test_an_index_outside_is_refused(table, study):
    save_retrained(study, {Line(SCRATCH, "", 0): Found(1.0, "", {5: {N_ARCH: (0.5, 1.0, 0.1), 3: (0.5, 1.0, 0.1)}})})
    with pytest.raises(UserError, match="index outside"):
        retraining(read(study, table))
