"""What runs that are to be trained take together: their time on processes, and what is made once before them."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

from ablations.estimate import encoding_seconds
from ablations.executors.layout import core_count, gpu_count
from ablations.planner import Run
from ablations.sweep import clock
from core.config import RunConfig
from core.teacher_cache import views_to_encode

_WORTH_TELLING = 60.0  # seconds


def effort(pending: Sequence[Run], jobs: int) -> dict[str, Any]:
    """Estimated seconds of runs that are to be trained by so many processes, or fewer where they are fewer.

    Processes that share a GPU or a core are taken to be no faster than one.

    Args:
        pending: in the order in which they start.
    """
    processes = max(1, min(jobs, len(pending) or 1))
    device = pending[0].config.runtime.device if pending else "cpu"
    at_once = min(processes, gpu_count(device) if device.startswith("cuda") else core_count())
    # One after the other to who is free first: a run is not shared out, and the longest may be the last to end.
    ends = [0.0] * at_once
    for run in pending:
        heapq.heapreplace(ends, ends[0] + run.estimate.seconds)
    return {"seconds": round(max(ends), 1), "processes": processes}


def encoding_note(pending: Sequence[Run]) -> list[str]:
    """What teachers have to encode before runs start, which no run's estimate counts; nothing of what takes seconds."""
    distinct: dict[tuple[object, ...], RunConfig] = {}
    for config in (run.config for run in pending if run.config.distill.active):
        data = config.data
        of = config.distill.teacher, data.source, data.pool, data.image_size, data.expansion
        distinct.setdefault(of, config)
    views = [(views_to_encode(config), config) for config in distinct.values()]
    seconds = sum(encoding_seconds(config, count) for count, config in views)
    on_gpu = bool(pending) and pending[0].config.runtime.device.startswith("cuda")
    cores = 1 if on_gpu else core_count()
    if seconds / cores < _WORTH_TELLING:
        return []
    where = "the GPU" if on_gpu else f"{cores} CPU {'core' if cores == 1 else 'cores'}"
    told = f"teacher features of {sum(count for count, _ in views):,} views are encoded first, once"
    return [f"{told}: about {clock(seconds / cores)} on {where}, beside the time of the runs"]
