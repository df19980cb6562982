"""`data fetch` and `data check`: what is printed where, and how they end."""

from __future__ import annotations

import functools
import http.server
import io
import json
import shlex
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from ablations.cli import run_cli
from ablations.data_cli import app
from core.errors import UserError
from tests.conftest import make_images


class Run:
    """The sub-application with what it prints."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *words: str | Path) -> None:
        try:
            app([str(word) for word in words], standalone_mode=False)
        finally:
            self.out, self.err = self._capsys.readouterr()


@pytest.fixture
def data(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return Run(capsys)


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[str]:
    """A server with an archive laid out as the repository of unique-pool is."""
    make_images(tmp_path / "pool", 20)
    (tmp_path / "served").mkdir()
    with tarfile.open(tmp_path / "served" / "16e0d9a.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "pool", "DocClassifier-16e0d9a/data/unique_pool")
        info = tarfile.TarInfo("DocClassifier-16e0d9a/README.md")
        info.size = 2
        archive.addfile(info, io.BytesIO(b"hi"))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path / "served"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


def test_without_a_name_the_sets_are_listed(data: Run) -> None:
    data("fetch")
    for name in ("unique-pool", "indoor67", "smartdoc15", "midv500", "midv2020", "CC BY 4.0", "--eval"):
        assert name in data.out
    data("fetch", "--json")
    assert json.loads(data.out)[0]["set"] == "unique-pool"


def test_unknown_name(data: Run) -> None:
    with pytest.raises(UserError, match="did you mean 'midv500'"):
        data("fetch", "midv-500")


def test_licence_comes_first(data: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        data("fetch", "smartdoc15", "--out", "my sets")
    assert "data fetch smartdoc15 --out 'my sets' --accept-licence" in str(caught.value)
    with pytest.raises(UserError) as caught:
        data("fetch", "smartdoc15", "--mirror", "http://mirror.local/x", "--every", "5")
    assert "smartdoc15 --mirror http://mirror.local/x --every 5 --accept-licence" in str(caught.value)
    for fact in ("CC BY 4.0", "about 1,019 MB", "https://github.com/jchazalon/smartdoc15-ch1-dataset/releases"):
        assert fact in data.out
    assert list(tmp_path.iterdir()) == []


def test_every_of_a_set_of_images_is_refused_before_its_licence(data: Run) -> None:
    with pytest.raises(UserError, match=r"--every is of sets of videos.*leave it out"):
        data("fetch", "unique-pool", "--every", "5")
    assert data.out == ""


def test_fetch_ends_with_the_command_to_use_it(data: Run, mirror: str) -> None:
    data("fetch", "unique-pool", "--accept-licence", "--mirror", mirror)
    assert "20 images in data/unique-pool/images" in data.out
    command = data.out.strip().splitlines()[-1]
    assert command == "to use it: python -m ablations run all --data data/unique-pool/images"
    sums = Path("data/unique-pool/downloads/SHA256SUMS").read_text()
    assert sums.endswith("  DocClassifier-16e0d9a.tar.gz\n")
    data("fetch", "unique-pool", "--accept-licence", "--mirror", "http://127.0.0.1:9/", "--json")  # nothing to fetch
    assert json.loads(data.out)["images"] == 20
    data("check", "data/unique-pool/images", "--json")
    assert json.loads(data.out)["data"]["usable"]


def test_check_prints_a_table_and_odd_names_do_no_harm(data: Run, tmp_path: Path) -> None:
    folder = tmp_path / "[red]my folder"
    make_images(folder, 20)
    (folder / "[bold]a\nb\x1b[31m.txt").write_text("x")
    data("check", folder)
    assert "[red]my folder" in data.out
    assert r"[bold]a\nb\x1b[31m.txt" in data.out
    assert "\x1b" not in data.out
    for fact in ("usable images  20", "PNG 20", "RGB 20", "40 / 40 / 40 pixels", "flat folder", "not an image"):
        assert fact in data.out
    assert "--eval at FPR" in data.out


def test_check_of_a_name_that_is_not_text(data: Run, tmp_path: Path) -> None:
    make_images(tmp_path / "a", 20)
    try:
        Path(str(tmp_path / "a") + "/caf\udce9.txt").write_text("x")
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    data("check", tmp_path / "a")
    data.out.encode()
    assert r"caf\udce9.txt" in data.out


def test_check_of_what_can_be_used_for_nothing(data: Run, tmp_path: Path) -> None:
    make_images(tmp_path / "a", 3)
    with pytest.raises(UserError, match="neither --data nor --eval"):
        data("check", tmp_path / "a")
    assert "usable images  3" in data.out
    with pytest.raises(UserError, match="is not a folder"):
        data("check", tmp_path / shlex.quote("gone"))


def test_render_draws_the_same_bytes_twice(data: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = []
    for folder in ("first", "second"):
        monkeypatch.setenv("DOCABLATE_CACHE", str(tmp_path / folder))
        data("render", "--templates", "9", "--image-size", "32", "--json")
        facts.append(json.loads(data.out))
    assert facts[0]["sha256"] == facts[1]["sha256"]
    assert facts[0]["bytes"] == 9 * 32 * 32 * 3
    data("render", "--templates", "8", "--image-size", "32", "--json")
    assert json.loads(data.out)["sha256"] != facts[0]["sha256"]


def test_sheet_is_a_picture(data: Run, tmp_path: Path) -> None:
    data("sheet", "--out", "made/sheet.png", "--image-size", "32")
    with Image.open(tmp_path / "made" / "sheet.png") as sheet:
        assert sheet.width > 14 * 32
        assert len(sheet.getcolors(10**7) or []) > 1000


def test_a_folder_is_no_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["data", "sheet", "--out", str(tmp_path)]) == 2
    assert "is a folder: name the picture to write" in capsys.readouterr().err
