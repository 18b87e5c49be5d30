"""NATS-Bench's own archives, read through the package nats_bench: the table "nats", and "nats-size" with an archive.

X. Dong, L. Liu, K. Musial, B. Gabrys, "NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and Size",
TPAMI 2021. An archive is the user's own: the folder NATS-tss-v1_0-3ffb9-simple or NATS-sss-v1_0-50262-simple, or the
single file of the same name with .pickle.pbz2, which is unpacked in memory as a whole. The result is kept, so it is
read once.

Opening an archive unpickles it, and a pickle can run any code; hence `trust`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.truth.checks import Expected
from bench.truth.sources.archive import (
    Entry,
    check_record,
    check_space,
    convert,
    incomplete,
    index_of,
    load_archive,
    progress,
    require_trust,
    unpickling,
)
from bench.truth.sources.official import OF_SIZE, OF_TOPOLOGY, Official
from bench.truth.table import Source, Table

_OFFICIAL = {"nats": OF_TOPOLOGY, "nats-size": OF_SIZE}  # by the name of the table
_SHORT_NAME = {"nats": "tss", "nats-size": "sss"}  # of the space, in the package and in the archives' names
_WHAT = "the folder NATS-{0}-v1_0-{1}-simple or a file NATS-{0}-v1_0-{1}*.pickle.pbz2"
_ARCHIVE = {"nats": _WHAT.format("tss", "3ffb9"), "nats-size": _WHAT.format("sss", "50262")}


def load(name: str, path: Path | None = None, trust: bool = False) -> Table:
    """Load the table `name` of the archive at `path` (without a path: the newest one converted so far).

    Converting it the first time needs `trust`. Raises `UserError`.
    """
    return load_archive(name, path, _ARCHIVE[name], lambda archive: build(name, archive, trust))


def build(name: str, archive: Path, trust: bool, expected: Expected | None = None) -> Table:
    """Convert an archive; what is published (or `expected`) is checked if it lists the whole space."""
    require_trust(archive, trust)
    official, api = _OFFICIAL[name], open_archive(archive, name)
    check_space(archive, api.meta_archs, official.space)
    if api.fast_mode:
        held = sum(_has_record(archive, place) for place in range(len(api)))
        if held < len(api):
            raise incomplete(archive, held, len(api))
    note = f"{len(api):,} architectures"
    source = Source(archive.name, "https://github.com/D-X-Y/NATS-Bench", "", "MIT", note)
    expected = official.expected if expected is None else expected
    with unpickling(f"cannot read {archive} as a NATS-Bench archive"):
        return convert(name, _entries(name, api, official), len(api), source, official, expected)


def open_archive(archive: Path, name: str) -> Any:
    """The package's own interface to the archive; runs what the pickle says, so ask for trust before."""
    from nats_bench import create

    with unpickling(f"{archive} is not a NATS-Bench archive"):
        return create(str(archive), _SHORT_NAME[name], fast_mode=archive.is_dir(), verbose=False)


def _entries(name: str, api: Any, official: Official) -> Iterator[Entry]:
    """Every architecture that the archive holds; in the folder each is its own file, forgotten once it is read."""
    indices = index_of(api.meta_archs, official.space)
    for place in progress(name, range(len(indices)), len(indices)):
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
