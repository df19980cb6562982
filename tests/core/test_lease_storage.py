"""Leases on storage that fails: nothing is left of what could not be written, and a folder out of reach is no loss."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from core import lease_file
from core.errors import RunFailure
from core.lease import Lease, Leases

NAME = "0123456789abcdef"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".leases"


def taken(folder: Path) -> Lease:
    held = Leases(folder, beat=math.inf).acquire(NAME)
    assert held is not None
    return held


def fails(number: int) -> Callable[..., None]:
    def failing(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return failing


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, "no_space"), (errno.EIO, "store_not_writable")])
def test_a_lease_that_cannot_be_written_leaves_no_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: str
) -> None:
    """An empty file would be held for a whole lease, by nobody."""
    with monkeypatch.context() as full:
        full.setattr(lease_file.os, "write", fails(number))
        with pytest.raises(RunFailure) as caught:
            Leases(folder, beat=math.inf).acquire(NAME)
    assert caught.value.kind == kind
    assert os.listdir(folder) == []
    assert taken(folder).ticket.generation == 1


def test_a_folder_out_of_reach_for_the_moment_is_no_loss(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = taken(folder)
    with monkeypatch.context() as unreachable:
        unreachable.setattr(lease_file.os, "pwrite", fails(errno.ESTALE))
        assert held.beat()
        unreachable.setattr(lease_file.os, "open", fails(errno.ESTALE))
        assert held.beat()
        assert not held.lost
        with pytest.raises(RunFailure):  # but nothing may be written that only its holder may write
            held.ticket.check()
        held.release()
    assert held.beat()
    held.ticket.check()


def test_of_the_generations_that_are_given_back_the_own_goes_last(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash between two removals must not leave one from before on top, whose holder would take itself for it."""
    folder.mkdir()
    for generation in (1, 2):
        (folder / f"{NAME}.{generation}").write_bytes(b"")
    leases = Leases(folder, lease=0, beat=math.inf)
    assert leases.acquire(NAME) is None  # a first look
    held = leases.acquire(NAME)
    assert held is not None
    removed, unlink = [], Path.unlink

    def watched(path: Path, missing_ok: bool = False) -> None:
        removed.append(path.name)
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", watched)
    held.release()
    assert [name for name in removed if name.startswith(NAME)] == [f"{NAME}.{generation}" for generation in (1, 2, 3)]
    assert os.listdir(folder) == []
