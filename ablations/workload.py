"""What runs that are to be trained take together: their time on processes, and what is made once before them."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ablations.estimate import drawing_seconds, encoding_seconds
from ablations.executors.layout import core_count, gpu_count
from ablations.planner import Run
from ablations.terminal import clock
from core.config import RunConfig
from core.data.cache import cache_dir, path_of
from core.data.corpus import RealCaptures
from core.data.corpus_images import described
from core.inputs import corpus_of
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


def effort_told(found: Mapping[str, Any]) -> str:
    """An `effort` in words."""
    several = "es" if found["processes"] > 1 else ""
    return f"about {clock(found['seconds'])} on {found['processes']} process{several}"


def captures_to_draw(config: RunConfig) -> dict[Path, int]:
    """Files of simulated captures that the run reads and the cache lacks, with how many there are in each.

    What the user has photographed is read, which takes less.
    """
    source, size, folder = corpus_of(config), config.data.image_size, cache_dir(config.runtime.cache_dir)
    judged = source.judged_part(config.eval.judged)
    parts = [(source.validation, False), (judged, False), *([(judged, True)] if source.shifted else [])]
    lacking: dict[Path, int] = {}
    for part, shifted in parts:
        if isinstance(part, RealCaptures):
            continue
        path = path_of(folder, *described(part, source.captures, size, source.severity, shifted))
        if not path.exists():
            lacking[path] = source.capture_count(part)
    return lacking


def preparation_notes(pending: Sequence[Run]) -> list[str]:
    """What is made before runs start, which no run's estimate counts; nothing of what takes seconds."""
    return [*_capture_note(pending), *_encoding_note(pending)]


def _capture_note(pending: Sequence[Run]) -> list[str]:
    distinct: dict[tuple[object, ...], RunConfig] = {}
    for config in (run.config for run in pending):
        data, evaluation = config.data, config.eval
        # Only what decides captures: those of a folder are held out of `data`.
        of = data.source, data.image_size, evaluation.model_copy(update={"points": 1}).model_dump_json()
        distinct.setdefault(of, config)
    files: dict[Path, tuple[int, int]] = {}
    for config in distinct.values():
        size = config.data.image_size
        files |= {path: (count, size) for path, count in captures_to_draw(config).items()}
    seconds = sum(drawing_seconds(count, size) for count, size in files.values())
    return _note(f"{sum(count for count, _ in files.values()):,} captures are drawn", seconds)


def _encoding_note(pending: Sequence[Run]) -> list[str]:
    distinct: dict[tuple[object, ...], RunConfig] = {}
    for config in (run.config for run in pending if run.config.distill.active):
        data = config.data
        of = config.distill.teacher, data.source, data.pool, data.image_size, data.expansion
        distinct.setdefault(of, config)
    views = [(views_to_encode(config), config) for config in distinct.values()]
    seconds = sum(encoding_seconds(config, count) for count, config in views)
    on_gpu = bool(pending) and pending[0].config.runtime.device.startswith("cuda")
    return _note(f"teacher features of {sum(count for count, _ in views):,} views are encoded", seconds, on_gpu)


def _note(what: str, seconds: float, on_gpu: bool = False) -> list[str]:
    """Args: seconds: of the GPU, or of one core where all of them are at it."""
    cores = 1 if on_gpu else core_count()
    if seconds / cores < _WORTH_TELLING:
        return []
    where = "the GPU" if on_gpu else f"{cores} CPU {'core' if cores == 1 else 'cores'}"
    return [f"{what} first, once: about {clock(seconds / cores)} on {where}, beside the time of the runs"]
