"""The table "nasbench201": the original archive, read through the package nas_201_api; its only importer.

X. Dong, Y. Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", ICLR 2020. The
archive is the user's own file NAS-Bench-201-v1_1-096897.pth (or v1_0-e61699).

The file is a pickle, and a pickle can run any code when it is opened. Since version 2.6 torch refuses such files unless
told otherwise; the package's own reader does not tell it, so it fails. Here the file is opened with that protection
off, which is why `trust` must be given: say it only of a file from the authors whose checksum you have compared.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.truth.checks import Expected, Known, Optimum
from bench.truth.sources.archive import (
    Entry,
    check_record,
    check_space,
    convert,
    index_of,
    load_archive,
    progress,
    require_trust,
    unpickling,
)
from bench.truth.sources.official import OF_TOPOLOGY, SPACE, TEST
from bench.truth.table import Source, Table

ARCHIVE = "the file NAS-Bench-201-v1_1-096897.pth"

# Versions differ in their seeds, so these are wide enough for each and still tell another order of architectures.
EXPECTED = Expected(
    known=(Known(TEST["cifar10"], 0, 0.8586, tolerance=0.01),),
    optima=(Optimum(TEST["cifar10"], (), 0.9437, tolerance=0.003),),
)


class _Uncopied(dict[str, Any]):
    """A dictionary that the package's deepcopy takes as it is: a copy would double gigabytes of memory."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Uncopied":
        return self


def load(path: Path | None = None, trust: bool = False) -> Table:
    """Load the table of the archive at `path` (without a path: the newest one converted so far).

    Converting it the first time needs `trust`. Raises `UserError`.
    """
    return load_archive("nasbench201", path, ARCHIVE, lambda archive: build(archive, trust))


def build(archive: Path, trust: bool, expected: Expected = EXPECTED) -> Table:
    """Convert an archive; `expected` is checked if it lists the whole space."""
    require_trust(archive, trust)
    api = open_archive(archive)
    check_space(archive, api.meta_archs, SPACE)
    note = f"{len(api):,} architectures"
    source = Source(archive.name, "https://github.com/D-X-Y/NAS-Bench-201", "", "MIT", note)
    with unpickling(f"cannot read {archive} as a NAS-Bench-201 archive"):
        return convert("nasbench201", _entries(api), len(api), source, OF_TOPOLOGY, expected)


def open_archive(archive: Path) -> Any:
    """The package's own interface to the archive; runs what the pickle says, so ask for trust before."""
    import torch
    from nas_201_api import NASBench201API

    with unpickling(f"{archive} is not a NAS-Bench-201 archive"):
        content = torch.load(archive, map_location="cpu", weights_only=False)
        return NASBench201API(_Uncopied(content), verbose=False)


def _entries(api: Any) -> Iterator[Entry]:
    """Every architecture that the archive holds."""
    indices = index_of(api.meta_archs, SPACE)
    for place in progress("nasbench201", range(len(indices)), len(indices)):
        if place in api.arch2infos_dict:
            check_record(place, api.meta_archs[place], api.arch2infos_dict[place])
            yield indices[place], api.arch2infos_dict[place]
