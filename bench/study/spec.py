"""A study: one directory, one preset, methods x seeds.

    STUDY/study.json       what all runs have in common, and which there are: enough to make them again
    STUDY/.study.json.sha256   digests of what decides numbers in it, so that a flipped bit is noticed
    STUDY/<run>/           one run: record.json and scores.npz at its end, a checkpoint until then
    STUDY/report/          made anew from the runs at any time

The same command goes on where a killed or interrupted one stopped, and adds runs to a study if it asks for more.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.files import add_seal, digest_of, is_as_sealed, read_bounded, seal_path, write_atomically
from bench.study.preset import PROTOCOL, Preset, preset_from_dict
from bench.study.records import MethodRef
from mngnas.errors import UserError
from mngnas.methods.info import TOLD
from mngnas.methods.registry import method_entry

STUDY = "study.json"
FORMAT = 2
NO_IMAGES = "no pictures"  # of a study whose methods only search the table
_FREE = ("mirror", "archive", "methods_from", "made_by", "preset")  # of the preset only the settings decide numbers


@dataclass(frozen=True)
class PlannedRun:
    """One method with one seed."""

    method: str
    changes: Mapping[str, Any]  # field of the method's settings -> value
    seed: int

    @property
    def name(self) -> str:
        """Of its directory."""
        variant = MethodRef(self.method, self.changes).variant
        plain = re.sub(r"[^\w.=,+-]+", "_", variant).strip("_")
        if len(plain) > 80:
            plain = f"{plain[:60]}-{hashlib.sha256(variant.encode()).hexdigest()[:8]}"
        return f"{plain}-seed{self.seed}"


@dataclass(frozen=True)
class Study:
    """What all runs of a study have in common, and the runs."""

    benchmark: str
    space: str
    dataset: str
    images: str  # what the pixels are, for example "CIFAR-10 (JPEG)"
    preset: Preset  # with all changes made
    changes: tuple[str, ...]  # of the preset as it was named, "training.passes=1000" for example
    table_checksum: str
    device: str  # "cpu" or "cuda"
    runs: tuple[PlannedRun, ...] = ()
    protocol: int = PROTOCOL
    mirror: str | None = None  # where pictures and tables may come from; this and the next two may change later
    archive: str | None = None  # the user's own archive of ground truth
    methods_from: tuple[str, ...] = ()  # folders of the user's own methods
    made_by: tuple[str, ...] = ()  # the commands of an older version that made the runs, if one did

    @property
    def method_folders(self) -> tuple[Path, ...]:
        """The folders of the user's own methods."""
        return tuple(map(Path, self.methods_from))

    @property
    def asks_the_table(self) -> bool:
        """Whether a run is told some of the table's numbers; all other scores hold for any; raises `UserError`."""
        names = {run.method for run in self.runs}
        return any(method_entry(name, self.method_folders).info.kind in TOLD for name in names)

    @property
    def identity(self) -> dict[str, Any]:
        """What two commands must agree in to belong to one study."""
        names = ("benchmark", "space", "dataset", "images", "table_checksum", "device", "protocol")
        return {name: getattr(self, name) for name in names} | {"settings": self.preset.settings}


def run_directory(study: Path, run: PlannedRun) -> Path:
    """Where a run of the study lies."""
    return study / run.name


def open_study(directory: Path, study: Study) -> Study:
    """Begin a study in `directory`, or add runs to the one there; returns it with all its runs.

    Raises `UserError` if the one there differs in anything that decides numbers. Those of the table decide none where
    no run asks it: the study goes on with the table as it is now.
    """
    if (directory / STUDY).exists():
        known = load_study(directory)
        for name, value in study.identity.items():
            if known.identity[name] != value and (
                name != "table_checksum" or known.asks_the_table or study.asks_the_table
            ):
                raise UserError(
                    f"{directory} is a study with another {name.replace('_', ' ')}"
                    f"{_difference(known.identity[name], value)}: choose another --out"
                )
        study = replace(study, runs=tuple(_different([*known.runs, *study.runs])))
    elif directory.is_dir() and any(directory.iterdir()):
        raise UserError(f"{directory} is neither empty nor a study: choose another --out")
    save_study(directory, study)
    return study


def check_table(place: Path, study: Study, checksum: str) -> None:
    """Raise `UserError` if a run of the study is told numbers of its table and that one is another today."""
    if checksum != study.table_checksum and study.asks_the_table:
        raise UserError(f"{place} was made with another table {study.benchmark!r}")


def check_protocol(place: Path, study: Study) -> None:
    """Raise `UserError` if the same settings and seeds gave other scores when the study was made."""
    if study.protocol != PROTOCOL:
        raise UserError(f"{place} is of protocol {study.protocol}, this is {PROTOCOL}: check out its commit first")


def save_study(directory: Path, study: Study) -> None:
    """Write STUDY/study.json; raises `UserError`."""
    path, content = directory / STUDY, _to_json(study)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        known = [_digest(json.loads(read_bounded(path).decode("utf-8")))] if path.exists() else []
        add_seal(path, *(known if not seal_path(path).exists() else ()), _digest(content))
        write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())
    except OSError as error:
        raise UserError(f"cannot write {directory / STUDY}: {error.strerror or error}") from error


def load_study(place: Path) -> Study:
    """Read a study by its directory or by its file; raises `UserError`."""
    path = place / STUDY if place.is_dir() else place
    try:
        content = json.loads(read_bounded(path).decode("utf-8"))
        if content.get("format") != FORMAT:
            raise UserError(f"{path} is of an older version, which only `report` reads")
        digest = _digest(content)
        study = _from_json(content)
        if not is_as_sealed(path, digest):
            raise UserError(
                f"{path} was changed after it was written, by hand or by a failing disk; if you did, delete"
                f" {seal_path(path).name} beside it"
            )
        return study
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{place} is not a study: it has no {STUDY}") from error
    except (OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise UserError(f"{path} is not readable ({type(error).__name__}: {error})") from error


def load_for_more(directory: Path, mirror: str | None) -> Study:
    """Read the study of more work than its runs; a mirror that is given is its own from now on. Raises `UserError`."""
    study = load_study(directory)
    if mirror not in (None, study.mirror):
        study = replace(study, mirror=mirror)
        save_study(directory, study)  # from where the jobs know it
    return study


def _digest(content: Mapping[str, Any]) -> str:
    """Of what decides numbers: where things come from and what they are called may be changed by hand."""
    counts = {name: value for name, value in content.items() if name not in _FREE}
    counts["preset"] = content["preset"]["settings"]
    return digest_of(json.dumps(counts, sort_keys=True).encode())


def _to_json(study: Study) -> dict[str, Any]:
    content = {name: getattr(study, name) for name in study.__dataclass_fields__ if name not in ("preset", "runs")}
    groups: dict[str, dict[str, Any]] = {}
    for run in study.runs:
        key = json.dumps([run.method, run.changes])
        group = groups.setdefault(key, {"method": run.method, "changes": dict(run.changes), "seeds": []})
        group["seeds"].append(run.seed)
    preset = {"name": study.preset.name, "description": study.preset.description, "settings": study.preset.settings}
    return {"format": FORMAT} | content | {"preset": preset, "runs": list(groups.values())}


def _from_json(content: dict[str, Any]) -> Study:
    preset, groups = content.pop("preset"), content.pop("runs")
    del content["format"]
    for name in ("changes", "methods_from", "made_by"):
        content[name] = tuple(content[name])
    folders = tuple(path for path in map(Path, content["methods_from"]) if path.is_dir())
    settings = preset["settings"] | {"description": preset["description"]}
    runs = tuple(PlannedRun(g["method"], dict(g["changes"]), seed) for g in groups for seed in g["seeds"])
    if not all(type(run.seed) is int and run.seed >= 0 and isinstance(run.method, str) for run in runs):
        raise ValueError("a run has no method or no seed")
    for name in ("benchmark", "space", "dataset", "images", "table_checksum", "device"):
        if not isinstance(content[name], str):
            raise ValueError(f"{name} is no text")
    for name in ("mirror", "archive"):
        if not isinstance(content.get(name), str | None):
            raise ValueError(f"{name} is no text")
    return Study(preset=preset_from_dict(preset["name"], settings, folders), runs=runs, **content)


def _different(runs: Iterable[PlannedRun]) -> list[PlannedRun]:
    return list({run.name: run for run in runs}.values())


def _difference(known: object, wanted: object) -> str:
    if isinstance(known, dict) and isinstance(wanted, dict):
        differ = [name for name in known | wanted if known.get(name) != wanted.get(name)]
        return f" (they differ in {', '.join(differ)})"
    return f" ({known}, not {wanted})"
