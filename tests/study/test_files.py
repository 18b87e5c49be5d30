"""Drafts of killed processes go away, seals notice changes, and small files are small."""

import os
import subprocess
import sys
import threading
import time

import pytest

from bench.files import add_seal, clear_drafts, digest_of, is_as_sealed, read_bounded, write_atomically
from bench.study.jobs import LEASE, Lease

OLD = time.time() - 1000


def dead_process() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def aged(path):
    path.write_bytes(b"half")
    os.utime(path, (OLD, OLD))
    return path


def test_drafts_of_killed_processes_are_cleared_by_the_next_writer(tmp_path):
    dead = dead_process()
    gone = [aged(tmp_path / f".{name}.{dead}") for name in ("study.json", "checkpoint.pt", "runs.npz")]
    mine, fresh = aged(tmp_path / f".other.{os.getpid()}"), tmp_path / f".fresh.{dead}"
    fresh.write_bytes(b"may be another machine's")
    others = [aged(tmp_path / name) for name in (".notes", ".a.b", "x.123", f"{dead}", ".study.json.sha256")]
    write_atomically(tmp_path / "new", b"content")
    assert not any(path.exists() for path in gone)
    assert all(path.exists() for path in (mine, fresh, *others))
    assert (tmp_path / "new").read_bytes() == b"content"


def test_a_lease_clears_what_killed_processes_left(tmp_path):
    dead = dead_process()
    gone = [aged(tmp_path / name) for name in (f".status.json.{dead}", ".lease.abc", ".lease.after-abc", ".clock.abc")]
    assert Lease(tmp_path).acquire()
    assert not any(path.exists() for path in gone)
    assert [path.name for path in tmp_path.iterdir()] == [LEASE]


def test_a_writer_that_fails_leaves_no_draft(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _number: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match=r"No space left"):
        write_atomically(tmp_path / "a", b"content")
    assert not list(tmp_path.iterdir())


def test_nothing_is_cleared_in_a_folder_that_is_gone(tmp_path):
    clear_drafts(tmp_path / "nowhere")


def test_a_seal_knows_what_was_meant(tmp_path):
    path, (one, two) = tmp_path / "a.json", map(digest_of, (b"one", b"two"))
    assert is_as_sealed(path, one)  # older files have no seal
    add_seal(path, one)
    assert is_as_sealed(path, one)
    assert not is_as_sealed(path, two)
    threads = [threading.Thread(target=add_seal, args=(path, digest_of(bytes([i])))) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(is_as_sealed(path, digest_of(bytes([i]))) for i in range(8))


def test_a_device_without_end_is_no_settings(tmp_path):
    (tmp_path / "small").write_bytes(b"abc")
    assert read_bounded(tmp_path / "small", 3) == b"abc"
    with pytest.raises(OSError, match=r"more than 2 bytes"):
        read_bounded(tmp_path / "small", 2)
