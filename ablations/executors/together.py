"""One run after another, each trained by all processes that torchrun started; the leading one plans, judges and writes.

The others follow: they wait for a run, train their part of it, and wait for the next.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from ablations.executors.fenced import FencedStore
from ablations.executors.layout import core_count
from ablations.executors.turns import Executor
from ablations.executors.worker import LOST_RANK, Event, Task, all_met, classify, decided_by, execute
from ablations.exit_codes import EXIT_INTERRUPTED, EXIT_USAGE
from core import torchrun
from core.config import RunConfig
from core.errors import RunFailure, UserError
from core.store import CHECKPOINT, Store

if TYPE_CHECKING:
    from core.ranks import Ranks


class TogetherExecutor(Executor):
    """The leading rank's: it trains each run itself, together with the others, and so is never busy between two."""

    def __init__(self, store: Store, ranks: Ranks) -> None:
        super().__init__(store)
        self._ranks = ranks

    def _busy(self) -> Sequence[object]:
        return ()

    def _hand_out(self) -> bool:
        """Do all that may start.

        Raises:
            RunFailure: of kind ``worker_died``, where this rank failed in a way that left the others waiting.
        """
        while True:
            task, waits = self._turns.next()
            if task is None:
                return waits
            self._on_start(0, task)
            self._do(task)

    def _listen(self) -> None: ...

    def _look_after(self, gap: float) -> None: ...

    def _do(self, task: Task) -> None:
        here = replace(task, config=on_this_rank(task.config), ticket=self._gate.ticket(task))

        def report(what: str, done: int, total: int) -> None:
            self._on_event(0, task, Event("progress", task.key, what, done, total))

        try:
            event = execute(here, FencedStore(str(self._store.root), here.ticket), report, self._ranks)
        except BaseException:
            self._ranks.broken = True
            if task.kind == "run":
                self._store.discard_unfinished(task.key)
            raise
        self._turns.end(0, task, event)
        if not event.shared:
            self._ranks.broken = True
            raise RunFailure(
                "worker_died", f"{task.label} failed on one rank alone ({event.failure}), and the others wait for it: "
                "start torchrun again to go on with the other runs",
            )  # fmt: skip

    def stop(self) -> None:
        """Whatever ended the sweep ended the run that was in work."""

    def close(self) -> None:
        """Nothing is kept between sweeps."""


def ranks_here() -> int:
    """How many of the ranks are on this machine; 1 without torchrun."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def on_this_rank(config: RunConfig) -> RunConfig:
    """The configuration with this rank's share of its machine's cores, and its own GPU."""
    threads = max(1, core_count() // ranks_here())
    device = f"cuda:{torchrun.local_rank()}" if config.runtime.device.startswith("cuda") else config.runtime.device
    runtime = config.runtime.model_copy(update={"threads": threads, "device": device})
    return config.model_copy(update={"runtime": runtime})


def main(arguments: Sequence[str], command: Callable[[list[str]], int]) -> int:
    """The command line under torchrun: the leading rank runs `command`, the others follow. Returns the exit code."""
    try:
        ranks = torchrun.join()
    except UserError as error:  # before the command line, which tells its own mistakes
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USAGE
    code = 1
    try:
        code = command(list(arguments)) if ranks.leads else _follow(ranks)
        if ranks.leads and not ranks.broken:
            ranks.send(None)
    except KeyboardInterrupt:
        code, ranks.broken = EXIT_INTERRUPTED, True
    finally:
        if ranks.broken:  # a collective that some ranks wait in would keep this process from ending
            end(code)
    with suppress(RuntimeError):  # all is done: it does not matter which of the ranks is gone already
        torchrun.leave()
    return code


def end(code: int) -> NoReturn:
    """End this process without the interpreter's own end, at which threads of the ranks' group may still be about.

    A rank whose work was done and told has been seen to abort there ("terminate called without an active exception"),
    and torchrun then takes all of them for failed.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _next(ranks: Ranks) -> tuple[RunConfig, str, str] | None:
    """The leader's next run; None where it has no more, or is gone: what it ended with is for it to tell."""
    try:
        order: tuple[RunConfig, str, str] | None = ranks.send()
    except RuntimeError as error:
        if classify(error)[0] != LOST_RANK:
            raise
        ranks.broken = True
        return None
    return order


def _follow(ranks: Ranks) -> int:
    """Train this rank's part of every run, until the leader has no more; 1 after a failure that only this rank met."""
    from core.trainer import follow

    while (order := _next(ranks)) is not None:
        config, root, key = order
        config, store = on_this_rank(config), Store(root)
        try:
            follow(config, ranks, store.path(key, CHECKPOINT))
        except Exception as error:
            kind, message = classify(error)
            if all_met(ranks, error, kind):
                continue
            ranks.broken = True
            if kind != LOST_RANK:  # the leader's own end is for the leader to tell
                told = f"on rank {ranks.index}: {message}"
                store.fail(key, kind, told, config.to_yaml(), decided_by(ranks.count))
                print(f"error: {key}: {kind}: {told}", file=sys.stderr)
            return 1
    return 0
