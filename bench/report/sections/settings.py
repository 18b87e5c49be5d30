"""What was measured and with what, and how to make it again; at the end of the page."""

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.report.page import Block, Code, Facts, Folded, Paragraph, Section
from bench.report.runs import StudyRuns
from bench.report.scores import preset_of
from bench.report.text import count, percent, ranges
from bench.study.records import RunRecord

TITLE = "Settings"


@dataclass(frozen=True)
class About:
    """What was measured and with what."""

    benchmark: str
    dataset: str
    images: str
    target: str
    search_space: str
    n_arch: int
    n_scored: tuple[int, int] | None  # fewest and most architectures of main rankings that have a ground truth
    n_known: int  # architectures with a ground truth
    best_true: float
    presets: tuple[str, ...]
    protocol: int
    devices: tuple[str, ...]
    versions: tuple[str, ...]
    commits: tuple[str, ...]
    dirty_runs: tuple[str, ...]
    table_checksum: str  # of the one that the runs are evaluated with
    started: tuple[str, str]  # the first and the last run
    papers: tuple[str, ...]  # "label: authors, year"
    commands: tuple[str, ...]
    settings: tuple[str, ...]


def about(study: StudyRuns) -> About:
    """From the records."""
    records = [run.record for run in study.runs]
    first = records[0]
    sizes = [len(scored.true) for method in study.methods if method.is_main for scored in method.seeds]
    return About(
        *(first.benchmark, first.dataset, first.images, f"mean {study.target}", study.space.name),
        n_arch=study.space.n_arch,
        n_scored=(min(sizes), max(sizes)) if sizes else None,
        n_known=int(np.isfinite(study.truth).sum()),
        best_true=float(np.nanmax(study.truth)),
        presets=different(map(preset_of, records)),
        protocol=first.protocol,
        devices=different(record.device for record in records),
        versions=different(
            f"{name} {version}" for record in records for name, version in sorted(record.versions.items())
        ),
        commits=different(record.commit for record in records),
        dirty_runs=tuple(_dirty_runs(records)),
        table_checksum=study.table.checksum,
        started=(min(record.started for record in records), max(record.started for record in records)),
        papers=different(
            f"{record.method.label or record.method.name}: {record.method.paper}"
            for record in records
            if record.method.paper
        ),
        commands=tuple(_commands(study, records)),
        settings=tuple(_settings(records)),
    )


def different(values: Iterable[str]) -> tuple[str, ...]:
    """Each once, in the order of their first appearance."""
    return tuple(dict.fromkeys(values))


def _dirty_runs(records: Sequence[RunRecord]) -> list[str]:
    seeds: dict[str, list[int]] = {}
    for record in records:
        if record.dirty:
            seeds.setdefault(record.method.variant, []).append(record.seed)
    return [f"{strategy} seed {ranges(numbers)}" for strategy, numbers in seeds.items()]


def _commands(study: StudyRuns, records: Sequence[RunRecord]) -> list[str]:
    """Replay study.json; runs that an older version made need its sources and its commands."""
    from bench.study.jobs import read_json
    from bench.study.preset import PROTOCOL

    where = study.directory.as_posix()
    older = read_json(study.directory / "study.json").get("made_by") or ()
    if older or records[0].protocol != PROTOCOL:
        commit = records[0].commit
        checkout = "# an unknown commit" if commit == "unknown" else shlex.join(["git", "checkout", commit])
        why = f"# protocol {records[0].protocol}, made by an older version of this project"
        if older or not (study.directory / "study.json").exists():
            return [f"{checkout}  {why}", *map(str, older)]
        aside = f"../{study.directory.resolve().name}"  # it may not be there in the older version
        return [shlex.join(["cp", "-r", where, aside]), f"{checkout}  {why}", _like(aside)]
    return [_like(where)]


def _like(study: str) -> str:
    return shlex.join(["python", "run_bench.py", "run", "--like", study, "--out", f"{study.rstrip('/')}-again"])


def _settings(records: Sequence[RunRecord]) -> list[str]:
    """What all runs share, then what each method has besides, then of each of its variants what differs from it."""
    whose: dict[str, list[RunRecord]] = {}  # unchanged methods first
    for record in sorted(records, key=lambda record: bool(record.method.changes)):
        whose.setdefault(json.dumps(record.config, sort_keys=True), []).append(record)
    first, *others = (group[0].config for group in whose.values())
    shared = {name: value for name, value in first.items() if all(one.get(name, ...) == value for one in others)}
    found, standards = ["\n".join(_lines(shared))], dict[str, RunRecord]()
    for group in whose.values():
        names, (record, *_) = ", ".join(different(one.method.variant for one in group)), group
        standard = standards.setdefault(record.method.name, record)
        if standard is not record:
            rest = _lines(_differing(record.config, standard.config))
            found.append(f"{names} as {standard.method.variant}, but {'; '.join(rest)}")
        elif own := _lines({name: value for name, value in record.config.items() if name not in shared}):
            found.append("\n".join((names, *own)))
    return [text for text in found if text]


def _differing(config: Mapping[str, Any], standard: Mapping[str, Any]) -> dict[str, Any]:
    """What is not as in `standard`; of a section that both have, the entries that are not."""
    found = {name: value for name, value in config.items() if name not in standard or standard[name] != value}
    for name, value in found.items():
        if isinstance(value, dict) and isinstance(standard.get(name), dict):
            found[name] = _differing(value, standard[name])
    return found


def _lines(config: Mapping[str, Any]) -> list[str]:
    """A line a section; one that is empty has none."""
    return [_setting(name, value) for name, value in sorted(config.items()) if value != {}]


def _setting(name: str, value: Any) -> str:
    if isinstance(value, dict):
        return f"{name}: " + ", ".join(f"{key} {json.dumps(one)}" for key, one in value.items())
    return f"{name}: {value if isinstance(value, str) else json.dumps(value)}"


# --------------------------------------------------------------------------------------------------------------- words


def blocks(numbers: About) -> Sequence[Block]:
    """Facts and commands, folded."""
    return [
        Folded(
            TITLE,
            (
                Facts(_facts(numbers)),
                Paragraph(
                    "To make the runs again, in a copy of this project's repository; every run ends with this report:"
                ),
                Code(numbers.commands),
            ),
        )
    ]


def _facts(numbers: About) -> tuple[tuple[str, str], ...]:
    benchmark = f"{numbers.benchmark}, data set {numbers.dataset}, search space {numbers.search_space}"
    facts = (
        ("images", numbers.images),
        ("benchmark", benchmark),
        ("target", f"{numbers.target}; the best architecture has {percent(numbers.best_true)} %"),
        ("architectures scored", _scored(numbers)),
        ("methods", "\n".join(numbers.papers)),
        ("preset", ", ".join(numbers.presets)),
        ("protocol version", str(numbers.protocol)),
        ("device", "; ".join(numbers.devices)),
        ("versions", ", ".join(numbers.versions)),
        ("commit", ", ".join(numbers.commits) + (" with uncommitted changes" if numbers.dirty_runs else "")),
        ("table checksum", numbers.table_checksum),
        ("runs started", " to ".join(dict.fromkeys(numbers.started))),
        ("settings", "\n".join(numbers.settings)),
    )
    return tuple((name, value) for name, value in facts if value)


def _scored(numbers: About) -> str:
    if numbers.n_scored is None:
        return ""
    if numbers.n_scored[0] == numbers.n_arch:
        return f"all {numbers.n_arch:,}"
    return f"{count(numbers.n_scored)} of {numbers.n_arch:,}"


SECTION = Section("settings", about, blocks)
