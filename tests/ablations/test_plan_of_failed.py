"""`--retry-failed`: what is told of runs that are tried again, before they are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ablations import map_cli, sweep_cli, tune_cli
from ablations.estimate import Estimate
from ablations.options import Chosen, choose
from ablations.planner import Plan, plan
from ablations.terminal import clock
from ablations.views import plan_facts
from core.result import code_versions
from core.store import Store
from tests.ablations.conftest import CLAIMING, TINY, TINY_SETS, TWO_ARMS, CommandLine


@pytest.fixture
def failed(cli: CommandLine, tmp_path: Path) -> Chosen:
    """Two arms that both failed; the second cannot but fail again."""
    Path("mine.yaml").write_text(TWO_ARMS)
    chosen = choose(["mine.yaml"], "smoke", tmp_path / "runs", sets=TINY_SETS, control=False)
    first, second = plan(chosen.request, chosen.store).runs
    chosen.store.fail(first.key, "hung", "no progress", "", code_versions())
    chosen.store.fail(second.key, "diverged", "the loss is nan", "", code_versions())
    return chosen


def test_plan_counts_them_where_it_is_asked(cli: CommandLine, failed: Chosen) -> None:
    words = ["mine.yaml", *TINY, "--no-control"]
    assert cli("plan", *words) == 0
    assert "2 runs: 0 new, 0 cached, 2 failed\n" in cli.out
    assert cli("plan", *words, "--retry-failed") == 0
    assert "2 failed, 1 to be tried again; about " in cli.out
    assert cli("plan", *words, "--retry-failed", "--json") == 0
    facts = json.loads(cli.out)
    assert facts["estimate"]["runs"] == facts["estimate"]["processes"] == 1
    assert facts["estimate"]["seconds"] == facts["runs"][0]["seconds"]
    assert "leave out --retry-failed" in cli.refuses("plan", "--gpus", "2", "--retry-failed")


@pytest.mark.parametrize("again", [False, True])
def test_run_tells_what_it_is_about_to_train(
    cli: CommandLine, failed: Chosen, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    worth: list[float] = []
    monkeypatch.setattr(sweep_cli, "measure_if_worth", lambda seconds, *_: worth.append(seconds))
    monkeypatch.setattr(sweep_cli, "sweep", lambda *_, **__: None)
    cli("run", "mine.yaml", *TINY, "--no-control", "--no-report", *(["--retry-failed"] if again else []))
    assert ("1 to be tried again; about " in cli.err) == again
    assert (worth[0] > 0) == again


@pytest.mark.parametrize(
    ("verb", "told"),
    [
        (["tune", "--trials", "2"], "4 different runs, 0 new, 1 to be tried again; about "),
        (["map", "--over", "optim.clip=1,5"], "0 cached, 4 failed, 1 of them to be tried again; about "),
    ],
)
def test_what_cannot_but_fail_again_is_not_counted_among_them(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, verb: list[str], told: str
) -> None:
    planned: list[Plan] = []
    for module in (map_cli, tune_cli):
        monkeypatch.setattr(module, "sweep", lambda plan, *_, **__: planned.append(plan))
    Path("mine.yaml").write_text(CLAIMING)
    words = [*verb, "mine.yaml", *TINY, *(["--seeds", "1"] if verb[0] == "map" else [])]
    cli(*words)
    first, *others = planned[0].runs
    store = Store("runs")
    store.fail(first.key, "hung", "no progress", "", code_versions())
    for run in others:
        store.fail(run.key, "diverged", "the loss is nan", "", code_versions())
    cli(*words, "--retry-failed")
    assert told in cli.err
    assert f"about {clock(first.estimate.seconds)} on 1 process" in cli.err
    store.fail(first.key, "diverged", "the loss is nan", "", code_versions())
    cli(*words, "--retry-failed")
    assert "to be tried again" not in cli.err


@pytest.mark.parametrize(
    ("module", "verb"), [(map_cli, ["map", "--over", "optim.clip=1,5"]), (tune_cli, ["tune", "--trials", "2"])]
)
def test_a_machine_is_measured_before_long_work_on_them(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, module: Any, verb: list[str]
) -> None:
    asked: list[bool] = []

    def seconds(_: Plan, retry_failed: bool = False) -> float:
        asked.append(retry_failed)
        return 0.0

    monkeypatch.setattr(Plan, "seconds", seconds)
    monkeypatch.setattr(module, "sweep", lambda *_, **__: None)
    cli(*verb, "neck", *TINY, "--retry-failed")
    assert asked == [True]


def test_memory_is_of_what_is_to_be_trained(failed: Chosen) -> None:
    planned = plan(failed.request, failed.store)
    sizes = [replace(run, estimate=Estimate(1.0, size)) for run, size in zip(planned.runs, (700, 900), strict=True)]
    some = replace(planned, runs=(sizes[0], replace(sizes[1], state="done")))
    assert plan_facts(failed, some, 1, retry_failed=True)["estimate"]["memory_mb_per_process"] == 700
    assert plan_facts(failed, some, 1)["estimate"]["memory_mb_per_process"] == 0
