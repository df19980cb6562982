"""Contrasts as they were read: from the frame to estimates with intervals, and to the tests that decide."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from reports.arithmetic import no_op
from reports.cells import HEAD_STEP, LEFT_OUT, READABLE
from reports.claims import Study
from reports.contrasts import Contrast
from reports.decision import Difference
from reports.gates import at_edge, gate
from reports.markdown import number
from reports.metrics import decimals, readable_metric, told_interval
from reports.reader import Part, Reader, oriented
from reports.remarks import remarks
from reports.replicates import Replicates
from reports.stats import Interval


@dataclass(frozen=True)
class Estimate:
    """A contrast as it was read: `metric` is a column of the frame, `seeds` those that all of its arms have.

    `interval` is of the whole contrast: for `cost_ratio` it holds ratios (its standard errors are of the logarithm),
    for an interaction the sum of its two parts. All are oriented so that the claim lies above 0, or above 1. `missing`
    says why there is no estimate, `gate` why there is one that must not be judged, `gates` why it must not at a look;
    `no_op` that its arms are one under two names on this hardware. `tried` counts the seeds with which every arm was
    trained, whether or not a run failed; `caveats` are those of the notes that a verdict must not be told without;
    `tests` are those of all seeds, `looks` those of each look that was tried whole and may be judged, by what was there
    then.
    """

    study: str
    contrast: Contrast
    metric: str
    interval: Interval | None
    seeds: tuple[int, ...] = ()
    tried: int = 0
    missing: str = ""
    unavailable: bool = False
    gate: str = ""
    gates: Mapping[int, str] = field(default_factory=dict)
    no_op: bool = False
    notes: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    tests: tuple[Difference, ...] = ()
    looks: Mapping[int, tuple[Difference, ...]] = field(default_factory=dict)

    @property
    def is_ratio(self) -> bool:
        return self.contrast.is_ratio

    @property
    def label(self) -> tuple[str, str]:
        """The two arms in the order in which they are subtracted or divided."""
        return self.pairs[0]

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """As `label`, of both pairs of an interaction."""
        return oriented(self.contrast, self.metric)

    @property
    def shown(self) -> list[tuple[tuple[str, str], Interval]]:
        """Every difference that is tested, with its arms: of an interaction both, as each must be there."""
        if self.interval is None:
            return []
        if len(self.parts) < 2:  # of a ratio the part is its logarithm
            return [(self.label, self.interval)]
        return [((part.first, part.second), part.interval) for part in self.parts]


def study_estimates(
    study: Study,
    frame: pd.DataFrame,
    replicates: Replicates | None = None,
    looks: Iterable[int] = (),
    edges: Mapping[str, Sequence[str]] | None = None,
) -> list[Estimate]:
    """The contrasts of one study, each with its estimate or with the reason why there is none.

    Args:
        frame: of `reports.frame.build_frame`.
        replicates: TPRs under resampled identities; without them intervals leave the test identities fixed.
        looks: numbers of seeds at which tests are wanted.
        edges: by arm, the fields whose tuned value is at the edge of the range that was searched.
    """
    rows = frame[frame["study"] == study.study]
    found = [_estimate(study, contrast, rows, replicates, tuple(looks)) for contrast in study.contrasts]
    return [_tuned(one, edges) for one in found] if edges else found


def _tuned(one: Estimate, edges: Mapping[str, Sequence[str]]) -> Estimate:
    """An estimate of tuned arms, which is not judged at any look where a search ended at an edge."""
    if not (told := at_edge(one.contrast, edges)):
        return one
    return replace(one, gate=one.gate or told, looks={})


def _estimate(
    study: Study, contrast: Contrast, rows: pd.DataFrame, replicates: Replicates | None, looks: Sequence[int]
) -> Estimate:
    metric = contrast.column
    empty = Estimate(study.study, contrast, metric, None)
    if metric not in READABLE:
        return replace(empty, missing=f"No run records '{contrast.metric}'.")
    read = rows[rows["arm"].isin(contrast.arms)]
    done = read[read["state"] == "done"]
    for arm in contrast.arms:
        if not (done["arm"] == arm).any():
            reason, unavailable = _why_absent(study.study, arm, rows[rows["arm"] == arm])
            return replace(empty, missing=reason, unavailable=unavailable)
    ended = _ended(read)
    first = _at_first_look(done, ended, looks)
    metric, fallback = readable_metric(metric, first, contrast.pairs)
    empty = replace(empty, metric=metric)
    values = done.pivot(index="seed", columns="arm", values=metric)[list(contrast.arms)].dropna().sort_index()
    if values.empty:
        lacking = f"No run of '{study.study}' records '{metric}'." if done[metric].isna().all() else ""
        if lacking and metric == HEAD_STEP:
            lacking = "The step of the class head was not timed: `python -m ablations cost` does."
        named = ("both " if len(contrast.arms) == 2 else "all of ") + " and ".join(f"'{arm}'" for arm in contrast.arms)
        return replace(empty, missing=lacking or f"No seed of '{study.study}' has {named}.")
    if contrast.is_ratio and values.to_numpy().min() <= 0:
        return replace(empty, missing=f"'{contrast.metric}' of '{study.study}' is not positive, so it has no ratio.")
    keys = done.pivot(index="seed", columns="arm", values="key").loc[values.index, list(contrast.arms)]
    reader = Reader(contrast, metric, values, keys, replicates, float(done["identities"].min()))
    # Turns of the class head are no runs: where fewer were timed than there are seeds, a look rests on those there are.
    tried = ended if metric == HEAD_STEP else _tried(read, ended, values.index)

    def gated(rows: pd.DataFrame, n: int) -> str:
        return gate(study, contrast, metric, rows) or reader.gate(n)

    read_at, gates_at = _at_looks(looks, tried, values.index, read, reader, gated)
    absent = [*_unpaired(read), *_unrecorded(read, values.index, metric)]
    caveats = [*remarks(contrast, metric, read), *reader.caveats()]
    parts = reader.parts(len(values))
    notes = (fallback, _levels(contrast, metric, values), _both(metric, parts), *absent, *caveats)
    return replace(
        empty,
        interval=reader.whole(len(values)),
        seeds=tuple(int(seed) for seed in values.index),
        tried=len(tried),
        parts=parts,
        tests=reader.tests(len(values)),
        looks=read_at,
        gate=gated(read, len(values)),
        gates=gates_at,
        no_op=no_op(contrast, first),
        notes=tuple(note for note in notes if note),
        caveats=tuple(caveats),
    )


def _at_looks(
    looks: Iterable[int], tried: Sequence[int], paired: pd.Index, read: pd.DataFrame, reader: Reader,
    gated: Callable[[pd.DataFrame, int], str],
) -> tuple[dict[int, tuple[Difference, ...]], dict[int, str]]:  # fmt: skip
    """By look that was tried whole: the tests where it may be judged, and elsewhere why not, by what was there then.

    What came after must not undo a verdict, nor a gate's. `gated` says why so many paired seeds must not be judged.
    """
    tests, gates = dict[int, tuple[Difference, ...]](), dict[int, str]()
    for look in (look for look in looks if look <= len(tried)):
        rows_then, count = read[read["seed"].isin(tried[:look])], int(paired.isin(tried[:look]).sum())
        if count and (told := gated(rows_then, count)):
            gates[look] = told
        elif count:
            tests[look] = reader.tests(count)
    return tests, gates


def _levels(contrast: Contrast, metric: str, values: pd.DataFrame) -> str:
    """What a trend's interval, which is of its ends, does not tell."""
    if not contrast.through:
        return ""
    means = ", ".join(f"'{level}' {number(values[level].mean(), decimals(metric))}" for level in contrast.levels)
    return f"Means of the levels: {means}."


def _both(metric: str, parts: Sequence[Part]) -> str:
    """What an interaction's interval, which is of a sum, does not tell."""
    if len(parts) == 1:
        return ""
    told = [f"'{one.first}' − '{one.second}' {told_interval(one.interval, metric)}" for one in parts]
    return f"It is the sum of two differences, each of which must be there: {' and '.join(told)}."


def _at_first_look(done: pd.DataFrame, ended: Sequence[int], looks: Sequence[int]) -> pd.DataFrame:
    """The done rows that the first look saw, which decide at which FPR all looks are read; all before it is reached.

    What comes after a look must not change what it was of.
    """
    first = min(looks, default=0)
    then = done[done["seed"].isin(ended[:first])]
    return then if len(ended) >= first and len(then) else done


def _ended(read: pd.DataFrame) -> list[int]:
    """The seeds with which every arm is done or has failed, up to the first whose runs may still be trained.

    Seeds beyond a gap wait for it: else a look would be of other seeds once the gap is filled.
    """
    states = read.pivot(index="seed", columns="arm", values="state").sort_index()
    ended = states.isin(["done", "failed"]).to_numpy().all(axis=1)
    return [int(seed) for seed in states.index[np.logical_and.accumulate(ended)]]


def _tried(read: pd.DataFrame, ended: Sequence[int], paired: pd.Index) -> list[int]:
    """The seeds that ended and are paired, or would be if no run had failed, in rising order.

    A look is of so many seeds tried: one that waited for runs which can only fail again would never come. That few
    failed is a gate's to see to.
    """
    failed = set(read.loc[read["state"] == "failed", "seed"])
    return [seed for seed in ended if seed in paired or seed in failed]


def _why_absent(study: str, arm: str, rows: pd.DataFrame) -> tuple[str, bool]:
    if rows.empty:
        return f"Arm '{arm}' of '{study}' was not asked for.", False
    state = next(
        name for name in ("unavailable", "failed", "damaged", "newer", "missing", LEFT_OUT)
        if (rows["state"] == name).any()
    )  # fmt: skip
    reason = str(rows.loc[rows["state"] == state, "reason"].iloc[0]).rstrip(".")
    told = {
        "unavailable": "is unavailable", "failed": "has only failed runs", "damaged": "has a damaged run",
        "newer": "has a run of a newer version", LEFT_OUT: "was left out",
    }  # fmt: skip
    said = f"Arm '{arm}' of '{study}' {told.get(state, 'has no run yet')}{f': {reason}' if state in told else ''}."
    return said, state == "unavailable"


def _unpaired(read: pd.DataFrame) -> list[str]:
    absent = read[read["state"] != "done"]
    return [
        f"{_left_out(rows['seed'])}: {'their runs' if len(rows) > 1 else 'its run'} of '{arm}' "
        f"{'are' if len(rows) > 1 else 'is'} {state}."
        for (arm, state), rows in absent.groupby(["arm", "state"], sort=False)
    ]


def _unrecorded(read: pd.DataFrame, paired: pd.Index, metric: str) -> list[str]:
    """Seeds with which every arm is done, and some has no such number."""
    absent = {*paired, *read.loc[read["state"] != "done", "seed"]}
    seeds = sorted(int(seed) for seed in set(read["seed"]) - absent)
    return [f"{_left_out(seeds)}: no '{metric}' is recorded."] if seeds else []


def _left_out(seeds: Iterable[int]) -> str:
    *first, last = sorted(seeds)
    return f"Seeds {', '.join(map(str, first))} and {last} are left out" if first else f"Seed {last} is left out"
