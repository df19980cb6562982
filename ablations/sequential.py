"""`--until-resolved`: seeds are added look by look, and only where a finding is still open.

A preset's looks fix beforehand at which numbers of seeds a verdict may be reached and what share of alpha each
spends (group-sequential testing: Lan and DeMets 1983, Biometrika 70), so that stopping early costs no false verdicts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ablations.planner import Place, Plan, Request, plan
from core.integrity import examine
from core.store import Store
from reports.cells import Cell
from reports.claims import Study
from reports.control import CONTROL, control_study

if TYPE_CHECKING:
    from reports.verdicts import Verdict

Looks = Mapping[int, float]
Decide = Callable[[Sequence[Study], Sequence[Cell], Store, Looks], "Sequence[Verdict]"]


def decide(studies: Sequence[Study], cells: Sequence[Cell], store: Store, looks: Looks) -> Sequence[Verdict]:
    """The verdicts that a report of the same cells would print."""
    from reports.frame import build_frame  # pandas and SciPy, which other commands need not import
    from reports.replicates import Replicates
    from reports.verdicts import judge

    plain = [cell for cell in cells if not cell.tuned]
    return judge(studies, build_frame(plain, store), looks=looks, replicates=Replicates(store.scores))


def next_counts(
    studies: Sequence[Study], verdicts: Iterable[Verdict], looks: Looks, reached: Mapping[Place, int]
) -> dict[Place, int]:
    """How many seeds every arm has at the next look; equal to `reached` when no run is left to ask for.

    Arms of the contrasts that decide a finding which is still open go on to the next look, if there is one, and the
    control goes with the furthest of them. All others stay where they are.

    Args:
        reached: seeds that every (study, arm) has now; the control's among them where there is one.
    """
    wanted = dict(reached)
    still_open = {verdict.finding.id for verdict in verdicts if verdict.open}
    for study in studies:
        for contrast in study.contrasts:
            if contrast.decides and contrast.finding in still_open:
                for arm in contrast.arms:
                    now = reached[study.study, arm]
                    wanted[study.study, arm] = min((look for look in looks if look > now), default=now)
    furthest = max(wanted.values(), default=0)
    return {place: furthest if place[0] == CONTROL else count for place, count in wanted.items()}


def with_seeds(request: Request, counts: Mapping[Place, int]) -> Request:
    """The request with the first `counts[study, arm]` of its seeds for every arm."""
    return replace(request, arm_seeds={place: request.seeds[:count] for place, count in counts.items()})


def at_look(request: Request, count: int) -> dict[Place, int]:
    """Every arm of a request, the control's too, at one number of seeds."""
    studies = [*request.studies, *([control_study()] if request.control else [])]
    return {(study.study, arm): count for study in studies for arm in study.arms}


def sweep_looks(
    request: Request, store: Store, train: Callable[[Plan], None], say: Callable[[str], None], decide: Decide = decide,
    halted: Callable[[], bool] = lambda: False,
) -> Plan:  # fmt: skip
    """Train the first look of everything, judge, and go on where a finding is open; returns the last plan.

    It stops when nothing is open, when the looks are used up, or when `train` leaves runs undone: a look is judged
    whole or not at all.

    Args:
        halted: whether no further run may start, since one of those that `train` trained failed.
    """
    counts, looks = at_look(request, min(request.preset.looks)), request.preset.looks
    while True:
        planned = plan(with_seeds(request, counts), store, digests=True)
        train(planned)
        look = max(counts.values())
        undone = sum(examine(store, run.key, digests=False).condition not in ("done", "failed") for run in planned.runs)
        if undone:
            say(f"look at {look} seeds: not judged, as {undone} of its runs are not there yet")
            return planned
        verdicts = decide(request.studies, planned.cells, store, looks)
        last = look >= max(looks)
        say(f"look at {look} seeds: {describe(request.studies, verdicts, last=last)}")
        following = next_counts(request.studies, verdicts, looks, counts)
        if following == counts:
            left = any(one.open or (last and one.verdict == "inconclusive") for one in verdicts)
            say("the looks are used up" if left else "nothing is open")
            return planned
        if halted():  # at the last of a look's runs, after which nothing was left to leave out
            say("no further look, as a run failed (--fail-fast)")
            return planned
        counts = following


def describe(studies: Sequence[Study], verdicts: Iterable[Verdict], *, last: bool = False) -> str:
    """What is open and what is not, e.g. ``open: 4, 9; resolved: 7 (reproduced); not run: 8``; `last`: of looks."""
    tested = {name for study in studies for name in study.tested}
    left = "inconclusive at the last look" if last else "not judged, for the reason in the report"
    groups: dict[str, list[str]] = {"open": [], "resolved": [], "not run": [], left: []}
    for verdict in verdicts:
        label = verdict.finding.label
        if verdict.finding.id not in tested:
            continue
        if verdict.open:
            groups["open"].append(label)
        elif verdict.verdict == "not run":
            groups["not run"].append(label)
        elif verdict.verdict == "inconclusive":
            groups[left].append(label)
        else:
            groups["resolved"].append(f"{label} ({verdict.verdict})")
    shown = [f"{name}: {', '.join(labels) or 'none'}" for name, labels in groups.items() if labels or name == "open"]
    return "; ".join(shown)


def as_run(request: Request, store: Store) -> Plan:
    """The plan of what `--until-resolved` has run so far.

    Every arm has the largest look of which all runs are done or failed, else the first: later looks that were never
    asked for are not missing. Runs of a look that is not complete are left out, as a look is judged whole or not at
    all, and a note of the plan counts them.
    """
    looks = sorted(request.preset.looks)
    whole = plan(with_seeds(request, at_look(request, looks[-1])), store)
    ended = {run.key: run.state for run in whole.runs if run.state in ("done", "failed")}
    counts = at_look(request, looks[0])
    for place in counts:
        keys = [(cell.seed, cell.key) for cell in whole.cells if (cell.study, cell.arm) == place and cell.key]
        whole_looks = [
            look for look in looks if keys and all(key in ended for seed, key in keys if seed in request.seeds[:look])
        ]
        counts[place] = max(whole_looks, default=looks[0])
    shown = plan(with_seeds(request, counts), store)
    left_out = [state for key, state in ended.items() if key not in {cell.key for cell in shown.cells}]
    if not left_out:
        return shown
    note = f"{len(left_out)} runs of looks that are not complete are left out ({left_out.count('failed')} failed)"
    return replace(shown, notes=(*shown.notes, note))
