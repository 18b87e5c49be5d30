"""What a study holds fixed: the preset, a plain file that a user can copy and change, and the protocol's version."""

import tomllib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from bench.tables.table import Measure, Table
from mngnas.errors import UserError, unknown
from mngnas.images import Augmentation
from mngnas.retraining import RetrainingConfig
from mngnas.scoring import ScoringConfig
from mngnas.space import N_ARCH, Arch, from_index
from mngnas.strategies.mngnas import MngnasConfig
from mngnas.training import TrainingConfig

VERSION = 2  # raise it whenever the same preset and seed give other scores; results of two versions are not mixed


@dataclass(frozen=True)
class ImageConfig:
    """How the pictures are prepared."""

    shrink: int = 1  # every side divided by this number


@dataclass(frozen=True)
class SupernetConfig:
    """The size of the supernet; classes and input channels follow from the pictures."""

    channels: int = 16
    cells: int = 5
    stages: int = 3
    residual_reduction: bool = True  # the benchmark's; False is digits201's, see `mngnas.supernet.Skeleton`
    affine: bool = False


@dataclass(frozen=True)
class CurveConfig:
    """How often, and by how many random architectures, a supernet is scored while it trains."""

    points: int = 8  # equally spaced over the budget; a point before the first step comes on top
    archs: int = 200


@dataclass(frozen=True)
class SearchImages:
    """By how many validation images a strategy searches while it trains; all else is as in scoring."""

    images: int = 250  # rounded up to whole scoring batches, but no more than scoring has


@dataclass(frozen=True)
class Preset:
    """Everything that decides a run's numbers besides benchmark, data set, strategy and seed."""

    name: str
    description: str = ""
    sample: int = 0  # architectures scored at the end: 0 is all 15,625, n a random sample, the same in every run
    images: ImageConfig = field(default_factory=ImageConfig)
    supernet: SupernetConfig = field(default_factory=SupernetConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    augmentation: Augmentation = field(default_factory=Augmentation)
    scoring: ScoringConfig = field(default_factory=ScoringConfig)
    curve: CurveConfig = field(default_factory=CurveConfig)
    search: SearchImages = field(default_factory=SearchImages)
    mngnas: MngnasConfig = field(default_factory=MngnasConfig)
    retraining: RetrainingConfig = field(default_factory=RetrainingConfig)


_SECTIONS = {
    "images": ImageConfig,
    "supernet": SupernetConfig,
    "training": TrainingConfig,
    "augmentation": Augmentation,
    "scoring": ScoringConfig,
    "curve": CurveConfig,
    "search": SearchImages,
    "mngnas": MngnasConfig,
    "retraining": RetrainingConfig,
}
_PLAIN = ("description", "sample")


def preset_names() -> list[str]:
    """The presets that come with the package."""
    return sorted(file.name[:-5] for file in resources.files("bench.presets").iterdir() if file.name.endswith(".toml"))


def load_preset(name: str) -> Preset:
    """Read a preset by name, or a user's own file by its path (anything that ends in .toml); raises `UserError`."""
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise UserError(f"there is no preset file {name}")
        return parse_preset(path.stem, path.read_text(encoding="utf-8"))
    if name not in preset_names():
        raise unknown("preset", name, preset_names())
    return parse_preset(name, (resources.files("bench.presets") / f"{name}.toml").read_text(encoding="utf-8"))


def parse_preset(name: str, text: str) -> Preset:
    """Make a preset of TOML text; what it leaves out keeps its default."""
    try:
        return preset_from_dict(name, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"preset {name!r} is not TOML: {error}") from error


def preset_from_dict(name: str, content: dict[str, Any]) -> Preset:
    """Make a preset of nested dictionaries (TOML, or a record's `config`); refuses unknown and ill-typed entries."""
    made: dict[str, Any] = {"name": name}
    for key, value in content.items():
        if key in _PLAIN:
            made |= _checked(f"preset {name!r}: ", Preset, {key: value})
        elif key not in _SECTIONS:
            raise UserError(f"preset {name!r}: {unknown('entry', key, (*_PLAIN, *_SECTIONS))}")
        elif not isinstance(value, dict):
            raise UserError(f"preset {name!r}: {key} must be a section, [{key}]")
        else:
            made[key] = _SECTIONS[key](**_checked(f"preset {name!r}: {key}.", _SECTIONS[key], value))
    return Preset(**made)


def _checked(place: str, section: type, values: dict[str, Any]) -> dict[str, Any]:
    types = {f.name: type(f.default) for f in fields(section)}
    for key, value in values.items():
        if key not in types:
            raise UserError(f"{place.rstrip('.')}: {unknown('entry', key, types)}")
        fits = type(value) is types[key] or (types[key] is float and type(value) is int)
        if not fits or (isinstance(value, int | float) and value < 0):
            raise UserError(f"{place}{key} = {value!r} must be a {types[key].__name__}, not negative")
    return values


def with_changes(preset: Preset, changes: Iterable[str]) -> Preset:
    """The preset with entries replaced, "training.passes=1000" for example; its name then tells them."""
    content = asdict(preset)
    name = content.pop("name")
    for change in changes:
        path, _, text = change.partition("=")
        section, _, key = path.strip().rpartition(".")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text  # a word without its quotation marks
        if section and section not in _SECTIONS:
            raise UserError(f"--set {change}: {unknown('section', section, _SECTIONS)}")
        (content[section] if section else content)[key] = value
        name += f" {path.strip()}={text.strip()}"
    return preset_from_dict(name, content)


def search_config(preset: Preset) -> ScoringConfig:
    """How architectures are scored in a search during training."""
    batches = -(-preset.search.images // preset.scoring.batch_size)
    return replace(preset.scoring, images=min(max(1, batches) * preset.scoring.batch_size, preset.scoring.images))


def default_target(table: Table, dataset: str, split: str = "test", epochs: int | None = None) -> Measure:
    """The accuracy that predictions are compared with: by default after the longest training that the table has."""
    known = [m.epochs for m in table.measures if (m.dataset, m.split, m.kind) == (dataset, split, "accuracy")]
    measure = Measure(dataset, split, epochs if epochs is not None else max(known, default=200))
    table.values(measure)  # raises `UserError` with what there is
    return measure


def curve_sample(preset: Preset) -> list[Arch]:
    """The architectures scored during training: the same random ones in every run."""
    return _random_archs(preset.curve.archs, seed=0)


def final_archs(preset: Preset) -> list[Arch]:
    """The architectures scored at the end: all in the order of the official index, or the preset's sample."""
    return _random_archs(preset.sample or N_ARCH, seed=1)


def retrained_archs(preset: Preset) -> list[Arch]:
    """The architectures that are retrained one by one after the supernet's training: the same ones in every run."""
    return _random_archs(preset.retraining.archs, seed=2)


def _random_archs(n: int, seed: int) -> list[Arch]:
    picked = np.random.default_rng(seed).choice(N_ARCH, min(n, N_ARCH), replace=False)
    return [from_index(int(index)) for index in np.sort(picked)]
