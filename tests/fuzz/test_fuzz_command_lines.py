"""Command lines of every kind: exit status 0 or 2, one line for a mistake, and never a traceback."""

import random

import pytest

from bench.cli import COMMANDS, main
from mngnas.errors import UserError
from tests.fuzz.damage import ROUNDS, assert_one_line
from tests.tiny import TINY

WORDS = {
    "command": [
        "list",
        "run",
        "ablate",
        "report",
        "brief",
        "retrain",
        "pack",
        "data",
        "evaluate",
        "query",
        "leaderboard",
        "speed",
        "tables",
        "status",
        "evalute",
        "",
        "-",
        "--",
    ],
    "action": ["fetch", "build", "verify", "fech", "digits", "digits201", "nb201", "cifar10"],
    "option": [
        *("--benchmark", "--dataset", "--strategy", "--seeds", "--preset", "--set", "--like", "--out", "--device"),
        *("--jobs", "--methods-from", "--mirror", "--archive", "--trust-archive", "--rows", "--split", "--epochs"),
        *(
            "--resamples",
            "--metrics",
            "--column",
            "--json",
            "--archs",
            "--steps",
            "--seconds",
            "--svg",
            "--latency",
            "--help",
            "-h",
            "--no",
        ),
    ],
    "value": [
        *("digits201", "nb201", "nats", "nasbench201", "digits", "cifar10", "cpu", "cuda", "tpu", "valid", "test"),
        *(
            "spos",
            "mngnas[pool=2]",
            "mngnas[pool=",
            "mngnas[pool=nan]",
            "*",
            "!*",
            "spos,!spos",
            "fairnas[x=1]",
            "[",
            "]",
        ),
        *("0", "1", "3", "-1", "5-14", "7-5", "5-", "nan", "inf", "1e9", "1000000000", "9" * 5000, "٣", "0x10", "1_0"),
        *("training.passes=50", "training.passes=nan", "scoring.images=7", "supernet.stages=5", "=", ".", "a=b=c", "x"),
        *("~", "~nobody/x", "/", "/dev/null", "/dev/full", "/proc/self/mem", "..", "x" * 300, "é" * 300, "\x1b[31mred"),
        *("a\nb", "a\rb", "\u202e", "\ud800", "a\0b", "http://", "http://[::1", "ftp://x", "file://", "%s", "{}", "@x"),
        *("FILE", "FOLDER", "STUDY", "PRESET", "BINARY", "LOOP", "MISSING"),
    ],
}


OWN = {  # options that a command has: with others it goes no further
    "list": ["--methods-from"],
    "run": WORDS["option"][:15],
    "ablate": WORDS["option"][:15],
    "report": WORDS["option"][11:18],
    "brief": ["--archs", "--steps", "--jobs", "--mirror"],
    "retrain": ["--archs", "--passes", "--strategy", "--seeds", "--jobs"],
    "evaluate": [*WORDS["option"][:2], *WORDS["option"][11:21]],
    "query": ["--benchmark", "--mirror", "--archive", "--json", "--svg", "--latency", "--digits-order"],
    "leaderboard": [*WORDS["option"][:2], "--out", "--common", "--published", *WORDS["option"][11:21]],
    "speed": ["--seconds", "--device"],
    "tables": ["--out", "--check", "--published", "--scores", "--resamples", "--mirror", "--archive"],
}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Files and folders of every kind by the word that stands for them."""
    root = tmp_path_factory.mktemp("places")
    (root / "file.txt").write_text("hello\n\x1b[2J")
    (root / "folder").mkdir()
    (root / "study").mkdir()
    (root / "study" / "study.json").write_text("{}")
    (root / "p.toml").write_text(TINY)
    (root / "binary.npz").write_bytes(bytes(range(256)) * 8)
    (root / "loop").symlink_to(root / "loop")
    names = {"FILE": "file.txt", "FOLDER": "folder", "STUDY": "study", "PRESET": "p.toml", "BINARY": "binary.npz"}
    return {word: str(root / name) for word, name in (names | {"LOOP": "loop", "MISSING": "missing"}).items()}


def found(*_):
    """An earlier command line has begun a study there."""
    raise UserError("nothing is trained here")


@pytest.fixture
def idle(monkeypatch, tmp_path):
    """No process is started, nothing is trained, fetched or drawn; each test has a folder of its own."""

    class Idle:
        def __init__(self, parallel):
            assert parallel > 0

        def run(self, _jobs, _on_progress):
            return []

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bench.study.executor.LocalExecutor", Idle)
    monkeypatch.setattr("bench.cli.run.write_report", lambda *_: None)
    monkeypatch.setattr("bench.cli.report.write_report", lambda *_: None)
    monkeypatch.setattr("bench.cli.evaluate.command", lambda _options: None)  # its files have tests of their own
    monkeypatch.setattr("bench.cli.leaderboard.command", lambda _options: None)
    monkeypatch.setattr("bench.cli.speed.command", lambda _options: None)
    monkeypatch.setattr("bench.cli.data.build_command", lambda _options: None)
    monkeypatch.setattr("bench.cli.data.verify_command", lambda _options: None)
    monkeypatch.setattr("bench.study.brief.train_briefly", found)


def drawn(draw: random.Random, places) -> list[str]:
    """A command with options and values, mostly in an order that could make sense."""
    words = [draw.choice(WORDS["command"][: len(COMMANDS)]) if draw.random() < 0.9 else draw.choice(WORDS["command"])]
    if words == ["data"]:
        words.append(draw.choice(WORDS["action"]))
    if words[0] in ("report", "brief", "retrain", "pack", "evaluate", "leaderboard", "query", "status", "tables"):
        words.append(draw.choice(WORDS["value"]))
    for _ in range(draw.randrange(5)):
        own = OWN.get(words[0]) if draw.random() < 0.8 else None
        words.append(draw.choice(own or WORDS["option"]))
        if draw.random() < 0.9:
            words.append(draw.choice(WORDS["value"]))
    if words[0] in ("run", "ablate") and draw.random() < 0.7:
        words += ["--benchmark", "digits201", "--seeds", "1"][: draw.choice((2, 4))]
    return [places.get(word, word) for word in words]


@pytest.mark.usefixtures("empty_cache", "idle")
@pytest.mark.parametrize("part", range(10))
def test_any_command_line(places, capsys, part):
    draw = random.Random(100 + part)
    for _ in range(100 * ROUNDS):
        words = drawn(draw, places)
        try:
            status = main(words)
        except SystemExit as ended:  # of --help, or of a shorter form of it
            status = ended.code
        output = capsys.readouterr()
        assert status in (0, 2), words
        if status == 2:
            assert_one_line(output.err.splitlines()[-1])
        assert "Traceback" not in output.err + output.out
        assert "\x1b" not in output.err + output.out, words


@pytest.mark.parametrize("columns", ["0", "1", "5", "-3", "x", "100000"])
@pytest.mark.parametrize("command", [[], *([module.__name__.rpartition(".")[2]] for module in COMMANDS)], ids=str)
def test_help_on_every_terminal(monkeypatch, capsys, columns, command):
    monkeypatch.setenv("COLUMNS", columns)
    name = {"listing": "list"}.get(command[0], command[0]) if command else ""
    with pytest.raises(SystemExit) as ended:
        main([*([name] if name else []), "--help"])
    assert ended.value.code == 0
    assert "usage" in capsys.readouterr().out
