"""Presets: everything that decides a run's numbers besides benchmark, data set, method and seed.

A preset is a plain TOML file that a user can copy and change. Its sections are those of `mngnas.settings`, and one for
each method that needs other settings than its defaults, named after the method.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from bench.files import read_bounded
from mngnas.errors import UserError, unknown
from mngnas.methods.registry import MethodEntry, methods, toml_value
from mngnas.seeds import Sample, sample_generator
from mngnas.settings import (
    Augmentation,
    CurveConfig,
    ImageConfig,
    RetrainingConfig,
    ScoringConfig,
    SearchConfig,
    Settings,
    SupernetConfig,
    TrainingConfig,
    setting,
    shown,
)
from mngnas.spaces import Arch, Space

PROTOCOL = 4  # raise it whenever the same preset and seed give other scores; results of two versions are not mixed

_S = TypeVar("_S", bound=Settings)
_FOLDER = "bench.study.presets"
_MOST_BYTES = 100_000  # of a preset file


@dataclass(frozen=True)
class Preset(Settings):
    """All settings. Name and description say nothing about the numbers."""

    name: str
    description: str = ""
    sample: int = setting(0)  # architectures scored at the end: 0 is all, n a random sample, the same in every run
    images: ImageConfig = field(default_factory=ImageConfig)
    supernet: SupernetConfig = field(default_factory=SupernetConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    augmentation: Augmentation = field(default_factory=Augmentation)
    scoring: ScoringConfig = field(default_factory=ScoringConfig)
    curve: CurveConfig = field(default_factory=CurveConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    retraining: RetrainingConfig = field(default_factory=RetrainingConfig)
    methods: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # a method's section, checked by its Config

    @property
    def settings(self) -> dict[str, Any]:
        """What decides numbers, by section, as JSON types."""
        content = asdict(self)
        del content["name"], content["description"]
        methods: dict[str, Any] = content.pop("methods")
        return content | methods


_SECTIONS: dict[str, type[Settings]] = {
    section.section: section
    for section in (
        *(ImageConfig, SupernetConfig, TrainingConfig, Augmentation),
        *(ScoringConfig, CurveConfig, SearchConfig, RetrainingConfig),
    )
}
_PLAIN = ("description", "sample")


def preset_names() -> list[str]:
    """The presets that come with the package."""
    return sorted(f.name.removesuffix(".toml") for f in resources.files(_FOLDER).iterdir() if f.name.endswith(".toml"))


def load_preset(name: str, folders: tuple[Path, ...] = ()) -> Preset:
    """Read a preset by name, or a user's own file by its path (anything that ends in .toml); raises `UserError`.

    `folders` hold methods of the user, which may have sections too.
    """
    if not name.endswith(".toml"):
        if name not in preset_names():
            raise unknown("preset", name, preset_names())
        return parse_preset(name, (resources.files(_FOLDER) / f"{name}.toml").read_text(encoding="utf-8"), folders)
    path = Path(name)
    try:
        return parse_preset(path.stem, read_bounded(path, _MOST_BYTES).decode("utf-8"), folders)
    except FileNotFoundError as error:
        raise UserError(f"there is no preset file {name}") from error
    except OSError as error:
        raise UserError(f"cannot read preset file {name}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"preset file {name} is not UTF-8 text (byte {error.start})") from error


def parse_preset(name: str, text: str, folders: tuple[Path, ...] = ()) -> Preset:
    """Make a preset of TOML text; what it leaves out keeps its default."""
    try:
        return preset_from_dict(name, tomllib.loads(text), folders)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]
        raise UserError(f"preset {name!r} is not TOML: {reason}") from error


def preset_from_dict(name: str, content: Mapping[str, Any], folders: tuple[Path, ...] = ()) -> Preset:
    """Make a preset of nested dictionaries; refuses unknown, ill-typed and senseless entries."""
    made: dict[str, Any] = {"name": name, "methods": {}}
    known = methods(folders)
    for key, value in content.items():
        if key in _PLAIN:
            made |= _checked(f"preset {name!r}: ", Preset, {key: value})
        elif key not in _SECTIONS and key not in known:
            raise UserError(f"preset {name!r}: {unknown('entry', key, (*_PLAIN, *_SECTIONS, *known))}")
        elif not isinstance(value, dict):
            raise UserError(f"preset {name!r}: {key} must be a section, [{key}]")
        elif key in _SECTIONS:
            made[key] = made_settings(_SECTIONS[key], value, f"preset {name!r}: {key}.")
        else:
            made["methods"][key] = value
    return Preset(**made)


def made_settings(section: type[_S], values: Mapping[str, Any], place: str) -> _S:
    """Settings of plain values; raises `UserError` for an unknown name and a wrong type, which begins with `place`."""
    return section(**_checked(place, section, values))


def _checked(place: str, section: type, values: Mapping[str, Any]) -> dict[str, Any]:
    types = {f.name: type(f.default) for f in fields(section)}
    found = dict(values)
    for key, value in values.items():
        if key not in types:
            raise UserError(f"{place.rstrip('.')}: {unknown('entry', key, types)}")
        wanted = types[key]
        if wanted is float and type(value) is int and abs(value) < 10**300:
            found[key] = float(value)
        elif type(value) is not wanted:
            raise UserError(f"{place}{key} = {shown(value, 60)} must be a {wanted.__name__}")
    return found


def with_changes(preset: Preset, changes: Iterable[str], folders: tuple[Path, ...] = ()) -> Preset:
    """The preset with entries replaced, "training.passes=1000" for example; name and description stay."""
    content = preset.settings | {"description": preset.description}
    for change in changes:
        path, _, text = change.partition("=")
        section, _, key = path.strip().rpartition(".")
        if section and section not in _SECTIONS and section not in methods(folders):
            raise UserError(f"--set {change}: {unknown('section', section, (*_SECTIONS, *methods(folders)))}")
        if section:
            content[section] = content.get(section, {}) | {key: toml_value(text.strip())}
        else:
            content[key] = toml_value(text.strip())
    return preset_from_dict(preset.name, content, folders)


def method_config(entry: MethodEntry, preset: Preset, changes: Mapping[str, Any]) -> Settings:
    """A method's settings: its defaults, then the preset's section, then a variant's changes; raises `UserError`."""
    name, config = entry.info.name, entry.load().Config
    if changes and not fields(config):
        raise UserError(f"strategy {name!r} has no settings to change")
    return made_settings(config, {**preset.methods.get(name, {}), **changes}, f"{name}.")


def check_methods(preset: Preset, folders: tuple[Path, ...] = ()) -> None:
    """Raise `UserError` for a section of a method with a senseless entry, whether the method is asked for or not."""
    for name in preset.methods:
        method_config(methods(folders)[name], preset, {})


# ------------------------------------------------------------------------------------------------- what follows from it


def search_scoring(preset: Preset) -> ScoringConfig:
    """How architectures are scored by a method while it goes on."""
    batches = -(-preset.search.images // preset.scoring.batch_size)
    return replace(preset.scoring, images=min(max(1, batches) * preset.scoring.batch_size, preset.scoring.images))


def curve_archs(space: Space, preset: Preset) -> list[Arch]:
    """The architectures scored while a run goes on: the same random ones in every run."""
    return _random_archs(space, preset.curve.archs, Sample.CURVE)


def final_archs(space: Space, preset: Preset) -> list[Arch]:
    """The architectures scored at the end: all in the order of the official index, or the preset's sample."""
    return _random_archs(space, preset.sample or space.n_arch, Sample.FINAL)


def ranking_archs(space: Space, n: int) -> list[Arch]:
    """The random sample of a ranking that does not take all: the same architectures in every run."""
    return _random_archs(space, n, Sample.RETRAINED)


def _random_archs(space: Space, n: int, sample: Sample) -> list[Arch]:
    return [space.from_index(int(index)) for index in space.sample_indices(n, sample_generator(sample))]
