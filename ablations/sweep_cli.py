"""`run`: train what a request still needs, within a budget and look by look where asked, then report."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ablations import options, report_writer, terminal, views
from ablations.budget import Budget, parse_duration
from ablations.executors.choice import Where
from ablations.executors.layout import Layout, measure_if_worth
from ablations.exit_codes import EXIT_FAILED
from ablations.options import (
    Chosen,
    Control,
    Data,
    Device,
    Eval,
    Html,
    Jobs,
    Out,
    PresetName,
    RetryFailed,
    Seeds,
    Sets,
    StorePath,
    Strict,
    Studies,
    UntilResolved,
    told_when_stopped,
)
from ablations.planner import Plan, plan
from ablations.retry import would_repeat
from ablations.sequential import sweep_looks
from ablations.sweep import sweep
from ablations.tending import make_way
from ablations.words import words_of
from core.config_sections import device_kind
from core.errors import UserError
from core.integrity import examine
from core.lease import Leases
from core.record import Newer
from core.store import HEAD_COST, HEAD_COST_SCHEMA, Store, leases_folder
from reports.cells import HEAD_STEP
from reports.folders import check_free
from reports.head_turns import head_turns

_STALL = "30m"


def run(
    studies: Studies, preset: PresetName = None, seeds: Seeds = None, data: Data = None, evaluation: Eval = None,
    sets: Sets = None, store: StorePath = Path(options.DEFAULT_STORE), device: Device = "cpu", strict: Strict = False,
    control: Control = True, deciding: options.Deciding = False, tuned: options.Tuned = False,
    until_resolved: UntilResolved = False,
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget", metavar="TIME", help="Start no run that would not end in time, e.g. 2h, 90m, 1h30m.",
            show_default="no limit",
        ),
    ] = None,
    jobs: Jobs = None,
    executor: Annotated[
        str, typer.Option("--executor", help="Where runs happen: local, or ray (a cluster, see --address).")
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            "--address", metavar="HOST:PORT", help="With --executor ray: of the cluster.",
            show_default="one on this machine",
        ),
    ] = None,
    gpus_per_run: Annotated[
        float,
        typer.Option("--gpus-per-run", min=0.01, help="With --executor ray and --device cuda: how much of a GPU."),
    ] = 1.0,
    retry_failed: RetryFailed = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="After a failure start no further run, nor another look.")
    ] = False,
    stall_timeout: Annotated[
        str,
        typer.Option("--stall-timeout", metavar="TIME", help="Without any progress for so long, a run has failed."),
    ] = _STALL,
    out: Out = Path(options.DEFAULT_OUT),
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write the report at the end.")] = True,
    html: Html = True,
) -> None:  # fmt: skip
    """Train what is not done yet, then write the report. Run it again to go on where it stopped."""
    limit = Budget(math.inf if budget is None else parse_duration(budget))
    stall = parse_duration(stall_timeout, "--stall-timeout")
    if not stall:
        raise UserError("--stall-timeout: no run makes progress in no time; give some minutes")
    where = Where(executor, address, gpus_per_run, jobs, stall)
    if gpus_per_run != 1.0 and not device.startswith("cuda"):
        raise UserError("--gpus-per-run is of runs on GPUs: add --device cuda")
    chosen = options.choose(
        studies, preset, store, seeds=seeds, data=data, evaluation=evaluation, sets=sets, device=device, strict=strict,
        control=control, deciding=deciding, tuned=tuned, until_resolved=until_resolved, executor=executor,
    )  # fmt: skip
    chosen.store.check_writable()
    if report and chosen.request.studies:  # before hours of training, after which it would be told too late
        check_free(out)
    console, failures = terminal.stderr(), list[int]()

    def train(planned: Plan) -> None:
        if where.here:
            measure_if_worth(planned.seconds(retry_failed), jobs, device, console.print)
        layout = Layout.choose(jobs, len(planned.runs), device)
        facts = views.plan_facts(chosen, planned, layout.jobs, retry_failed=retry_failed)
        views.print_plan(console, facts, every_run=False)
        failed = sweep(
            planned, chosen.store, console, jobs=jobs, retry_failed=retry_failed, fail_fast=fail_fast, budget=limit,
            where=where,
        )  # fmt: skip
        failures.append(failed)
        if budget is None:  # before a look is judged, as a verdict may rest on it
            _time_head(chosen, console)

    again = chosen.going_on(
        "run", ("--executor", executor, "local"), ("--address", address, None), ("--gpus-per-run", gpus_per_run, 1.0),
        ("--jobs", jobs, None), ("--retry-failed", retry_failed, False), ("--fail-fast", fail_fast, False),
        ("--stall-timeout", stall_timeout, _STALL), ("--out", out, Path(options.DEFAULT_OUT)),
        ("--no-report", not report, False), ("--no-html", not html, False),
    )  # fmt: skip
    with told_when_stopped(console, again if budget is None else f"{again}, with a new --budget or without one"):
        planned = _train(chosen, train, console, lambda: fail_fast and any(failures))
    if report and chosen.request.studies:
        report_writer.write(chosen, out, console, html=html)
    if budget is not None:
        _tell_untimed(chosen, console)
    _finish(planned, chosen.store, limit, console, again)


def _train(chosen: Chosen, train: Callable[[Plan], None], console: Console, halted: Callable[[], bool]) -> Plan:
    """Train all that is asked for, as `sweep_looks` has it; returns the plan of it."""
    if chosen.until_resolved:
        return sweep_looks(chosen.request, chosen.store, train, partial(terminal.say, console), halted=halted)
    planned = plan(chosen.request, chosen.store, digests=True)
    train(planned)
    return planned


def _resting_on_the_head(chosen: Chosen) -> list[str]:
    """Labels of findings that rest on steps of the class head, where the store has no such measurement yet."""
    if not chosen.request.preset.looks or _timed(chosen):
        return []
    labels = dict.fromkeys(
        study.finding(one.finding).label for study in chosen.request.studies for one in study.contrasts
        if one.decides and one.column == HEAD_STEP
    )  # fmt: skip
    return list(labels)


def _timed(chosen: Chosen) -> bool:
    return bool(head_turns(chosen.store, device_kind(str(chosen.request.overrides["runtime.device"]))))


def _tell_untimed(chosen: Chosen, console: Console) -> None:
    """A line on what a budget leaves out, as a finding that is not run because of it gets no further seeds."""
    if labels := _resting_on_the_head(chosen):
        root, device = str(chosen.store.root), chosen.request.overrides["runtime.device"]
        words = words_of(("--store", root, options.DEFAULT_STORE), ("--device", device, "cpu"))
        terminal.say(
            console,
            f"finding {', '.join(labels)} rests on steps of the class head, which a --budget leaves untimed: time them "
            f"with `{shlex.join(['python', '-m', 'ablations', 'cost', *words])}`, then run this again",
        )


def _time_head(chosen: Chosen, console: Console) -> None:
    """Time the class head where a study's verdict rests on it and the store has no such measurement yet."""
    if not _resting_on_the_head(chosen):
        return
    from core import head_cost  # torch takes seconds to import, and other commands need none

    with terminal.bars(console) as progress, Leases(leases_folder(chosen.store.root)).hold("head-cost"):
        if _timed(chosen):  # another process timed it meanwhile
            return
        try:
            make_way(chosen.store, chosen.store.root / HEAD_COST, HEAD_COST_SCHEMA, console)
        except Newer as newer:
            terminal.say(console, str(newer))
            return
        console.print("timing steps of the class head, some minutes (`cost` does it again)")
        head_cost.measure(chosen.store.root, device=chosen.request.overrides["runtime.device"], progress=progress)
    if not _timed(chosen):
        terminal.say(console, "the class head could not be timed here: `python -m ablations cost` says why")


def _finish(planned: Plan, store: Store, budget: Budget, console: Console, again: str) -> None:
    if budget.left:
        left = f"{budget.left} runs were left for lack of time"
        terminal.say(console, f"{left}. To go on: {again}, with a new --budget or without one")
    require_done(planned, store, console)


def require_done(planned: Plan, store: Store, console: Console, verb: str = "run") -> None:
    """Exit code 0 only if every planned run is done; `verb` is the command that tries again."""
    states = [examine(store, one.key, digests=False).condition for one in planned.runs]
    missing = len(states) - states.count("done")
    if missing:
        failed = states.count("failed")
        hopeless = sum(
            state == "failed" and bool(would_repeat(one.key, store))
            for one, state in zip(planned.runs, states, strict=True)
        )
        again = f"; `{verb} --retry-failed` tries them again" if failed > hopeless else ""
        again += f"; {hopeless} would fail in the same way" if hopeless else ""
        terminal.say(console, f"{missing} of {len(states)} runs are not done ({failed} failed): see `status`{again}")
        raise typer.Exit(EXIT_FAILED)
