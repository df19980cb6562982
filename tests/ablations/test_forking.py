"""Worker processes: forked with PyTorch loaded, in the environment of now, and ended with who started them."""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver
import os
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any

import pytest

from ablations.executors.forking import worker_process
from core.errors import UserError


def tell(pipe: Connection) -> None:
    pipe.send((os.environ.get("DOCABLATE_FONTS"), "PATH" in os.environ, "torch" in sys.modules, "timm" in sys.modules))
    pipe.send(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)
    pipe.send(signal.pthread_sigmask(signal.SIG_BLOCK, []))


def told(times: int = 1, device: str = "cpu") -> list[Any]:
    ours, theirs = multiprocessing.Pipe()
    process = worker_process(tell, theirs, device=device)
    theirs.close()
    said = [ours.recv() for _ in range(times)]
    process.join()
    assert process.exitcode == 0
    return said


def test_it_has_the_environment_of_now_and_what_takes_long_to_import(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = sys.platform == "linux"
    for fonts in ("matplotlib", "system"):
        monkeypatch.setenv("DOCABLATE_FONTS", fonts)
        assert told() == [(fonts, True, loaded, loaded)]
    monkeypatch.delenv("DOCABLATE_FONTS")
    assert told() == [(None, True, loaded, loaded)]


def test_ctrl_c_is_the_parents() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert told(3)[1:] == [True, set()]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


def test_for_a_gpu_it_is_a_process_of_its_own() -> None:
    (_, _, *loaded), ignored = told(2, device="cuda")
    assert loaded == [False, False]
    assert ignored


@pytest.mark.skipif(sys.platform != "linux", reason="there is a server on Linux alone")
def test_a_server_that_was_killed_is_started_again() -> None:
    told()
    server = multiprocessing.forkserver._forkserver._forkserver_pid
    os.kill(server, signal.SIGKILL)
    assert told()
    assert multiprocessing.forkserver._forkserver._forkserver_pid != server


@pytest.mark.skipif(sys.platform != "linux", reason="there is a server on Linux alone")
def test_no_worker_at_all_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: Any) -> None:
        raise EOFError

    monkeypatch.setattr(multiprocessing.forkserver, "connect_to_new_process", dies)
    with pytest.raises(UserError, match="no worker process can be started"):
        worker_process(tell)
