"""Several `tune` commands that share nothing but a storage: every trial once, the killed one's too, equal choices."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

from ablations.tuning_store import open_storage
from core.store import Store
from tests.ablations.conftest import TINY, TWO_ARMS, command_environment

_PATIENCE = 300.0
TRIALS = 3


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """The URL of an empty database of a server of its own."""
    pytest.importorskip("psycopg", reason="PostgreSQL's driver is not installed: pip install 'docablate[postgresql]'")
    if shutil.which("initdb") is None or shutil.which("postgres") is None:
        pytest.skip("PostgreSQL is not installed")
    somebody: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        if os.geteuid() == 0:  # as whom the server refuses to run, while pytest's own folders are root's alone
            somebody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
            shutil.chown(temporary, "nobody", "nogroup")
        yield from _serve(Path(temporary), somebody)


def _serve(folder: Path, somebody: list[str]) -> Iterator[str]:
    data = folder / "data"
    subprocess.run(
        [*somebody, "initdb", "-D", str(data), "-U", "tuner", "-A", "trust", "-N"], check=True, capture_output=True,
        cwd="/",
    )  # fmt: skip
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = ["-p", str(port), "-c", "listen_addresses=127.0.0.1", "-k", str(folder)]
    server = subprocess.Popen(
        [*somebody, "postgres", "-D", str(data), *where],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "the server does not start"
                assert server.poll() is None, "the server ended"
                time.sleep(0.1)
        time.sleep(0.5)
        yield f"postgresql://tuner@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


def start(folder: Path, name: str, storage: str) -> subprocess.Popen[str]:
    """A `tune` with a store of its own."""
    words = ["tune", "mine.yaml", *TINY, "--trials", str(TRIALS), "--jobs", "1", "--json"]
    return subprocess.Popen(
        [sys.executable, "-m", "ablations", *words, "--store", name, "--storage", storage], cwd=folder, text=True,
        env=command_environment(),
        stdout=subprocess.PIPE, stderr=(folder / f"{name}.txt").open("w"), start_new_session=True,
    )  # fmt: skip


def choices(process: subprocess.Popen[str], folder: Path, name: str) -> dict[str, Any]:
    out, _ = process.communicate(timeout=_PATIENCE)
    assert process.returncode == 0, (folder / f"{name}.txt").read_text()
    found: dict[str, Any] = json.loads(out)["studies"][0]["arms"]
    return found


def running(storage: str) -> list[str]:
    try:
        opened = open_storage(storage)
        studies = opened.get_all_studies()
    except Exception:  # its tables are being made
        return []
    trials = [one for study in studies for one in opened.get_all_trials(study._study_id)]
    return [one.user_attrs["process"] for one in trials if one.state.name == "RUNNING" and "process" in one.user_attrs]


def test_several_may_make_the_tables_of_an_empty_database_at_once(postgresql: str) -> None:
    opening = f"from ablations.tuning_store import open_storage; open_storage({postgresql!r}).get_all_studies()"
    processes = [
        subprocess.Popen([sys.executable, "-c", opening], stderr=subprocess.PIPE, text=True) for _ in range(4)
    ]  # fmt: skip
    said = [process.communicate(timeout=_PATIENCE)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, said


@pytest.mark.parametrize("storage_kind", ["journal", "postgresql"])
def test_a_killed_commands_trial_is_done_by_the_others(
    request: pytest.FixtureRequest, storage_kind: str, tmp_path: Path
) -> None:
    storage = request.getfixturevalue("postgresql") if storage_kind == "postgresql" else str(tmp_path / "journal.log")
    (tmp_path / "mine.yaml").write_text(TWO_ARMS)
    victim = start(tmp_path, "victim", storage)
    deadline = time.monotonic() + _PATIENCE
    while not (in_work := running(storage)) and time.monotonic() < deadline and victim.poll() is None:
        time.sleep(0.1)
    assert victim.poll() is None, (tmp_path / "victim.txt").read_text()
    assert json.loads(in_work[0])["pid"] == victim.pid
    os.killpg(victim.pid, signal.SIGKILL)
    victim.wait(_PATIENCE)
    before = Store(tmp_path / "victim")
    done = {key for key in before.run_keys() if before.state(key) == "done"}
    assert len(done) < TRIALS, "nothing was left to do"
    names = ("first", "second")
    commands = [start(tmp_path, name, storage) for name in names]
    found = [choices(command, tmp_path, name) for command, name in zip(commands, names, strict=True)]
    assert found[0] == found[1]
    keys = [set(Store(tmp_path / name).run_keys()) for name in names]
    assert len(keys[0] | keys[1] | done) == 2 * TRIALS
    assert not keys[0] & keys[1], "a trial was trained twice"
    opened = open_storage(storage)
    for arm, search in found[0].items():
        study = optuna.load_study(study_name=search["optuna"], storage=opened)
        complete = [one for one in study.trials if one.state.name == "COMPLETE"]
        assert sorted(one.user_attrs["trial"] for one in complete) == list(range(TRIALS)), arm
        assert not [one for one in study.trials if one.state.name == "RUNNING"]
        assert [one["value"] for one in search["trials"]] == [
            one.value for one in sorted(complete, key=lambda one: one.user_attrs["trial"])
        ]
    again = start(tmp_path, "first", storage)
    assert choices(again, tmp_path, "first") == found[0]
    assert "0 new" in (tmp_path / "first.txt").read_text()
