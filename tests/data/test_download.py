import hashlib
import os
import re
import signal
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mngnas.data import download
from mngnas.data.download import RemoteFile, cache_dir, cached_path, fetch
from mngnas.errors import UserError

BODY = bytes(range(256)) * 4096  # 1 MiB


@dataclass
class Site:
    """What the loopback server answers and what it was asked."""

    address: str = ""
    body: bytes = BODY
    ranges: bool = True
    cut_at: int | None = None  # close the connection after so many bytes of the body, once
    stall_at: int | None = None  # stop sending there and keep the connection open
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def site():
    state = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            asked = self.headers.get("Range")
            state.requests.append((self.path, asked))
            if "absent" in self.path:
                self.send_error(404)
                return
            start = int(asked.split("=")[1].rstrip("-")) if asked and state.ranges else 0
            if start >= len(state.body):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(state.body) - 1}/{len(state.body)}")
            self.send_header("Content-Length", str(len(state.body) - start))
            self.end_headers()
            end = len(state.body)
            if state.stall_at is not None:
                self.wfile.write(state.body[start : state.stall_at])
                self.wfile.flush()
                state.released.wait(30)
            elif state.cut_at is not None:
                end, state.cut_at = state.cut_at, None
                self.wfile.write(state.body[start:end])
            else:
                self.wfile.write(state.body[start:])
            self.close_connection = end < len(state.body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.address = f"http://127.0.0.1:{server.server_port}"
    yield state
    state.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    for name in (download.CACHE_VARIABLE, download.MIRROR_VARIABLE, download.OFFLINE_VARIABLE):
        monkeypatch.delenv(name, raising=False)


def remote(url: str, body: bytes = BODY, algorithm: str = "sha256") -> RemoteFile:
    digest = hashlib.new(algorithm, body).hexdigest()
    return RemoteFile("table.bin", "group", url, f"{algorithm}:{digest}", len(body), "MIT", "a test")


def message(raised) -> str:
    text = str(raised.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_good_file_is_fetched_once(site, tmp_path, algorithm):
    file = remote(f"{site.address}/table.bin", algorithm=algorithm)
    path = fetch(file, cache=tmp_path)
    assert path == tmp_path / "group" / "table.bin" == cached_path(file, tmp_path)
    assert path.read_bytes() == BODY
    assert fetch(file, cache=tmp_path) == path
    assert len(site.requests) == 1


def test_a_checked_file_is_not_hashed_again(site, tmp_path, monkeypatch):
    file = remote(f"{site.address}/table.bin")
    path = fetch(file, cache=tmp_path)
    monkeypatch.setattr(download, "_checksum", lambda *_: pytest.fail("hashed again"))
    assert fetch(file, cache=tmp_path) == path


def test_a_file_changed_in_the_cache_is_fetched_again(site, tmp_path):
    file = remote(f"{site.address}/table.bin")
    path = fetch(file, cache=tmp_path)
    path.write_bytes(BODY[::-1])
    assert fetch(file, cache=tmp_path).read_bytes() == BODY
    assert len(site.requests) == 2


def test_truncated_answer_is_resumed_with_a_range(site, tmp_path):
    site.cut_at = 700_000
    assert fetch(remote(f"{site.address}/table.bin"), cache=tmp_path).read_bytes() == BODY
    first, second = site.requests
    assert first[1] is None
    assert 0 < int(second[1].removeprefix("bytes=").removesuffix("-")) <= 700_000


def test_truncated_answer_without_ranges_starts_again(site, tmp_path):
    site.cut_at, site.ranges = 700_000, False
    assert fetch(remote(f"{site.address}/table.bin"), cache=tmp_path).read_bytes() == BODY


def test_short_file_is_refused_and_never_shown(site, tmp_path):
    site.body = BODY[:1000]
    file = remote(f"{site.address}/table.bin")
    with pytest.raises(UserError) as raised:
        fetch(file, cache=tmp_path)
    assert "cannot get table.bin" in message(raised)
    assert not cached_path(file, tmp_path).exists()


def test_corrupted_file_names_both_checksums_and_leaves_nothing(site, tmp_path):
    site.body = BODY[::-1]
    file = remote(f"{site.address}/table.bin")
    with pytest.raises(UserError) as raised:
        fetch(file, cache=tmp_path)
    assert file.checksum in message(raised)
    assert hashlib.sha256(BODY[::-1]).hexdigest() in message(raised)
    assert not [p for p in (tmp_path / "group").iterdir() if p.stat().st_size]  # the empty lock only


def test_a_wrong_earlier_part_does_not_spoil_the_download(site, tmp_path):
    file = remote(f"{site.address}/table.bin")
    part = tmp_path / "group" / ".table.bin.part"
    part.parent.mkdir()
    part.write_bytes(b"x" * 5000)
    assert fetch(file, cache=tmp_path).read_bytes() == BODY
    assert [asked for _, asked in site.requests] == ["bytes=5000-", None]


def test_a_complete_part_needs_no_request(site, tmp_path):
    part = tmp_path / "group" / ".table.bin.part"
    part.parent.mkdir()
    part.write_bytes(BODY)
    assert fetch(remote(f"{site.address}/table.bin"), cache=tmp_path).read_bytes() == BODY
    assert site.requests == []


@pytest.mark.parametrize("place", ["group/table.bin", "table.bin"])
@pytest.mark.parametrize("how", ["argument", "variable", "file address"])
def test_folder_mirror(tmp_path, monkeypatch, place, how):
    mirror = tmp_path / "mirror"
    (mirror / place).parent.mkdir(parents=True)
    (mirror / place).write_bytes(BODY)
    given = mirror.as_uri() if how == "file address" else str(mirror)
    if how == "variable":
        monkeypatch.setenv(download.MIRROR_VARIABLE, given)
    monkeypatch.setenv(download.OFFLINE_VARIABLE, "1")  # a folder needs no network
    path = fetch(
        remote("http://127.0.0.1:9/table.bin"), cache=tmp_path / "c", mirror=None if how == "variable" else given
    )
    assert path.read_bytes() == BODY
    assert path.is_relative_to(tmp_path / "c")


def test_wrong_file_in_a_mirror_is_refused(tmp_path):
    (tmp_path / "table.bin").write_bytes(b"other")
    with pytest.raises(UserError, match=r"is not the published file: expected sha256:\w+, found sha256:\w+"):
        fetch(remote("http://127.0.0.1:9/table.bin"), cache=tmp_path / "c", mirror=str(tmp_path))
    assert not (tmp_path / "c" / "group" / "table.bin").exists()


def test_address_mirror_then_official_address(site, tmp_path):
    file = remote(f"{site.address}/official/table.bin")
    fetch(file, cache=tmp_path / "a", mirror=f"{site.address}/mirror/")
    fetch(file, cache=tmp_path / "b", mirror=f"{site.address}/absent")
    assert [path for path, _ in site.requests] == [
        "/mirror/group/table.bin",
        "/absent/group/table.bin",
        "/absent/table.bin",
        "/official/table.bin",
    ]


def test_mirror_that_is_nothing(tmp_path):
    with pytest.raises(UserError, match=r"mirror 'no/such/folder' is neither a folder nor an http"):
        fetch(remote("http://127.0.0.1:9/table.bin"), cache=tmp_path, mirror="no/such/folder")


def test_offline_message_says_what_to_do(site, tmp_path, monkeypatch):
    monkeypatch.setenv(download.OFFLINE_VARIABLE, "1")
    file = remote(f"{site.address}/table.bin")
    with pytest.raises(UserError) as raised:
        fetch(file, cache=tmp_path)
    text = message(raised)
    for part in ("table.bin", "MNGNAS_BENCH_OFFLINE is set", file.url, str(cached_path(file, tmp_path)), "--mirror"):
        assert part in text
    assert site.requests == []


def test_a_file_placed_by_hand_is_taken_and_a_wrong_one_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv(download.OFFLINE_VARIABLE, "1")
    file = remote("http://127.0.0.1:9/table.bin")
    target = cached_path(file, tmp_path)
    target.parent.mkdir()
    target.write_bytes(b"other")
    with pytest.raises(UserError, match=re.escape(f"the copy at {target} is not the published file")):
        fetch(file, cache=tmp_path)
    target.write_bytes(BODY)
    assert fetch(file, cache=tmp_path) == target


@pytest.mark.parametrize(("url", "reason"), [("http://127.0.0.1:9/t", "no connection"), ("/absent", "HTTP status 404")])
def test_network_failure_says_what_to_do(site, tmp_path, url, reason):
    file = remote(site.address + url if url.startswith("/") else url)
    with pytest.raises(UserError) as raised:
        fetch(file, cache=tmp_path)
    assert f"{file.url}: {reason}" in message(raised)
    assert "--mirror" in message(raised)


def test_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*; choose a cache with MNGNAS_BENCH_CACHE"):
        fetch(remote("http://127.0.0.1:9/t"), cache=tmp_path / "file")


def test_killed_download_shows_no_partial_file_and_is_resumed(site, tmp_path, start):
    site.stall_at = 600_000
    file = remote(f"{site.address}/table.bin")
    code = (
        f"from pathlib import Path; from mngnas.data.download import *; fetch({file!r}, cache=Path({str(tmp_path)!r}))"
    )
    process = start([sys.executable, "-c", code], cwd=Path(__file__).parent.parent)
    target, part = cached_path(file, tmp_path), tmp_path / "group" / ".table.bin.part"
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size > 100_000):
        assert time.monotonic() < deadline
        assert not target.exists()
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not target.exists()
    site.stall_at = None
    assert fetch(file, cache=tmp_path).read_bytes() == BODY
    assert site.requests[-1][1] is not None  # went on from the first part
    assert not part.exists()


def test_processes_that_ask_at_once_share_one_download(site, tmp_path):
    file = remote(f"{site.address}/table.bin")
    threads = [threading.Thread(target=fetch, args=(file,), kwargs={"cache": tmp_path}) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cached_path(file, tmp_path).read_bytes() == BODY
    assert len(site.requests) == 1


def test_cache_dir(monkeypatch, tmp_path):
    assert cache_dir().name == "mngnas-bench"
    monkeypatch.setenv(download.CACHE_VARIABLE, str(tmp_path))
    assert cache_dir() == tmp_path


def test_github_addresses_are_pinned():
    url = download.github_raw("owner/repo", "0" * 40, "a/b.pkl")
    assert url == f"https://raw.githubusercontent.com/owner/repo/{'0' * 40}/a/b.pkl"


def test_file_description_is_immutable():
    with pytest.raises(AttributeError):
        remote("x").size = 1
    assert replace(remote("x"), size=1).size == 1


@pytest.mark.parametrize(
    "mirror", ["http://[::1", "http://", "https:///path", "~nobody-here/x", "file://nowhere", "\x1b["]
)
def test_a_mirror_that_is_no_address_is_one_line(tmp_path, mirror):
    with pytest.raises(UserError, match=r"is neither a folder nor an http|home folder that is not known") as raised:
        fetch(remote("http://127.0.0.1:9/table.bin"), cache=tmp_path, mirror=mirror)
    message(raised)


def test_a_cache_of_an_unknown_home_is_one_line(monkeypatch):
    monkeypatch.setenv(download.CACHE_VARIABLE, "~nobody-here/cache")
    with pytest.raises(UserError, match=r"home folder that is not known"):
        download.cache_dir()


@pytest.mark.parametrize(
    "place", ["http://[::1", "http://*:x/", "ftp://example.org/t", "http://" + "a" * 300, "//", "x:"]
)
def test_a_redirect_to_what_is_no_address_is_one_line_and_the_next_is_asked(tmp_path, place):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if "official" in self.path:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(BODY)
                return
            self.send_response(302)
            self.send_header("Location", place)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(UserError, match=r"cannot get table.bin") as raised:
            fetch(remote(f"{address}/table.bin"), cache=tmp_path / "a")
        message(raised)
        found = fetch(remote(f"{address}/official/table.bin"), cache=tmp_path / "b", mirror=f"{address}/mirror")
        assert found.read_bytes() == BODY
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_server_with_less_than_we_hold_is_left_for_the_next(site, tmp_path):
    """HTTP 416: its file ends before the part that is there already; the part goes, the next address is asked."""
    short = BODY[: len(BODY) // 2]

    class Short(BaseHTTPRequestHandler):
        def do_GET(self):
            start = int(self.headers.get("Range", "bytes=0-").split("=")[1].rstrip("-"))
            self.send_error(416 if start >= len(short) else 404)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Short)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        file = remote(f"{site.address}/table.bin")
        part = download.beside(cached_path(file, tmp_path), "part")
        part.parent.mkdir(parents=True)
        part.write_bytes(BODY[: len(BODY) * 3 // 4])
        mirror = f"http://127.0.0.1:{server.server_port}"
        assert fetch(file, cache=tmp_path, mirror=mirror).read_bytes() == BODY
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_damaged_stamp_is_no_error(site, tmp_path):
    file = remote(f"{site.address}/table.bin")
    target = fetch(file, cache=tmp_path)
    download.beside(target, "checked").write_bytes(b"\xff\xfe")
    assert fetch(file, cache=tmp_path) == target
