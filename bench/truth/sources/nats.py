"""The table "nats": NATS-Bench's topology space, read through the package nats_bench; its only importer.

X. Dong, L. Liu, K. Musial, B. Gabrys, "NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and Size",
TPAMI 2021. The archive is the user's own: the folder NATS-tss-v1_0-3ffb9-simple, or the single
file NATS-tss-v1_0-3ffb9.pickle.pbz2, which is unpacked in memory as a whole. The result is kept, so both are read once.

Opening the archive unpickles it, and a pickle can run any code; hence `trust`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.truth.checks import Expected
from bench.truth.sources.archive import (
    Entry,
    check_record,
    check_topology,
    convert,
    incomplete,
    index_of,
    load_archive,
    progress,
    require_trust,
    unpickling,
)
from bench.truth.sources.official import PUBLISHED
from bench.truth.table import Source, Table

ARCHIVE = "the folder NATS-tss-v1_0-3ffb9-simple or a file NATS-tss-v1_0-3ffb9*.pickle.pbz2"


def load(path: Path | None = None, trust: bool = False) -> Table:
    """Load the table of the archive at `path` (without a path: the newest one converted so far).

    Converting it the first time needs `trust`. Raises `UserError`.
    """
    return load_archive("nats", path, ARCHIVE, lambda archive: build(archive, trust))


def build(archive: Path, trust: bool, expected: Expected = PUBLISHED) -> Table:
    """Convert an archive; `expected` is checked if it lists the whole space."""
    require_trust(archive, trust)
    api = open_archive(archive)
    check_topology(archive, api.meta_archs)
    if api.fast_mode:
        held = sum(_has_record(archive, place) for place in range(len(api)))
        if held < len(api):
            raise incomplete(archive, held, len(api))
    note = f"{len(api):,} architectures"
    source = Source(archive.name, "https://github.com/D-X-Y/NATS-Bench", "", "MIT", note)
    with unpickling(f"cannot read {archive} as a NATS-Bench archive"):
        return convert("nats", _entries(api), len(api), source, expected)


def open_archive(archive: Path) -> Any:
    """The package's own interface to the archive; runs what the pickle says, so ask for trust before."""
    from nats_bench import create

    with unpickling(f"{archive} is not a NATS-Bench archive"):
        return create(str(archive), "tss", fast_mode=archive.is_dir(), verbose=False)


def _entries(api: Any) -> Iterator[Entry]:
    """Every architecture that the archive holds; in the folder each is its own file, forgotten once it is read."""
    indices = index_of(api.meta_archs)
    for place in progress("nats", range(len(indices)), len(indices)):
        if api.fast_mode:
            api.reload(api.archive_dir, place)
        elif place not in api.arch2infos_dict:
            continue
        schedules = api.arch2infos_dict.pop(place) if api.fast_mode else api.arch2infos_dict[place]
        check_record(place, api.meta_archs[place], schedules)
        yield indices[place], schedules


def _has_record(folder: Path, place: int) -> bool:
    """As the package looks for it."""
    return any((folder / f"{number}.pickle.pbz2").exists() for number in (f"{place:06d}", f"{place}"))
