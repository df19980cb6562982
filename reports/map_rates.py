"""At which FPR a map reads a contrast: at one and the same under all conditions, which else could not be compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pandas as pd

from reports.claims import Study
from reports.estimates import Estimate, study_estimates
from reports.metrics import loosest
from reports.replicates import Replicates

Frames = Sequence[tuple[str, pd.DataFrame]]  # of the conditions, by label
Under = list[tuple[str, list[Estimate]]]


def estimates_under(study: Study, frames: Frames, replicates: Replicates | None) -> Under:
    """The study's contrasts under every condition, each at the lowest FPR at which all conditions can be read.

    That is the highest of those at which each can be read by itself: fewer pairs are behind a lower one, and fewer of
    the same identity are found at it.
    """
    own = [study_estimates(study, frame, replicates) for _, frame in frames]
    common = [_common(of_contrast) for of_contrast in zip(*own, strict=True)]
    return [
        (label, list(_read_at(common, study, frame, replicates, found)))
        for (label, frame), found in zip(frames, own, strict=True)
    ]


def _common(of_contrast: Sequence[Estimate]) -> str:
    there = [one.metric for one in of_contrast if one.interval is not None]
    return loosest(there or [one.metric for one in of_contrast])


def _read_at(
    metrics: Sequence[str], study: Study, frame: pd.DataFrame, replicates: Replicates | None, found: Sequence[Estimate]
) -> Iterator[Estimate]:
    """One condition's estimates at `metrics`, those that are read at others estimated again."""
    for one, metric in zip(found, metrics, strict=True):
        if one.metric == metric or one.interval is None:
            yield replace(one, metric=metric)
            continue
        asked = one.contrast.model_copy(update={"metric": metric})
        (again,) = study_estimates(study.model_copy(update={"contrasts": (asked,)}), frame, replicates)
        was, now = (name.split("@")[1] for name in (one.metric, metric))
        told = (
            f"It could be read at FPR {was}; as some other condition cannot, all are read at FPR {now}, "
            "to be comparable."
        )
        yield replace(again, contrast=one.contrast, notes=(told, *again.notes))
