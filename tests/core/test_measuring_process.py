"""A process for each question or one for all, and its death."""

from __future__ import annotations

import os
import signal
from concurrent.futures.process import BrokenProcessPool

import pytest

from core.measuring_process import MeasuringProcess


def answer(given: str) -> int:
    if given == "wrong":
        raise ValueError("too few")
    if given == "deadly":
        os._exit(1)
    if given == "interrupted":
        os.kill(os.getpid(), signal.SIGINT)
    return os.getpid()


@pytest.mark.parametrize("keep", [True, False])
def test_questions_share_a_process_until_it_dies(keep: bool) -> None:
    with MeasuringProcess(keep) as process:
        first = process.ask(answer, "")
        assert first != os.getpid()
        assert (process.ask(answer, "") == first) is keep
        with pytest.raises(ValueError, match="too few"):
            process.ask(answer, "wrong")
        assert (process.ask(answer, "") == first) is keep
        with pytest.raises(BrokenProcessPool):
            process.ask(answer, "deadly")
        assert process.ask(answer, "") != first


def test_ctrl_c_is_for_who_asks_to_tell(capfd: pytest.CaptureFixture[str]) -> None:
    """It goes to both processes: the other one's traceback would be no news, and its answer a second interrupt."""
    with MeasuringProcess(keep=True) as process, pytest.raises(BrokenProcessPool):
        process.ask(answer, "interrupted")
    assert capfd.readouterr().err == ""
