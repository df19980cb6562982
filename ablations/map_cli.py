"""`map`: the contrasts of a study under several conditions: where does a finding hold, and where not?"""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ablations import options, terminal
from ablations.conditions import Condition, conditions, declared, plans_of, together
from ablations.executors.layout import Layout, measure_if_worth
from ablations.options import (
    AsJson,
    Data,
    Device,
    Eval,
    Jobs,
    PresetName,
    RetryFailed,
    Seeds,
    Sets,
    StorePath,
    Strict,
    Studies,
    told_when_stopped,
)
from ablations.planner import Plan, Request
from ablations.retry import worth_trying
from ablations.sweep import sweep
from ablations.sweep_cli import require_done
from ablations.views import absent_facts, print_absent, print_json
from ablations.words import words_of_each
from ablations.workload import effort, effort_told
from ablations.written_command import written
from core.errors import UserError
from core.store import Store
from reports.claims import Study

DEFAULT_OUT = "reports/maps"


def map_(
    studies: Studies,
    over: Annotated[
        list[str] | None,
        typer.Option(
            "--over", metavar="FIELD=VALUE,VALUE", help="What to vary; several are combined.", show_default=False
        ),
    ] = None,
    preset: PresetName = None, seeds: Seeds = None, data: Data = None, evaluation: Eval = None, sets: Sets = None,
    store: StorePath = Path(options.DEFAULT_STORE), device: Device = "cpu", strict: Strict = False, jobs: Jobs = None,
    retry_failed: RetryFailed = False,
    out: Annotated[Path, typer.Option("--out", help="Folder of the maps.")] = Path(DEFAULT_OUT),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would take, and train nothing.")] = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Run a study's contrasts under several conditions: where does a finding hold, and where not?

    For example: map norm --over optim.samples=24000,48000,96000; without --over, the conditions that the study declares
    itself. Runs that the store has already are not trained again, nor is anything after a stop. A map shows intervals;
    verdicts are of `run`.
    """
    given = conditions(over or [], sets or [])
    chosen = options.choose(
        studies, preset, store, seeds=seeds, data=data, evaluation=evaluation, sets=sets, device=device, strict=strict,
    )  # fmt: skip
    request = replace(chosen.request, control=False, deciding=True)
    if not request.studies:
        raise UserError("a map needs studies, not a single run")
    console = terminal.stderr()
    maps = _maps(request, given, everything="all" in studies)
    plans = [plans_of(replace(request, studies=(study,)), found, chosen.store) for study, found in maps]
    from reports.folders import check_page  # the pages of a report, which other commands need not import
    from reports.maps import MARK, page_path

    for study, found in maps:
        check_page(page_path(study, _fields(found), out), MARK)
    whole = together([planned for some in plans for planned in some])
    facts = _planned_facts(maps, whole, chosen.store, jobs, device, retry_failed)
    print_absent(console, facts)
    terminal.say(console, _planned_text(facts))
    if dry_run:
        if as_json:
            print_json(facts)
        return
    chosen.store.check_writable()
    verb = shlex.join(["map", *words_of_each("--over", over)])
    again = chosen.going_on(
        verb, ("--jobs", jobs, None), ("--retry-failed", retry_failed, False), ("--out", out, Path(DEFAULT_OUT))
    )
    with told_when_stopped(console, again):
        measure_if_worth(whole.seconds(retry_failed), jobs, device, console.print)
        sweep(whole, chosen.store, console, jobs=jobs, retry_failed=retry_failed, fail_fast=False)
    from reports.facts import map_facts
    from reports.maps import write_map

    found_there = []
    for (study, found), some in zip(maps, plans, strict=True):
        under = [(condition.label, planned.cells) for condition, planned in zip(found, some, strict=True)]
        command = written(verb, chosen.again, some[0].baseline)
        mapped = write_map(study, under, chosen.store, out, fields=_fields(found), command=command)
        found_there.append({"conditions": _values(found), **map_facts(mapped)})
        terminal.say(console, f"map: {mapped.page}")
    if as_json:
        print_json({"maps": found_there})
    require_done(whole, chosen.store, console, "map")


def _maps(request: Request, given: list[Condition], *, everything: bool) -> list[tuple[Study, list[Condition]]]:
    """Every study with its conditions; of `everything` without `given` ones, the studies that declare their own."""
    found = [(study, given or declared(study, request)) for study in request.studies]
    if everything and not given:
        found = [(study, own) for study, own in found if own]
    for study, own in found:
        if not study.contrasts_of_runs:
            raise UserError(
                f"study {study.study} has no contrast that decides anything and reads runs: there is nothing to map"
            )
        if not own:
            raise UserError(
                f"study {study.study} declares no conditions of its own: name what to vary, "
                "e.g. --over optim.samples=24000,48000,96000"
            )
    return found


def _fields(found: list[Condition]) -> list[str]:
    return [field for field, _ in found[0].values]


def _planned_facts(
    maps: list[tuple[Study, list[Condition]]], whole: Plan, store: Store, jobs: int | None, device: str,
    retry_failed: bool,
) -> dict[str, Any]:  # fmt: skip
    """What is to be trained, in the words of `plan --json`."""
    pending, _ = worth_trying(whole.pending(retry_failed), store)
    at_once = Layout.choose(jobs, len(whole.runs), device).jobs
    return {
        "studies": [{"study": study.study, "conditions": _values(found)} for study, found in maps],
        "counts": whole.counts(),
        "estimate": {"runs": len(pending), **effort(pending, at_once)},
        **absent_facts(whole, pending),
    }


def _values(found: list[Condition]) -> dict[str, dict[str, Any]]:
    return {condition.label: dict(condition.values) for condition in found}


def _planned_text(facts: dict[str, Any]) -> str:
    counts, guess = facts["counts"], facts["estimate"]
    told = ", ".join(f"{one['study']}: {len(one['conditions'])} conditions" for one in facts["studies"])
    tried = guess["runs"] - counts["new"] - counts["damaged"]
    some = f", {tried} of them" if tried < counts["failed"] else ""
    again = f"{some} to be tried again" if tried else ""
    number = sum(count for state, count in counts.items() if state != "unavailable")  # which counts arms
    runs = f"{number} runs: {counts['new'] + counts['damaged']} new, {counts['cached']} cached, "
    runs += f"{counts['failed']} failed{again}"
    return f"{told}; {runs}; {effort_told(guess)}"
