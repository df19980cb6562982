"""Before something is written to a store: what is damaged there is set aside, and a line says so of each."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from ablations import terminal
from ablations.planner import Plan
from core import record
from core.integrity import mend, put_aside, set_aside
from core.record import Damaged
from core.store import Store


def tend(plan: Plan, store: Store, console: Console) -> None:
    """Set the plan's damaged runs aside, mend what can be mended, and name what a newer version has written.

    Raises:
        RunFailure: `store_not_writable` or `no_space`.
    """
    for run in plan.runs:
        if run.state == "damaged" and (moved := set_aside(store, run.key)) is not None:
            where, reason = moved
            terminal.say(
                console, f"damaged: {run.label}: {reason}. The run is set aside as {where}, and is trained again"
            )
        elif run.state == "newer":
            terminal.say(console, f"left alone: {run.label}: {run.reason}")
        elif run.state == "done":
            for line in mend(store, run.key):
                terminal.say(console, f"damaged: {run.label}: {line}")


def make_way(store: Store, path: Path, schema: int, console: Console) -> None:
    """Set a record that is about to be written anew aside if it is damaged.

    Raises:
        Newer: a later version wrote it: it must stay.
        RunFailure: `store_not_writable` or `no_space`.
    """
    try:
        record.read(path, schema)
    except FileNotFoundError:
        return
    except Damaged as damaged:
        where = put_aside(store, path, str(damaged))
        terminal.say(console, f"{damaged}. It is set aside as {where}, and is made again")
