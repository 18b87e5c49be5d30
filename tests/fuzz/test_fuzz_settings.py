"""Every setting with every kind of senseless value, by --set and by file: told before anything starts, or the same."""

import json
import math
import random
from dataclasses import fields

import pytest

from bench.cli import main
from bench.cli.terminal import line
from bench.study.preset import _SECTIONS, PROTOCOL, Preset, check_methods, load_preset, parse_preset, with_changes
from mngnas.errors import UserError
from mngnas.methods.registry import methods
from tests.fuzz.damage import ROUNDS, assert_one_line, damaged

NUMBERS = (
    "nan",
    "inf",
    "-inf",
    "0",
    "-1",
    "-0.0",
    "1e308",
    "1e-320",
    "9" * 400,
    "9" * 5000,
    "0x" + "f" * 5000,
    "0.5",
    "3",
)
OTHERS = ("true", '"x"', "[]", "{}", "x", "", '"\\u001b[31m"', "[" * 3000, "1979-05-27", "''", '"' + "é" * 400 + '"')
FIELDS = [f"{name}.{one.name}" for name, section in _SECTIONS.items() for one in fields(section)] + ["sample"]
FIELDS += [f"{entry.info.name}.{one.name}" for entry in methods().values() for one in fields(entry.load().Config)]


def sound(preset: Preset) -> bool:
    """No number in it is NaN, infinite or absurd, and it is written and read back as it is."""
    text = json.dumps(preset.settings, allow_nan=False)
    numbers = [float(n) for n in _numbers(json.loads(text))]
    return all(math.isfinite(n) and abs(n) <= 1e9 for n in numbers)


def _numbers(value):
    if isinstance(value, dict):
        for one in value.values():
            yield from _numbers(one)
    elif isinstance(value, int | float):
        yield value


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_with_every_value(field):
    base = load_preset("digits")
    for value in (*NUMBERS, *OTHERS):
        try:
            preset = with_changes(base, [f"{field}={value}"])
            check_methods(preset)
            assert sound(preset)
        except UserError as error:
            assert_one_line(line(error))


def test_damaged_preset_files(tmp_path):
    draw, path = random.Random(4), tmp_path / "p.toml"
    content = (
        b'description = "mine"\nsample = 5\n[training]\npasses = 1_000\nlearning_rate = 0.2\n[scoring]\nimages = 300\n'
        b'batch_size = 150\nbatch_norm = "batch"\n[augmentation]\nflip = true\n[mngnas]\npool = 2\n'
    )
    for _ in range(300 * ROUNDS):
        path.write_bytes(damaged(content, draw))
        try:
            preset = load_preset(str(path))
            check_methods(preset)
            assert sound(preset)
        except UserError as error:
            assert_one_line(line(error))


@pytest.mark.parametrize(
    "content",
    [
        "é = 1".encode("latin1"),
        b"a = " + b"[" * 100_000,
        b"[a" + b".a" * 100_000 + b"]",
        b"sample = " + b"9" * 5000,
        b"\0",
    ],
)
def test_presets_of_no_text_and_without_end(tmp_path, content):
    (tmp_path / "p.toml").write_bytes(content)
    with pytest.raises(UserError) as raised:
        load_preset(str(tmp_path / "p.toml"))
    assert_one_line(line(raised.value))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("supernet.stages=5", "stages = 5 is too many for pictures of 8x8"),
        ("scoring.images=301", "scoring.images = 301 is not a positive multiple"),
        ("scoring.images=600", "scoring.images = 600 is more than the 300 validation images"),
        ("training.batch_size=601", "batch_size = 601 is more than the 600 training images"),
        ("images.shrink=3", "images.shrink = 3 does not divide the side of 8 pixels"),
        ("augmentation.crop=1000", "augmentation.crop = 1000 is more than the side of 8 pixels"),
        ("augmentation.cutout=1000", "augmentation.cutout = 1000 is more than the side"),
        ("supernet.channels=4096", None),
        ("mngnas.pool=nan", "mngnas.pool = nan must be a int"),
    ],
)
def test_what_contradicts_itself_is_told_before_anything_starts(monkeypatch, tmp_path, capsys, change, message):
    """Also for a method that is not asked for, and for a study that --like reads."""

    class NeverStarts:
        def __init__(self, parallel):
            pass

        def run(self, _jobs, _on_progress):
            assert message is None, "a process was started"
            return []

    monkeypatch.setattr("bench.study.executor.LocalExecutor", NeverStarts)
    monkeypatch.setattr("bench.cli.run.write_report", lambda *_: None)
    options = ["--benchmark", "digits201", "--strategy", "spos", "--seeds", "1", "--out", str(tmp_path / "out")]
    status = main(["run", *options, "--set", change])
    if message is not None:
        assert status == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


def test_presets_are_of_this_protocol():
    assert PROTOCOL == 4
    assert parse_preset("p", "").settings == Preset("p").settings
