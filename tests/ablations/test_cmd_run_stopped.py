"""`run`, stopped: by Ctrl-C, by a termination signal, by kill -9; and run again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablations.__main__ import main
from core.checkpoint import progress
from core.config import RunConfig
from core.store import CHECKPOINT, Store
from tests.ablations.conftest import CommandLine, command_environment
from tests.core.killing import TINY
from tests.core.stores import equal_part, logged

# The command line with a checkpoint after every step; worker processes import it, too.
EAGER = """
import core.checkpoint
core.checkpoint.SAVE_EVERY = 0.0
if __name__ == "__main__":
    from ablations.__main__ import main
    main()
"""


class Command:
    """A command line in a process group of its own."""

    def __init__(self, folder: Path, *words: str) -> None:
        script = folder / "eager.py"
        script.write_text(EAGER)
        self.process = subprocess.Popen(
            [sys.executable, str(script), *words], stderr=subprocess.PIPE, text=True, cwd=folder,
            env=command_environment(PYTHONUNBUFFERED="1"), start_new_session=True,
            # A shell's background job, as this test may be, starts with Ctrl-C ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *of_error: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.communicate()

    def wait_for(self, reached: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 90
        while not reached() and time.monotonic() < deadline:
            assert self.process.poll() is None, self.process.communicate()[1]
            time.sleep(0.02)
        assert reached()

    def end(self) -> str:
        return self.process.communicate(timeout=60)[1]


def one_run(folder: Path, samples: int) -> str:
    """A configuration file: the command line trains that run alone."""
    config = RunConfig().with_overrides({**TINY, "model.backbone": "test_efficientnet", "optim.samples": samples})
    (folder / "mine.yaml").write_text(config.to_yaml())
    return str(folder / "mine.yaml")


def saved(store: Path) -> int:
    """Samples trained, as the checkpoints of a store say."""
    return sum((progress(path) or (0, 0))[0] for path in store.glob(f"*/{CHECKPOINT}"))


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_interruption_keeps_checkpoints_alone_and_says_how_to_go_on(tmp_path: Path, sent: signal.Signals) -> None:
    store = tmp_path / "runs"
    later = sent == signal.SIGTERM
    with Command(tmp_path, "run", one_run(tmp_path, 1_000_000), "--jobs", "1", "--store", str(store)) as command:
        command.wait_for((lambda: saved(store)) if later else lambda: list(store.glob("*/config.yaml")))
        command.process.send_signal(sent)
        err = command.end()
    assert command.process.returncode == 130
    assert "stopped; what is done is kept, and an unfinished run goes on from its last checkpoint" in err
    assert "To go on: python -m ablations run " in err
    assert "Traceback" not in err
    left = [path for key in Store(store).run_keys() for path in Store(store).path(key).iterdir()]
    assert not left or CHECKPOINT in {path.name for path in left}
    assert bool(left) == bool(saved(store))
    assert left or not later


def test_killed_and_run_again_ends_as_if_it_had_not_been(tmp_path: Path, cli: CommandLine) -> None:
    words = ["run", one_run(tmp_path, 480)]
    assert cli(*words, "--store", tmp_path / "whole") == 0
    whole, parts = Store(tmp_path / "whole"), Store(tmp_path / "runs")

    with Command(tmp_path, *words) as command:
        command.wait_for(lambda: saved(parts.root) > 80)
        os.killpg(command.process.pid, signal.SIGKILL)  # the command and its workers
        command.end()
    (key,) = whole.run_keys()
    assert parts.run_keys() == [key]
    assert parts.state(key) == "new"
    assert cli(*words) == 0
    assert parts.result(key)["cost"]["resumed"] == 1
    assert equal_part(parts, key) == equal_part(whole, key)
    assert logged(parts, key) == logged(whole, key)
    assert {path.name for path in parts.path(key).iterdir()} == {path.name for path in whole.path(key).iterdir()}


def test_ctrl_c_while_the_command_line_is_imported_is_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which takes seconds, and is the same to who waits."""

    class Impatient:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None:
            if name == "ablations.cli":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "ablations.cli", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Impatient(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "\nstopped before anything was done\n"
