"""The conditions under which a study is run again, given by `--over` or its own, and the runs of all of them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ablations.estimate import measured_rates
from ablations.planner import Plan, Request, Run, baseline_of, plan
from ablations.registry import baseline_values
from ablations.words import parse_sets
from core.errors import UserError
from core.store import Store
from reports.claims import Study, resolved

MOST = 64  # conditions of one map


@dataclass(frozen=True)
class Condition:
    """Fields of the baseline with the values that they have here."""

    values: tuple[tuple[str, Any], ...]

    @property
    def label(self) -> str:
        """Short, for tables and figures: the last words of the fields' names."""
        return ", ".join(f"{field.rpartition('.')[2]} {_shown(value)}" for field, value in self.values)


def conditions(over: Sequence[str], sets: Sequence[str]) -> list[Condition]:
    """Every combination of the values of every `--over`, the last one's changing fastest; none where there is none.

    Raises:
        UserError: a field without two different values, one that is given twice, too many combinations.
    """
    fixed = parse_sets(sets)
    fields: dict[str, list[Any]] = {}
    for one in over:
        field, _, text = one.partition("=")
        values = [parse_sets([f"{field}={part.strip()}"], "--over")[field] for part in text.split(",")]
        if len(values) < 2 or _repeated(values):
            raise UserError(f"--over {one}: expected FIELD=VALUE,VALUE with at least two values, all different")
        if field in fields or field in fixed:
            raise UserError(f"--over {field}: given twice, or by --set as well")
        fields[field] = values
    return _combined(fields, "--over") if fields else []


def declared(study: Study, request: Request) -> list[Condition]:
    """The study's own conditions, multiples worked out from the baseline; none where it declares none.

    Raises:
        UserError: a field with values of its own is set by --set as well, two of a field's values come out the same,
            too many combinations, or as `baseline_of`.
    """
    if not study.conditions:
        return []
    for name, given in study.conditions.items():
        own = [value for value in given if not isinstance(value, dict)]  # multiples are of what --set says
        if own and name in request.overrides:
            raise UserError(
                f"study {study.study}: its conditions give {name} the values {', '.join(map(_shown, own))}: "
                f"leave out --set {name}, or say by --over what to vary"
            )
    known = baseline_values(baseline_of(request)[0])
    fields = {name: [resolved(value, known[name]) for value in values] for name, values in study.conditions.items()}
    for name, values in fields.items():
        if _repeated(values):
            raise UserError(f"study {study.study}: its conditions of {name} are not all different here: {values}")
    return _combined(fields, f"study {study.study}")


def _repeated(values: Sequence[Any]) -> bool:
    return any(value in values[:place] for place, value in enumerate(values))


def _combined(fields: Mapping[str, Sequence[Any]], whose: str) -> list[Condition]:
    found = [Condition(tuple(zip(fields, values, strict=True))) for values in itertools.product(*fields.values())]
    if len(found) > MOST:
        raise UserError(f"{whose}: {len(found)} combinations of conditions, expected {MOST} at most: take fewer values")
    return found


def plans_of(request: Request, found: Sequence[Condition], store: Store) -> list[Plan]:
    """The plan of the request under every condition, its runs named after it.

    Raises:
        UserError: a condition cannot be run, or a field changes no arm of a study, as all of them set it themselves.
    """
    plans, rates = [], measured_rates(store)
    for condition in found:
        there = replace(request, overrides={**request.overrides, **dict(condition.values)})
        try:
            planned = plan(there, store, digests=True, rates=rates)
        except UserError as error:
            raise UserError(f"with {condition.label}: {error}") from None
        runs = tuple(replace(run, label=f"{run.label}, {condition.label}") for run in planned.runs)
        plans.append(replace(planned, runs=runs))
    for study in request.studies:
        _refuse_twins(study, found, plans)
    return plans


def _refuse_twins(study: Study, found: Sequence[Condition], plans: Sequence[Plan]) -> None:
    arms = {arm for contrast in study.contrasts_of_runs.values() for arm in contrast.arms}
    seen: dict[frozenset[str | None], Condition] = {}
    for condition, planned in zip(found, plans, strict=True):
        keys = frozenset(cell.key for cell in planned.cells if cell.study == study.study and cell.arm in arms)
        if other := seen.get(keys):
            raise UserError(
                f"study {study.study} compares the same runs with {other.label} and with {condition.label}: "
                "its arms set that themselves, or the two mean the same"
            )
        seen[keys] = condition


def together(plans: Sequence[Plan]) -> Plan:
    """One plan of the runs of several, each once."""
    runs: dict[str, Run] = {}
    for one in plans:
        for run in one.runs:
            runs.setdefault(run.key, run)
    cells = tuple(cell for one in plans for cell in one.cells)
    notes = tuple(dict.fromkeys(note for one in plans for note in one.notes))
    return replace(plans[0], cells=cells, runs=tuple(runs.values()), notes=notes)


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
