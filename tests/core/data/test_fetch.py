"""Downloads against a server that misbehaves: the file is there whole and verified, or not at all."""

from __future__ import annotations

import hashlib
import http.server
import re
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.data import fetch
from core.data.fetch import download
from core.errors import UserError

CONTENT = bytes(range(256)) * 4000  # about 1 MB, several reads
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves `content`; what it does wrong is set by the test."""

    daemon_threads = True
    content = CONTENT
    etag: str | None = '"one"'
    ranges = True  # honour Range
    cuts: list[int]  # bytes of the body to send, for as many requests as there are entries
    codes: list[int]  # answers to give before the content
    location = ""
    silent = False
    length = True  # send Content-Length
    honour_if_range = True
    seen: list[dict[str, str]]
    paths: list[str]  # asked for; whole addresses by who takes this for a proxy

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is what some tests are about."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/file.bin"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        server = self.server
        server.seen.append(dict(self.headers))
        server.paths.append(self.path)
        if server.silent:
            time.sleep(1)
            return
        if server.codes:
            code = server.codes.pop(0)
            self.send_response(code)
            if server.location:
                self.send_header("Location", server.location)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        current = condition is None or condition == server.etag or not server.honour_if_range
        if asked and server.ranges and current:
            start = int(asked.group(1))
            if start >= len(server.content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        else:
            self.send_response(200)
        body = server.content[start:]
        if server.etag:
            self.send_header("ETag", server.etag)
        if server.length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.cuts.pop(0)] if server.cuts else body)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(fetch, "_PAUSE", 0.001)
    server = Server(("127.0.0.1", 0), Handler)
    server.cuts, server.codes, server.seen, server.paths = [], [], [], []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def only(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def one_line(error: pytest.ExceptionInfo[UserError], url: str, target: Path) -> str:
    message = str(error.value)
    assert len(message.splitlines()) == 1
    assert url in message
    assert str(target) in message
    return message


def test_whole_file_arrives_and_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    target, told = tmp_path / "new" / "file.bin", []
    md5 = hashlib.md5(CONTENT).hexdigest()
    for _ in range(2):
        download(server.url, target, size=len(CONTENT), sha256=SHA256.upper(), md5=md5,
                 progress=lambda what, done, total: told.append((what, done, total)))  # fmt: skip
    assert target.read_bytes() == CONTENT
    assert only(target.parent) == ["file.bin"]
    assert len(server.seen) == 1
    assert told[-1] == ("file.bin (MB)", 1, 1)


def test_truncated_bodies_are_continued(server: Server, tmp_path: Path) -> None:
    server.cuts = [400_000, 300_000, 100, 1000]
    assert download(server.url, tmp_path / "file.bin", sha256=SHA256, retries=1).read_bytes() == CONTENT
    assert [seen.get("Range") for seen in server.seen] == [
        None, "bytes=400000-", "bytes=700000-", "bytes=700100-", "bytes=701100-"
    ]  # fmt: skip
    assert server.seen[1]["If-Range"] == '"one"'


def test_a_second_call_continues_where_the_first_was_given_up(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "file.bin"
    server.cuts = [500_000, 0, 0]
    with pytest.raises(UserError) as caught:
        download(server.url, target, sha256=SHA256, retries=1)
    assert "500,000 of 1,024,000 bytes" in one_line(caught, server.url, target)
    assert only(tmp_path) == ["file.bin.part", "file.bin.part.json"]
    download(server.url, target, sha256=SHA256)
    assert server.seen[-1]["Range"] == "bytes=500000-"
    assert target.read_bytes() == CONTENT
    assert only(tmp_path) == ["file.bin"]


def test_server_that_ignores_ranges(server: Server, tmp_path: Path) -> None:
    server.ranges, server.cuts = False, [500_000]
    assert download(server.url, tmp_path / "file.bin").read_bytes() == CONTENT


def test_server_that_always_cuts_at_the_same_place(server: Server, tmp_path: Path) -> None:
    server.ranges, server.cuts = False, [500_000] * 50
    with pytest.raises(UserError, match="ended after"):
        download(server.url, tmp_path / "file.bin", retries=2)
    assert len(server.seen) == 4
    assert not (tmp_path / "file.bin").exists()


@pytest.mark.parametrize("honest", [True, False])
@pytest.mark.parametrize("longer", [-300_000, 0, 5, -600_000])
def test_content_that_changes_in_between(server: Server, tmp_path: Path, honest: bool, longer: int) -> None:
    target = tmp_path / "file.bin"
    server.cuts = [500_000, 0]
    with pytest.raises(UserError):
        download(server.url, target, retries=0)
    server.cuts = []
    server.content = b"n" * (len(CONTENT) + longer)
    server.etag, server.honour_if_range = '"two"', honest
    assert download(server.url, target).read_bytes() == server.content


def test_without_a_validator_the_size_decides(server: Server, tmp_path: Path) -> None:
    server.etag, server.cuts = None, [500_000]
    assert download(server.url, tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.seen[1]["Range"] == "bytes=500000-"


def test_a_size_first_told_with_the_rest_is_no_change(server: Server, tmp_path: Path) -> None:
    """A server that makes what it sends on the fly says no length, and one in front of it may say it of a range."""
    server.length, server.cuts = False, [400_000, 300_000]
    assert download(server.url, tmp_path / "file.bin", size=len(CONTENT)).read_bytes() == CONTENT
    assert [seen.get("Range") for seen in server.seen] == [None, "bytes=400000-", "bytes=700000-"]


def test_part_of_unknown_origin_is_not_continued(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.bin.part").write_bytes(b"something else")
    assert download(server.url, tmp_path / "file.bin").read_bytes() == CONTENT
    assert "Range" not in server.seen[0]


def test_damaged_part_is_fetched_anew_once_the_checksum_tells(server: Server, tmp_path: Path) -> None:
    server.cuts = [500_000, 0]
    with pytest.raises(UserError):
        download(server.url, tmp_path / "file.bin", sha256=SHA256, retries=0)
    (tmp_path / "file.bin.part").write_bytes(b"x" * 500_000)
    assert download(server.url, tmp_path / "file.bin", sha256=SHA256).read_bytes() == CONTENT


def test_without_a_length_only_the_expected_size_tells(server: Server, tmp_path: Path) -> None:
    server.length, server.etag, server.cuts = False, None, [1000, 1000]
    with pytest.raises(UserError, match="ended after 1,000 of 1,024,000 bytes"):
        download(server.url, tmp_path / "file.bin", size=len(CONTENT), retries=1)
    server.content = CONTENT + b"more"
    with pytest.raises(UserError, match="more came than"):
        download(server.url, tmp_path / "file.bin", size=len(CONTENT))
    assert not (tmp_path / "file.bin").exists()


def test_wrong_checksum_leaves_nothing(server: Server, tmp_path: Path) -> None:
    target, wrong = tmp_path / "file.bin", "0" * 64
    with pytest.raises(UserError) as caught:
        download(server.url, target, sha256=wrong)
    message = one_line(caught, server.url, target)
    assert wrong in message
    assert SHA256 in message
    assert only(tmp_path) == []
    with pytest.raises(UserError, match="md5"):
        download(server.url, target, md5="0" * 32)


def test_wrong_size_is_seen_before_the_body(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has 1,024,000 bytes, expected 7"):
        download(server.url, tmp_path / "file.bin", size=7)
    assert only(tmp_path) == []


def test_file_put_there_by_hand_is_verified(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "file.bin"
    target.write_bytes(CONTENT)
    assert download(server.url, target, sha256=SHA256) == target
    target.write_bytes(b"other")
    with pytest.raises(UserError) as caught:
        download(server.url, target, sha256=SHA256)
    assert "move it away" in one_line(caught, server.url, target)
    assert target.read_bytes() == b"other"
    assert server.seen == []


def test_errors_that_stay_and_errors_that_pass(server: Server, tmp_path: Path) -> None:
    server.codes = [404]
    with pytest.raises(UserError) as caught:
        download(server.url, tmp_path / "file.bin")
    assert "404" in one_line(caught, server.url, tmp_path / "file.bin")
    assert "by hand" in str(caught.value)
    assert len(server.seen) == 1
    server.codes = [500, 503]
    assert download(server.url, tmp_path / "file.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_what_an_address_does_not_give_is_not_the_networks_fault(server: Server, tmp_path: Path, code: int) -> None:
    server.codes = [code]
    with pytest.raises(UserError) as caught:
        download(server.url, tmp_path / "file.bin")
    message = one_line(caught, server.url, tmp_path / "file.bin")
    assert f"answered {code}" in message
    assert "no such file" in message
    assert "--mirror" in message
    assert "by hand" in message
    assert "Check the network" not in message
    server.codes = [407]  # of a proxy, which knows nothing of the file
    with pytest.raises(UserError, match="Check the network"):
        download(server.url, tmp_path / "file.bin")


@pytest.mark.parametrize("location", ["file:///etc/passwd", "data:text/plain,x", "gopher://x/"])
def test_redirections_leave_the_network_never(server: Server, tmp_path: Path, location: str) -> None:
    server.codes, server.location = [302], location
    with pytest.raises(UserError, match="302"):
        download(server.url, tmp_path / "file.bin")
    assert only(tmp_path) == []


def test_redirection_to_http_is_followed(server: Server, tmp_path: Path) -> None:
    server.codes, server.location = [302], server.url
    assert download(server.url, tmp_path / "file.bin").read_bytes() == CONTENT


def test_silence(server: Server, tmp_path: Path) -> None:
    server.silent = True
    with pytest.raises(UserError, match=r"no answer in 0\.5 s"):
        download(server.url, tmp_path / "file.bin", timeout=0.5, retries=1)
    assert len(server.seen) == 2


def test_nobody_there(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/x"
    with pytest.raises(UserError, match="cannot be reached"):
        download(url, tmp_path / "x", retries=0)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "data:,x", "/etc/passwd", "ssh://x/y"])
def test_other_schemes(tmp_path: Path, url: str) -> None:
    with pytest.raises(UserError, match="expected an address"):
        download(url, tmp_path / "x")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_disk_full_while_writing(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.bin.part").symlink_to("/dev/full")
    with pytest.raises(UserError, match="no space left"):
        download(server.url, tmp_path / "file.bin")
    assert not (tmp_path / "file.bin").exists()


def test_too_little_space_is_seen_before(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 1000

    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda path: Usage)
    with pytest.raises(UserError, match="do not fit"):
        download(server.url, tmp_path / "file.bin")


class FtpHandler(socketserver.StreamRequestHandler):
    """As much of FTP as a download asks for; `server.cuts` as for HTTP."""

    def handle(self) -> None:
        def say(text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

        say("220 hello")
        rest, passive = 0, None
        server: socketserver.BaseServer = self.server
        for raw in self.rfile:
            verb, _, given = raw.decode().strip().partition(" ")
            if verb == "USER":
                say("230 in")
            elif verb == "SIZE":
                say(f"213 {len(CONTENT)}" if given == "/a b.bin" else "550 no such file")
            elif verb == "MDTM":
                say("213 20240101000000")
            elif verb == "PASV":
                passive = socket.create_server(("127.0.0.1", 0))
                high, low = divmod(passive.getsockname()[1], 256)
                say(f"227 go (127,0,0,1,{high},{low})")
            elif verb == "REST":
                rest = int(given)
                say("350 from there")
            elif verb == "RETR":
                say("150 coming")
                assert passive is not None
                connection, _ = passive.accept()
                body = CONTENT[rest:]
                server.rests.append(rest)  # type: ignore[attr-defined]
                cuts = server.cuts  # type: ignore[attr-defined]
                connection.sendall(body[: cuts.pop(0)] if cuts else body)
                connection.close()
                passive.close()
                say("226 done")
            else:
                say("200 fine")


@pytest.fixture
def ftp(monkeypatch: pytest.MonkeyPatch) -> Iterator[socketserver.ThreadingTCPServer]:
    monkeypatch.setattr(fetch, "_PAUSE", 0.001)
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), FtpHandler)
    server.daemon_threads = True
    server.rests, server.cuts = [], []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_ftp_is_continued_too(ftp: socketserver.ThreadingTCPServer, tmp_path: Path) -> None:
    ftp.cuts = [300_000]  # type: ignore[attr-defined]
    url = f"ftp://127.0.0.1:{ftp.server_address[1]}/a%20b.bin"
    assert download(url, tmp_path / "a.bin", sha256=SHA256).read_bytes() == CONTENT
    assert ftp.rests == [0, 300_000]  # type: ignore[attr-defined]


def test_ftp_without_the_file(ftp: socketserver.ThreadingTCPServer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"550.*no such file"):
        download(f"ftp://127.0.0.1:{ftp.server_address[1]}/gone", tmp_path / "a.bin")
    with pytest.raises(UserError, match="not a usable address"):
        download(f"ftp://127.0.0.1:{ftp.server_address[1]}/a%0d%0aDELE%20b", tmp_path / "a.bin")


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_ftp_goes_through_a_proxy(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("ftp_proxy", f"{scheme}127.0.0.1:{server.server_address[1]}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server.cuts = [400_000]
    url = "ftp://files.invalid/dataset/a%20b.bin"
    assert download(url, tmp_path / "a.bin", sha256=SHA256).read_bytes() == CONTENT
    assert [(seen["Host"], seen.get("Range")) for seen in server.seen] == [
        ("files.invalid", None), ("files.invalid", "bytes=400000-")
    ]  # fmt: skip
    assert server.paths == [url, url]


def test_ftp_goes_past_a_proxy_where_that_is_said(
    server: Server, ftp: socketserver.ThreadingTCPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ftp_proxy", server.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    url = f"ftp://127.0.0.1:{ftp.server_address[1]}/a%20b.bin"
    assert download(url, tmp_path / "a.bin", sha256=SHA256).read_bytes() == CONTENT
    assert server.seen == []
