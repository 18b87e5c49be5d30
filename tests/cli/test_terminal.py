"""Every standard output and error: closed, full, of few characters, of no columns; and messages of any text."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli import main
from bench.cli.terminal import MOST, line, streams
from mngnas.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
LIST, MISTAKE = "list", "pack nowhere"


def shell(command: str, **environment: str) -> subprocess.CompletedProcess:
    """A command of the shell, where $BENCH is the program."""
    program = f"{sys.executable} {ROOT / 'run_bench.py'}"
    known = {name: value for name, value in os.environ.items() if name not in ("PYTHONUTF8", "PYTHONIOENCODING")}
    return subprocess.run(
        ["bash", "-c", command.replace("$BENCH", program)], env=known | environment, capture_output=True, timeout=120
    )


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("$BENCH list >/dev/full", 2, "run_bench.py: cannot write to standard output: No space left on device\n"),
        ("$BENCH list --help >/dev/full", 2, "run_bench.py: cannot write to standard output: No space left"),
        ("$BENCH list >&-", 0, ""),
        ("$BENCH list 2>&-", 0, ""),
        ("$BENCH pack nowhere 2>&-", 2, ""),
        ("$BENCH pack nowhere 2>/dev/full", 2, ""),
        ("$BENCH pack nowhere >&- 2>&- <&-", 2, ""),
        ("$BENCH pack nowhere >/dev/full", 2, "run_bench.py: there is no study directory nowhere\n"),
        ("set -o pipefail; $BENCH list | head -1", 0, ""),
        ("set -o pipefail; $BENCH list | true", 0, ""),
        ("PYTHONIOENCODING=ascii $BENCH list", 0, ""),
        ("PYTHONIOENCODING=latin-1 $BENCH list", 0, ""),
        ("LC_ALL=C PYTHONCOERCECLOCALE=0 PYTHONUTF8=0 $BENCH list", 0, ""),
    ],
)
def test_streams_of_every_kind(command, status, said):
    done = shell(command)
    assert done.returncode == status, done
    assert done.stderr.decode().startswith(said)
    assert b"Traceback" not in done.stderr + done.stdout
    assert b"Exception ignored" not in done.stderr
    if not said:
        assert done.stderr == b""


def test_a_closed_output_is_no_other_file(tmp_path):
    """The first file that is opened would have its number, and get what is printed."""
    done = shell(f"cd {tmp_path}; $BENCH run --benchmark digits201 --strategy spos --seeds 1 --set sample=-1 >&- 2>&-")
    assert done.returncode == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_cannot_be_shown_is_replaced(monkeypatch, encoding):
    below = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", below)
    with streams():
        print("tau \u03c4\u2009=\u20091\x1b[31m\r\a\u202e \ud800 end")
    text = below.buffer.getvalue().decode(encoding)
    assert text.startswith("tau ")
    assert "\\x1b[31m\\r\\x07\\u202e \\ud800 end" in text
    assert sys.stdout is below


def test_output_that_is_lost_is_an_error_and_what_is_said_beside_it_is_not(monkeypatch):
    class Full(io.StringIO):
        def write(self, _text):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    monkeypatch.setattr(sys, "stderr", Full())
    with streams():
        print("aside", file=sys.stderr)
        with pytest.raises(UserError, match=r"cannot write to standard output: No space left on device"):
            print("result")


def test_closed_streams_take_everything(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["list"]) == 0
    assert main(["pack", "nowhere"]) == 2


@pytest.mark.parametrize("text", ["a\nb", "x" * 5000, "\x1b]0;title\a", "", "é" * 400, "a\u2028b", "\r\r"])
def test_a_message_is_one_line(text):
    shown = line(f"start {text} end")
    assert len(shown) <= MOST
    assert shown.isprintable()
    assert shown.startswith("start ")
    assert shown.endswith("end")


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J", "x" * 300, "y" * 5000])
def test_names_are_never_printed_raw(tmp_path, capsys, name):
    for words in (["pack", name], ["report", str(tmp_path / name)], ["run", "--preset", f"{name}.toml"]):
        assert main(words) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert error.strip().isprintable()
        assert len(error.strip()) <= MOST


@pytest.mark.parametrize("columns", [0, 1, 3, 10_000])
def test_progress_on_a_terminal_of_any_width(monkeypatch, columns):
    from bench.cli import progress
    from bench.study.executor import Progress

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(progress.os, "get_terminal_size", lambda *_: os.terminal_size((columns, 0)))
    monkeypatch.setattr(Terminal, "fileno", lambda _self: 2)
    with progress.shown() as show:
        show(Progress(3, 1, 0, 2, [], float("nan")))
    assert "1 of 3 done" in sys.stderr.getvalue() or columns in (1, 3)


@pytest.mark.parametrize("limit", [0, 100, 5000])
def test_a_full_disk_is_one_line(tmp_path, limit):
    """A file may not grow beyond the limit, as on a disk that is full."""
    code = (
        "import resource, sys; from bench.cli import main;"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
        f"sys.exit(main(['run', '--benchmark', 'digits201', '--strategy', 'spos', '--seeds', '1', '--set',"
        "'training.passes=20', '--set', 'sample=20', '--set', 'curve.archs=5', '--out',"
        f" {str(tmp_path / 'out')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("run_bench.py: ")
    assert not list(tmp_path.glob("out/.study.json.[0-9]*"))


@pytest.mark.parametrize("mirror", ["http://[::1", "/nowhere", "file://elsewhere/x", "~nobody-here"])
@pytest.mark.parametrize(
    "command", ["data fetch digits", "run --benchmark digits201 --set sample=-1", "report nowhere"]
)
def test_a_mirror_that_is_none_is_told_though_nothing_is_fetched(capsys, command, mirror):
    assert main([*command.split(), "--mirror", mirror]) == 2
    error = capsys.readouterr().err
    assert "is neither a folder nor an http(s) address" in error or "home folder that is not known" in error
