"""Before a sweep: damaged runs are set aside so that they are trained again, and a line says so of each."""

from __future__ import annotations

from collections.abc import Callable

from ablations.planner import Plan
from core.integrity import mend, set_aside
from core.store import Store


def tend(plan: Plan, store: Store, say: Callable[[str], None]) -> None:
    """Set the plan's damaged runs aside, mend what can be mended, and name what a newer version has written.

    Raises:
        RunFailure: `store_not_writable` or `no_space`.
    """
    for run in plan.runs:
        if run.state == "damaged" and (moved := set_aside(store, run.key)) is not None:
            where, reason = moved
            say(f"damaged: {run.label}: {reason}. The run is set aside as {where}, and is trained again")
        elif run.state == "newer":
            say(f"left alone: {run.label}: {run.reason}")
        elif run.state == "done":
            for line in mend(store, run.key):
                say(f"damaged: {run.label}: {line}")
