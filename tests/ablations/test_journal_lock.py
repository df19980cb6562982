"""The lock of the store's Optuna journal: what a killed `tune` leaves behind holds no other up for ever."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import optuna
import pytest

from ablations import journal_lock
from ablations.tuning_store import open_storage
from tests.ablations.conftest import TINY, TWO_ARMS, command_environment

TUNE = [sys.executable, "-m", "ablations", "tune", "mine.yaml", *TINY, "--trials", "2", "--jobs", "1"]


@pytest.mark.parametrize("storage", [[], ["--storage", "own/journal.log"]], ids=["of the store", "named"])
def test_a_lock_that_leads_nowhere_does_not_hold_tune_up_for_ever(storage: list[str], tmp_path: Path) -> None:
    """As Optuna leaves it whose process is killed: a link to the relative name of the journal."""
    (tmp_path / "mine.yaml").write_text(TWO_ARMS)
    journal = Path(storage[1] if storage else "runs/tuning/journal.log")
    (tmp_path / journal).parent.mkdir(parents=True)
    (tmp_path / journal).touch()
    lock = tmp_path / f"{journal}.lock"
    lock.symlink_to(journal)
    assert not lock.exists()
    done = subprocess.run(
        [*TUNE, *storage], cwd=tmp_path, env=command_environment(), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert not lock.is_symlink()
    assert len(optuna.get_all_study_names(open_storage(str(tmp_path / journal)))) == 2


def test_a_lock_that_is_held_leads_somewhere_from_every_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only of such a lock Optuna can tell that nobody holds it any more."""
    monkeypatch.chdir(tmp_path)
    Path("tuning").mkdir()
    lock = journal_lock.journal_lock(Path("tuning/journal.log"))
    lock.acquire()
    monkeypatch.chdir("/")
    assert (tmp_path / "tuning" / "journal.log.lock").exists()
    monkeypatch.chdir(tmp_path)
    lock.release()
    assert list(Path("tuning").iterdir()) == []


def test_locks_of_another_tool_at_work_are_left_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may lead nowhere as well, but each is there for a moment only."""
    monkeypatch.setattr(journal_lock, "_GRACE", 0.4)
    lock, mine, ended = tmp_path / "journal.log.lock", tmp_path / "next", threading.Event()
    missed = []

    def work() -> None:
        for _ in range(12):
            mine.symlink_to("elsewhere/journal.log")
            mine.replace(lock)  # another inode each time
            time.sleep(0.1)
            missed.append(not lock.is_symlink())
        lock.unlink()
        ended.set()

    lock.symlink_to("elsewhere/journal.log")
    other = threading.Thread(target=work)
    other.start()
    journal_lock.journal_lock(tmp_path / "journal.log")
    other.join()
    assert ended.is_set()
    assert not any(missed)


def test_a_lock_that_cannot_be_removed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(journal_lock, "_GRACE", 0.1)
    (tmp_path / "journal.log.lock").symlink_to("elsewhere/journal.log")
    monkeypatch.setattr(Path, "unlink", refused)
    with pytest.raises(PermissionError):
        journal_lock.journal_lock(tmp_path / "journal.log")
