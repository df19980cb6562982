"""`--retry-failed`: what failed is tried again, but for what would fail again in the same way."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

from ablations.executors.worker import decided_by
from ablations.planner import Run
from core import torchrun
from core.errors import UserError
from core.store import Store

# What a configuration, its data, the code and the number of ranks decide alone: all else may have to do with the
# machine and the moment.
MUST_REPEAT = ("diverged", "too_few_images", "bad_config")


def would_repeat(key: str, store: Store) -> str:
    """The kind of a failed run's failure if it is bound to repeat with the code that is here, else nothing."""
    try:
        failure = store.failure(key)
    except UserError:
        return ""
    same = failure.get("kind") in MUST_REPEAT and failure.get("code") == decided_by(_ranks())
    return str(failure["kind"]) if same else ""


def _ranks() -> int:
    return int(os.environ["WORLD_SIZE"]) if torchrun.launched() else 1


def worth_trying(runs: Sequence[Run], store: Store) -> tuple[list[Run], str]:
    """The runs without those bound to fail again, and a line on these, if there are any."""
    repeating = {run.key: would_repeat(run.key, store) for run in runs if run.state == "failed"}
    kinds = Counter(kind for kind in repeating.values() if kind)
    if not kinds:
        return list(runs), ""
    counted = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    line = f"not tried again: {counted}; with the same configuration, data and code they would fail in the same way"
    return [run for run in runs if not repeating.get(run.key)], line
