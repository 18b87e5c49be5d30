"""What was measured and with what: everything that a reader needs to know before the numbers."""

import json
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.report.runs import StudyRuns
from bench.study.records import RunRecord
from mngnas.spaces.topology import N_ARCH


@dataclass(frozen=True)
class About:
    """What was measured and with what."""

    benchmark: str
    dataset: str
    images: str
    target: str
    search_space: str
    n_scored: tuple[int, int]  # architectures with inherited scores and a ground truth: fewest and most of the runs
    n_known: int  # architectures with a ground truth
    best_true: float
    presets: tuple[str, ...]
    protocol: int
    devices: tuple[str, ...]
    versions: tuple[str, ...]
    commits: tuple[str, ...]
    dirty_runs: tuple[str, ...]
    table_checksum: str
    started: tuple[str, str]  # the first and the last run
    commands: tuple[str, ...]
    settings: tuple[str, ...]
    warnings: tuple[str, ...]


def describe(study: StudyRuns) -> About:
    """Everything that a reader needs to know before the numbers."""
    records = [run.record for run in study.runs]
    first = records[0]
    sizes = [len(s.true) for m in study.methods for s in m.seeds if m.score_set == "inherited"] or [0]
    commits = _different(record.commit for record in records)
    devices = _different(record.device for record in records)
    dirty = tuple(_dirty_runs(records))
    n_known = int(np.isfinite(study.truth).sum())
    few, many = min(sizes), max(sizes)
    different_seeds = len({frozenset(s.seed for s in method.seeds) for method in study.methods}) > 1
    warnings = {
        f"Made with uncommitted changes, so the commit does not say all: {'; '.join(dirty)}.": bool(dirty),
        f"The runs come from {len(commits)} commits.": len(commits) > 1,
        f"The runs come from {len(devices)} devices: their seconds cannot be compared.": len(devices) > 1,
        "The methods have different seeds; see the tables.": different_seeds,
        f"Only {n_known:,} of {N_ARCH:,} architectures have a ground truth; the others are left out.": n_known < N_ARCH,
        "Not all architectures with a ground truth were scored: the numbers are those of a sample.": few < n_known,
    }
    return About(
        *(first.benchmark, first.dataset, first.images, f"mean {study.target}", study.table.search_space),
        n_scored=(few, many),
        n_known=n_known,
        best_true=float(np.nanmax(study.truth)),
        presets=_different(record.preset for record in records),
        protocol=first.protocol,
        devices=devices,
        versions=_different(
            f"{name} {version}" for record in records for name, version in sorted(record.versions.items())
        ),
        commits=commits,
        dirty_runs=dirty,
        table_checksum=first.table_checksum,
        started=(min(record.started for record in records), max(record.started for record in records)),
        commands=tuple(_commands(study.directory, records)),
        settings=tuple(_settings(records)),
        warnings=tuple(text for text, applies in warnings.items() if applies),
    )


def _dirty_runs(records: Sequence[RunRecord]) -> list[str]:
    seeds: dict[str, list[str]] = {}
    for record in records:
        if record.dirty:
            seeds.setdefault(record.strategy, []).append(str(record.seed))
    return [f"{strategy} seed {', '.join(numbers)}" for strategy, numbers in seeds.items()]


def _different(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _commands(directory: Path, records: Sequence[RunRecord]) -> list[str]:
    """One command for all strategies with the same preset, device and seeds."""
    seeds: dict[tuple[str, bool, str], set[int]] = {}
    for record in records:
        on_cpu = record.device.startswith("cpu")
        seeds.setdefault((record.preset, on_cpu, record.strategy), set()).add(record.seed)
    strategies: dict[tuple[str, bool, tuple[int, ...]], list[str]] = {}
    for (preset, on_cpu, strategy), of_strategy in seeds.items():
        strategies.setdefault((preset, on_cpu, tuple(sorted(of_strategy))), []).append(strategy)
    where = directory.name if directory.is_absolute() else directory.as_posix()
    commands = []
    for (preset, on_cpu, numbers), names in strategies.items():
        first, last = numbers[0], numbers[-1]
        told = f"{first}-{last}" if first else str(last + 1)
        name, *changes = preset.split(" ")
        words = ["python", "run_bench.py", "run", "--benchmark", records[0].benchmark, "--dataset", records[0].dataset]
        words += ["--strategy", ",".join(names), "--seeds", told, "--preset", name]
        words += [word for change in changes for word in ("--set", change)]
        words += ["--out", where]
        words += [] if on_cpu else ["--device", "cuda"]
        kept = "" if len(numbers) == last - first + 1 else f"  # of these seeds here: {', '.join(map(str, numbers))}"
        commands.append(shlex.join(words) + kept)
    return commands


def _settings(records: Sequence[RunRecord]) -> list[str]:
    """Each different set of settings, a line a section, with the strategies that it belongs to."""
    whose: dict[str, list[str]] = {}
    for record in records:
        whose.setdefault("\n".join(_setting(*item) for item in sorted(record.config.items())), []).append(
            record.strategy
        )
    return [f"{', '.join(_different(names))}\n{text}" if len(whose) > 1 else text for text, names in whose.items()]


def _setting(name: str, value: object) -> str:
    if isinstance(value, dict):
        return f"{name}: " + ", ".join(f"{key} {json.dumps(one)}" for key, one in value.items())
    return f"{name}: {value if isinstance(value, str) else json.dumps(value)}"
