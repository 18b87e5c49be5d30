"""Presets: what they hold, mistakes in them, changes, and the samples that follow."""

from dataclasses import replace

import pytest

from bench.study.preset import (
    Preset,
    curve_archs,
    final_archs,
    load_preset,
    method_config,
    parse_preset,
    preset_from_dict,
    preset_names,
    ranking_archs,
    search_scoring,
    with_changes,
)
from mngnas.errors import UserError
from mngnas.methods.registry import method_entry
from mngnas.spaces.topology import TOPOLOGY
from tests.tiny import TINY


@pytest.mark.parametrize("name", preset_names())
def test_presets_that_come_with_the_package(name):
    preset = load_preset(name)
    assert preset.name == name
    assert preset.description
    for method in preset.methods:
        method_config(method_entry(method), preset, {})


@pytest.mark.parametrize("name", preset_names())
def test_settings_survive_the_way_through_json(name):
    preset = load_preset(name)
    assert preset_from_dict(name, preset.settings | {"description": preset.description}) == preset


def test_a_users_preset_is_a_file(tmp_path):
    (tmp_path / "mine.toml").write_text(TINY)
    preset = load_preset(str(tmp_path / "mine.toml"))
    assert (preset.name, preset.training.passes, preset.training.momentum) == ("mine", 100, 0.9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[traning]\npasses = 3", "unknown entry 'traning'; did you mean 'training'?"),
        ("[training]\npases = 3", "training: unknown entry 'pases'; did you mean 'passes'?"),
        ("[training]\npasses = 'many'", "training.passes = 'many' must be a int"),
        ("[training]\npasses = true", "training.passes = True must be a int"),
        ("[training]\nlearning_rate = inf", "training.learning_rate = inf must be above 0"),
        ("[scoring]\nnoise = nan", "scoring.noise = nan must be at least 0"),
        ("[curve]\narchs = 0", "curve.archs = 0 must be at least 1"),
        ("[images]\nshrink = -2", "images.shrink = -2 must be at least 1"),
        ("sample = 1.5", "sample = 1.5 must be a int"),
        ("sample = -1", "sample = -1 must be at least 0"),
        ("training = 3", "training must be a section"),
        ("[training", "is not TOML"),
        (f"sample = {'9' * 5000}", "is not TOML"),
        ("a = " + "[" * 100_000, "is not TOML: nested too deeply"),
        ("[scoring]\nimages = 10\nbatch_size = 3", "scoring.images = 10 is not a positive multiple"),
    ],
)
def test_mistakes_in_a_preset_are_named(text, message):
    with pytest.raises(UserError) as caught:
        parse_preset("mine", text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_files_that_are_no_presets(tmp_path):
    with pytest.raises(UserError, match="unknown preset 'gpus'; did you mean 'gpu'"):
        load_preset("gpus")
    with pytest.raises(UserError, match=r"there is no preset file .*none\.toml"):
        load_preset(str(tmp_path / "none.toml"))
    (tmp_path / "latin.toml").write_bytes("description = 'é'".encode("latin-1"))
    with pytest.raises(UserError, match=r"latin\.toml is not UTF-8 text \(byte 15\)"):
        load_preset(str(tmp_path / "latin.toml"))
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(UserError, match=r"cannot read preset file .*folder\.toml"):
        load_preset(str(tmp_path / "folder.toml"))


def test_a_methods_section_is_checked_by_its_settings():
    entry = method_entry("mngnas")
    preset = parse_preset("mine", "[mngnas]\nwarmup = 0.5\npool = 2")
    config = method_config(entry, preset, {"pool": 3})
    assert (config.warmup, config.pool, config.rounds) == (0.5, 3, 4)
    for changes, message in (
        ({"pol": 3}, "mngnas: unknown entry 'pol'; did you mean 'pool'"),
        ({"pool": "many"}, r"mngnas\.pool = 'many' must be a int"),
        ({"pool": 9}, r"mngnas\.pool = 9 must be at least 1 and at most 8"),
        ({"guides": "all"}, r"unknown mngnas\.guides 'all'"),
        ({"warmup": 0.95}, "the shares of search, retraining and perturbation are more than warmup leaves"),
    ):
        with pytest.raises(UserError, match=message):
            method_config(entry, preset, changes)
    with pytest.raises(UserError, match="strategy 'spos' has no settings to change"):
        method_config(method_entry("spos"), preset, {"pool": 3})


def test_changes_are_made_and_the_name_stays():
    preset = load_preset("digits")
    assert with_changes(preset, []) == preset
    changed = with_changes(preset, ["training.passes=100", "sample = 5", "mngnas.perturbation=off", "mngnas.cap=1"])
    assert (changed.name, changed.description) == (preset.name, preset.description)
    assert (changed.training.passes, changed.sample) == (100, 5)
    assert changed.methods["mngnas"] == {"perturbation": "off", "cap": 1}
    assert changed.training.learning_rate == preset.training.learning_rate


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("training.pases=3", "unknown entry 'pases'; did you mean 'passes'"),
        ("trainin.passes=3", "unknown section 'trainin'; did you mean 'training'"),
        ("training.passes=many", "training.passes = 'many' must be a int"),
        ("training=3", "training must be a section"),
        ("nonsense", "unknown entry 'nonsense'"),
        ("training.passes=0", "training.passes = 0 must be at least 1"),
    ],
)
def test_a_wrong_change_is_told(change, message):
    with pytest.raises(UserError, match=message):
        with_changes(load_preset("digits"), [change])


def test_samples_are_the_same_in_every_run():
    preset = Preset("any", sample=50)
    assert final_archs(TOPOLOGY, preset) == final_archs(TOPOLOGY, preset)
    assert len(set(final_archs(TOPOLOGY, preset))) == 50
    everything = [TOPOLOGY.to_index(arch) for arch in final_archs(TOPOLOGY, Preset("all"))]
    assert everything == list(range(TOPOLOGY.n_arch))
    assert len(curve_archs(TOPOLOGY, preset)) == preset.curve.archs
    same_size = replace(preset, sample=preset.curve.archs)
    samples = [curve_archs(TOPOLOGY, preset), final_archs(TOPOLOGY, same_size), ranking_archs(TOPOLOGY, 200)]
    assert len({tuple(sample) for sample in samples}) == 3


@pytest.mark.parametrize(("asked", "images"), [(30, 40), (40, 40), (50, 60), (500, 100), (1, 20)])
def test_a_search_uses_whole_scoring_batches(asked, images):
    text = f"[scoring]\nimages = 100\nbatch_size = 20\n[search]\nimages = {asked}"
    assert search_scoring(parse_preset("mine", text)).images == images


def test_the_description_is_no_part_of_the_settings():
    preset = load_preset("digits")
    assert replace(preset, description="other", name="other").settings == preset.settings
