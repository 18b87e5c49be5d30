"""The ground-truth tables by name: one entry a table, one module a source, imported only when it is asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.truth.table import Measure, Source, Table
from mngnas.errors import UserError, unknown
from mngnas.spaces.size import SIZE
from mngnas.spaces.topology import TOPOLOGY

__all__ = ["TABLES", "Measure", "Source", "Table", "TableRequest", "TableSource", "load_table"]

_TOPOLOGY = TOPOLOGY.name
_OFFICIAL = ("cifar10", "cifar100", "imagenet16-120")


@dataclass(frozen=True)
class TableRequest:
    """What the user said about where a table comes from."""

    mirror: str | None = None  # a folder or an http(s) address for files that would be downloaded
    path: Path | None = None  # the user's own archive, or a folder with the files
    trust: bool = False  # whether the archive's pickles may be opened


@dataclass(frozen=True)
class TableSource:
    """A benchmark that can be measured against."""

    name: str
    description: str
    space: str  # name of its search space
    datasets: tuple[str, ...]
    load: Callable[[TableRequest], Table]
    is_cached: Callable[[TableRequest], bool]  # whether `load` needs neither the network nor an archive


def _load_nb201(request: TableRequest) -> Table:
    from bench.truth.sources import nb201

    if request.path is not None and not request.path.is_dir():
        raise UserError(f"table 'nb201' is made from six files: {request.path} is not a folder that holds them")
    if request.path is not None:
        nb201.require_files(request.path)
    return nb201.load(str(request.path) if request.path else request.mirror)


def _nb201_is_cached(_request: TableRequest) -> bool:
    from bench.truth.sources import nb201

    return nb201.cached_table().exists()


def _load_nats(request: TableRequest) -> Table:
    from bench.truth.sources import nats

    return nats.load("nats", request.path, request.trust)


def _load_nats_size(request: TableRequest) -> Table:
    if request.path is not None:
        from bench.truth.sources import nats

        return nats.load("nats-size", request.path, request.trust)
    from bench.truth.sources import nats_size

    return nats_size.load(request.mirror)


def _nats_size_is_cached(request: TableRequest) -> bool:
    from bench.truth.sources import archive, nats_size

    return archive.is_converted("nats-size", request.path) if request.path else nats_size.cached_table().exists()


def _load_nasbench201(request: TableRequest) -> Table:
    from bench.truth.sources import nasbench201

    return nasbench201.load(request.path, request.trust)


def _load_digits201(request: TableRequest) -> Table:
    from bench.truth.sources import digits201

    return digits201.load(request.path)


def _digits201_is_cached(request: TableRequest) -> bool:
    from bench.truth.sources import digits201

    return request.path is not None or digits201.PATH.exists()


def _is_converted(name: str) -> Callable[[TableRequest], bool]:
    def is_cached(request: TableRequest) -> bool:
        from bench.truth.sources import archive

        return archive.is_converted(name, request.path)

    return is_cached


TABLES: dict[str, TableSource] = {
    source.name: source
    for source in (
        TableSource(
            "nb201",
            "NAS-Bench-201 from compact public extracts (8 MB, fetched once): accuracies after 12 and 200 epochs",
            _TOPOLOGY,
            _OFFICIAL,
            _load_nb201,
            _nb201_is_cached,
        ),
        TableSource(
            "nats",
            "NATS-Bench's topology space from your own NATS-tss archive: accuracies and losses",
            _TOPOLOGY,
            _OFFICIAL,
            _load_nats,
            _is_converted("nats"),
        ),
        TableSource(
            "nasbench201",
            "NAS-Bench-201 from your own NAS-Bench-201-v1_1 .pth archive: accuracies and losses",
            _TOPOLOGY,
            _OFFICIAL,
            _load_nasbench201,
            _is_converted("nasbench201"),
        ),
        TableSource(
            "nats-size",
            "NATS-Bench's size space: validation accuracies (0.8 MB, fetched once), or your own NATS-sss archive",
            SIZE.name,
            _OFFICIAL,
            _load_nats_size,
            _nats_size_is_cached,
        ),
        TableSource(
            "digits201",
            "8x8 digits on one core, made by this project and part of it: accuracies and losses after 3 and 8 epochs",
            _TOPOLOGY,
            ("digits",),
            _load_digits201,
            _digits201_is_cached,
        ),
    )
}


def load_table(name: str, *, mirror: str | None = None, path: Path | None = None, trust: bool = False) -> Table:
    """Load a table by name; see `TableRequest` for the rest. Raises `UserError`, also for a name that is unknown."""
    if name not in TABLES:
        raise unknown("benchmark", name, TABLES)
    return TABLES[name].load(TableRequest(mirror, path, trust))
