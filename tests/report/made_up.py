"""Made-up studies: scores that go along with a made-up ground truth, more or less."""

import numpy as np

from bench.report.runs import read_runs
from bench.study.records import MethodRef, RunRecord
from bench.study.scores import Curve, RunScores, Scores
from bench.study.store import save_run
from bench.truth import Measure, Table
from mngnas.methods.info import Column, Cost, Diary, DiaryLine, DiaryPanel, DiaryPlot, DiaryTable, Trace
from mngnas.spaces.topology import TOPOLOGY

N_ARCH = TOPOLOGY.n_arch
TARGET = Measure("digits", "test", 5)
EVERYTHING = np.arange(N_ARCH)
SAMPLE = np.random.default_rng(8).choice(N_ARCH, 300, replace=False)
LABELS = {"plain": "Plain", "fair": "Fair", "guided": "Guided", "finder": "Finder", "counter": "Counter"}


def made_up_table(known=EVERYTHING):
    """Three seeds whose means tie now and then, a parameter count that goes along with them."""
    rng = np.random.default_rng(1)
    good = rng.normal(size=N_ARCH)
    accuracy = np.full((N_ARCH, 3), np.nan, np.float32)
    seeds = np.round(0.7 + 0.05 * good[:, None] + 0.01 * rng.normal(size=(N_ARCH, 3)), 3)
    accuracy[known] = seeds[known]
    parameters = np.round(1e4 * (5 + good + rng.normal(size=N_ARCH))).astype(np.int64)
    return Table(
        "made-up",
        TOPOLOGY.name,
        {TARGET: accuracy, Measure("digits", "test", 5, "loss"): 1 - accuracy},
        parameters={"digits": parameters},
        flops={"digits": parameters**2},
    )


def with_loss(index, accuracy, loss):
    return Scores(np.asarray(index), {"accuracy": np.asarray(accuracy, float), "minus_loss": -np.asarray(loss, float)})


def scores(table, seed, index, noise=0.05):
    rng = np.random.default_rng(seed)
    good = np.nan_to_num(table.mean(TARGET), nan=0.7)[index]
    accuracy = np.clip(np.round(good - 0.3 + noise * rng.normal(size=len(index)), 3), 0, 1)
    return with_loss(index, accuracy, 2 - accuracy + 0.01 * rng.normal(size=len(index)))


def made_up_curve(table, seed, points=3):
    index = np.arange(0, N_ARCH, 100)
    rows = [scores(table, 100 * seed + point, index, 0.1 / (1 + point)) for point in range(points)]
    steps = np.arange(points)
    columns = {name: np.array([row.columns[name] for row in rows]) for name in ("accuracy", "minus_loss")}
    return Curve(index, 100.0 * steps, 12_800 * steps, steps * (5.0 + seed), np.zeros(points, int), columns)


def made_up_diary(seed=0):
    """Two numbers, one of them not measured; a table with architectures; a plot of three panels."""
    x = [31.0, 50.0, 69.0, 88.0]
    panels = [
        DiaryPanel(
            f"stage {n}",
            [DiaryLine("teacher 0", x, [1.0, 0.5, 0.4, 0.1 * n]), DiaryLine("teacher 1", x[1:], [0.5, 0.6, 0.9])],
        )
        for n in (1, 2, 3)
    ]
    columns = (Column("round", digits=0), Column("spent", "percent", 1), Column("teacher", "arch"), Column("loss"))
    rows = [(0, 0.3, 7, 1.5), (1, 0.475, 1007, None)]
    return Diary(
        {"distance": 1.5 + seed, "entropy, nats": None},
        "Distances are far.",
        (DiaryTable("Teachers", columns, rows, "A round makes a teacher."),),
        (DiaryPlot("How much each counts", "budget, %", "coefficient", panels, (30.0, 47.5), "They add up to 1."),),
    )


def write_run(
    study, table, name="plain", seed=0, rankings=None, curve=None, index=EVERYTHING, noise=0.05, trace=None, **fields
):
    """One finished run of made-up scores; `changes` are the method's, `preset_changes` the preset's."""
    changes = fields.pop("changes", {})
    method = MethodRef(name, changes, LABELS.get(name, ""), fields.pop("kind", "supernet"), "Someone 2020")
    rankings = {"inherited": scores(table, seed + 50, index, noise)} if rankings is None else rankings
    curve = made_up_curve(table, seed) if curve is None and rankings else curve or None
    known = {
        "benchmark": table.name,
        "space": table.search_space,
        "dataset": "digits",
        "images": "digits (8x8)",
        "preset": "tiny",
        "changes": tuple(fields.pop("preset_changes", ())),
        "config": {"sample": 0, "training": {"passes": 200}},
        "protocol": 1,
        "table_checksum": table.checksum,
        "steps": 40,
        "cost": Cost(200.0, 25_600, 10.0 + seed),
        "ranking_costs": {ranking: Cost(0.0, 0, 3.0) for ranking in rankings},
        "proposal": (),
        "oracle": None,
        "diary": Diary(),
        "device": "cpu: made up, 1 thread",
        "versions": {"torch": "2.0", "numpy": "2.1"},
        "commit": "0123abc",
        "dirty": False,
        "started": f"2026-01-0{1 + seed % 9}T00:00:00+00:00",
        "scores_sha256": "",
    }
    record = RunRecord(method=method, seed=seed, **known | fields)
    folder = study / f"{method.variant}-{'-'.join((record.preset, *record.changes))}-seed{seed}"
    folder.mkdir(parents=True)
    save_run(folder, record, RunScores(rankings, curve, trace))
    return folder


def write_searcher(study, seed=0, table=None, n=30, name="finder"):
    """A method that asked the ground truth: a trace and a proposal, no ranking."""
    rng = np.random.default_rng(seed)
    index = rng.choice(N_ARCH, n, replace=False)
    told = table.mean(TARGET)[index] + 0.02 * rng.normal(size=n)
    trace = Trace(index.tolist(), told.tolist(), rng.uniform(50, 150, n).tolist())
    best = int(index[np.argmax(told)])
    oracle = {"measure": "digits valid accuracy after 3 epochs", "clock": "training seconds"}
    own = {"proposal": (best,), "oracle": oracle, "cost": Cost(queries=n), "kind": "searcher"}
    write_run(study, table, name, seed, rankings={}, trace=trace, **own)
    return trace, best


VARIANTS = ({"pool": 1}, {"pool": 2}, {"coefficients": "uniform"})


def small_study(study, table, names=("plain", "fair"), seeds=(0, 1, 2), variants=(), **fields):
    """Several methods on the same sample, which is quick; variants are those of "guided"."""
    wanted = [(name, {}) for name in names] + [("guided", changes) for changes in variants]
    for number, (name, changes) in enumerate(wanted):
        for seed in seeds:
            write_run(study, table, name, seed, index=SAMPLE, noise=0.05 + 0.02 * number, changes=changes, **fields)


def read(study, table, resamples=5):
    return read_runs(study, table, TARGET, resamples)
