"""Scores of all architectures that others published: supernets and training-free scores, recomputed by nobody here.

published.toml says of each table which files it is made of, at which commit, and under which protocol. Supernets are
told apart by training length, width and the images scored, which change their correlations more than methods do.
"""

import math
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from bench.board.entries import Entry, prediction_entry
from bench.board.parts import joined_columns
from bench.scores.read import read_score_columns
from mngnas.data.download import RemoteFile, cached_path, fetch, github_raw
from mngnas.spaces import space_named


@dataclass(frozen=True)
class Published:
    """One table of scores: its files hold different architectures, or there is one."""

    label: str
    kind: str
    files: tuple[RemoteFile, ...]
    space: str
    dataset: str
    origin: str  # repository@commit
    protocol: dict[str, str]
    seeds: tuple[int, ...] = ()
    passes: float = math.nan
    seconds: str = ""  # name of the column of seconds, "" where there is none


@lru_cache(maxsize=1)
def published() -> tuple[Published, ...]:
    """All that are known, in the order of published.toml."""
    content = tomllib.loads((Path(__file__).parent / "published.toml").read_text(encoding="utf-8"))
    return tuple(_published(source, row) for source in content["source"] for row in source["row"])


def _published(source: dict[str, Any], row: dict[str, Any]) -> Published:
    where = source["repository"], source["commit"]
    passes = row["epochs"] * row["pictures"] / row["batch"] if "epochs" in row else math.nan
    return Published(
        row["label"],
        row["kind"],
        tuple(_file(source, where, file) for file in row["files"]),
        source["space"],
        source["dataset"],
        "@".join((where[0], where[1][:8])),
        {"by": source["paper"], **row["protocol"]},
        (row["seed"],) if "seed" in row else (),
        passes,
        row.get("seconds", ""),
    )


def _file(source: dict[str, Any], where: tuple[str, str], file: dict[str, Any]) -> RemoteFile:
    address, about = github_raw(*where, file["path"]), (source["licence"], f"github.com/{where[0]}")
    return RemoteFile(file["name"], source["group"], address, f"sha256:{file['sha256']}", file["bytes"], *about)


def matching(space: str, dataset: str) -> list[Published]:
    """Those of a search space and the data set that their networks saw."""
    return [one for one in published() if (one.space, one.dataset) == (space, dataset)]


def are_cached(space: str, dataset: str) -> bool:
    """Whether there are some, and reading them needs no network."""
    found = matching(space, dataset)
    return bool(found) and all(cached_path(file).exists() for one in found for file in one.files)


def published_entries(space: str, dataset: str, mirror: str | None = None) -> list[Entry]:
    """An entry for each column of the matching tables, fetched where the cache has none; [] where none matches."""
    return [entry for one in matching(space, dataset) for entry in _entries(one, mirror)]


def _entries(one: Published, mirror: str | None) -> Iterator[Entry]:
    space = space_named(one.space)
    paths = [fetch(file, mirror=mirror) for file in one.files]
    tables = [read_score_columns(path, space=space) for path in paths]
    columns = joined_columns(paths, tables) if len(tables) > 1 else tables[0]
    seconds = _seconds(one, paths[0]) if one.seconds else math.nan
    for found in columns:
        name = found.score_column
        yield prediction_entry(
            found,
            space,
            name=name or one.label,
            label=f"{name} ({one.label})" if name else one.label,
            source=one.origin,
            kind=one.kind,
            protocol=one.protocol,
            seeds=one.seeds,
            passes=one.passes,
            seconds=seconds,
        )


def _seconds(one: Published, path: Path) -> float:
    """What scoring all took."""
    (found,) = read_score_columns(path, one.seconds, space=space_named(one.space))
    return float(np.sum(found.score))
