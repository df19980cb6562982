"""Where the cache is, on machines that have no place for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest

from core.data.cache import cache_dir
from core.data.layouts.fonts import font_folders
from core.errors import UserError
from core.model import hub

pwd = pytest.importorskip("pwd")


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that is run as a user it does not know."""

    def unknown(user: int) -> NoReturn:
        raise KeyError(f"getpwuid(): uid not found: {user}")

    for name in ("HOME", "DOCABLATE_CACHE", "HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


@pytest.mark.usefixtures("homeless")
def test_without_a_home_the_cache_must_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="there is no home folder for the cache: set DOCABLATE_CACHE to a folder"):
        cache_dir(None)
    assert cache_dir(str(tmp_path / "a")) == tmp_path / "a"
    monkeypatch.setenv("DOCABLATE_CACHE", str(tmp_path / "b"))
    assert cache_dir(None) == tmp_path / "b"


@pytest.mark.usefixtures("homeless")
def test_nothing_else_needs_a_home() -> None:
    assert font_folders("")
    assert len(font_folders(os.pathsep.join(("~/fonts", "/fonts")))) == 2
    assert not hub.is_cached("resnet18")
