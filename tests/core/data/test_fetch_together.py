"""Fetches of one set that meet: one works, the others wait, and nobody's work is lost."""

from __future__ import annotations

import dataclasses
import functools
import http.server
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.data.prepare_public import fetch
from core.errors import UserError
from core.lease import Leases
from tests.core.data.public_archives import encoded, local, page, write_tar

ROOMS = dataclasses.replace(local("indoor67", ["rooms.tar"]), inside="Images")
FILES = {"Images/a.jpg": encoded(page(), "JPEG"), "Images/b.jpg": encoded(page(7), "JPEG")}


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """The address of a server of the archive that thinks before it answers, and what it was asked for."""
    write_tar(tmp_path / "served" / "rooms.tar", FILES)
    asked: list[str] = []

    class Slow(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            asked.append(self.path)
            time.sleep(0.3)
            super().do_GET()

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Slow, directory=str(tmp_path / "served"))
    )
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/", asked
    server.shutdown()
    server.server_close()


def test_of_two_at_once_one_downloads_and_both_have_it(tmp_path: Path, slow: tuple[str, list[str]]) -> None:
    url, asked = slow
    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(fetch, ROOMS, tmp_path / "data", mirror=url) for _ in range(2)]
        assert [one.result().images for one in both] == [2, 2]
    assert asked == ["/rooms.tar"]
    assert sorted(path.name for path in (tmp_path / "data" / "indoor67").iterdir()) == [
        "downloads", "images", "prepared.json"
    ]  # fmt: skip


def test_who_waits_is_told_for_whom(tmp_path: Path) -> None:
    home = tmp_path / "indoor67"
    write_tar(home / "downloads" / "rooms.tar", FILES)
    told: list[str] = []
    with ThreadPoolExecutor(1) as threads:
        with Leases(home).hold(".lease-fetch"):
            waiting = threads.submit(fetch, ROOMS, tmp_path, progress=lambda what, done, total: told.append(what))
            until = time.monotonic() + 20
            while not told and time.monotonic() < until:
                time.sleep(0.02)
            assert told[0].startswith("indoor67, which ")
            assert not (home / "images").exists()
        assert waiting.result().images == 2


def test_who_was_taken_for_dead_puts_nothing_in_place(tmp_path: Path) -> None:
    home = tmp_path / "indoor67"
    write_tar(home / "downloads" / "rooms.tar", FILES)

    def taken_over(what: str, done: int, total: int) -> None:
        (home / ".lease-fetch.2").touch()  # as the process does that takes over

    with pytest.raises(UserError, match="taken over by another process"):
        fetch(ROOMS, tmp_path, progress=taken_over)
    assert not (home / "images").exists()
    assert not (home / "prepared.json").exists()


@pytest.mark.parametrize("done", [False, True])
def test_what_a_killed_fetch_left_is_removed(tmp_path: Path, done: bool) -> None:
    home = tmp_path / "indoor67"
    write_tar(home / "downloads" / "rooms.tar", FILES)
    if done:  # one that was killed as it removed what it had replaced
        fetch(ROOMS, tmp_path)
    for left in (".unpacking.abc", ".preparing.abc"):
        (home / left / "raw").mkdir(parents=True)
        (home / left / "raw" / "a.jpg").write_bytes(b"large")
    assert fetch(ROOMS, tmp_path).images == 2
    assert sorted(path.name for path in home.iterdir()) == ["downloads", "images", "prepared.json"]
