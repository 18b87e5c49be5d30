"""A study that takes a second: for tests of everything around the numbers."""

from dataclasses import replace

from bench.study.preset import parse_preset
from bench.study.spec import PlannedRun, Study, open_study
from bench.truth import load_table

TINY = """
sample = 120
[supernet]
channels = 4
cells = 1
residual_reduction = false
[training]
passes = 100
batch_size = 16
[augmentation]
noise = 0.3
[scoring]
images = 40
batch_size = 20
noise = 0.3
[search]
images = 20
[curve]
points = 3
archs = 20
[retraining]
archs = 12
steps = 3
"""
FAIRNAS = PlannedRun("fairnas", {}, 1)
SPOS = PlannedRun("spos", {}, 0)


def tiny_study(*runs: PlannedRun, **changes: object) -> Study:
    """On digits201, with these runs."""
    checksum = load_table("digits201").checksum
    preset = parse_preset("tiny", TINY)
    return replace(
        Study("digits201", "nas-bench-201", "digits", "digits", preset, (), checksum, "cpu", runs), **changes
    )


def opened(directory, *runs: PlannedRun, **changes: object):
    """The study in its directory."""
    open_study(directory, tiny_study(*runs, **changes))
    return directory
