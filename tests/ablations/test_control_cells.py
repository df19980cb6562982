"""The A/A control in plans: it shares the baseline's runs, and adds runs on seeds that no study uses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ablations.options import choose
from ablations.planner import Plan, plan
from ablations.registry import load_study
from core.config import RunConfig
from core.errors import UserError
from reports.cells import Cell
from tests.ablations.conftest import TINY, TWO_ARMS, CommandLine


def planned(store: Path, **options: object) -> Plan:
    chosen = choose(["norm", "neck"], "smoke", store, **options)  # type: ignore[arg-type]
    return plan(chosen.request, chosen.store)


def cells_of(found: Plan, study: str, arm: str) -> list[Cell]:
    return [cell for cell in found.cells if (cell.study, cell.arm) == (study, arm)]


def test_it_shares_the_baselines_runs(tmp_path: Path) -> None:
    found = planned(tmp_path, seeds="3")
    shared = [(cell.seed, cell.key) for cell in cells_of(found, "control", "baseline")]
    assert shared == [(cell.seed, cell.key) for cell in cells_of(found, "norm", "ln")]
    assert len(shared) == 3


@pytest.mark.parametrize("seeds", ["3", "7,1001", "0,1000", "999", "1000"])
def test_its_other_half_is_the_baseline_on_seeds_that_no_study_uses(tmp_path: Path, seeds: str) -> None:
    found = planned(tmp_path, seeds=seeds)
    configs = {run.key: run.config for run in found.runs}
    again, baseline = cells_of(found, "control", "again"), cells_of(found, "control", "baseline")
    assert [cell.seed for cell in again] == [cell.seed for cell in baseline]
    used = {configs[str(cell.key)].seed for cell in found.cells if (cell.study, cell.arm) != ("control", "again")}
    trained = [configs[str(cell.key)] for cell in again]
    assert not {config.seed for config in trained} & used
    assert len({config.seed for config in trained}) == len(again)
    assert {config.model_copy(update={"seed": 0}) for config in trained} == {
        found.baseline.model_copy(update={"seed": 0})
    }


def test_its_runs_are_planned_counted_and_named(tmp_path: Path) -> None:
    found, without = planned(tmp_path, seeds="2"), planned(tmp_path, seeds="2", control=False)
    labels = {run.label for run in found.runs} - {run.label for run in without.runs}
    assert labels == {"control/again seed 0", "control/again seed 1"}
    assert found.counts()["new"] == without.counts()["new"] + 2
    assert found.seconds() > without.seconds()
    assert not [cell for cell in without.cells if cell.study == "control"]


def test_plan_shows_it_and_can_leave_it_out(cli: CommandLine) -> None:
    Path("mine.yaml").write_text(TWO_ARMS)
    assert cli("plan", "mine.yaml", *TINY) == 0
    assert "control/again seed 0" in cli.out
    assert "3 runs: 3 new" in cli.out
    assert cli("plan", "mine.yaml", *TINY, "--no-control", "--json") == 0
    facts = json.loads(cli.out)
    assert facts["counts"]["new"] == 2
    assert "--no-control" in facts["command"]


def test_a_single_configuration_has_none(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(RunConfig().to_yaml())
    chosen = choose([str(path)], None, tmp_path)
    assert {cell.study for cell in plan(chosen.request, chosen.store).cells} == {"config"}


def test_list_counts_a_studys_own_runs(cli: CommandLine) -> None:
    assert cli("list", "--preset", "smoke", "--json") == 0
    rows = {row["study"]: row for row in json.loads(cli.out)["studies"]}
    assert rows["norm"]["runs"] == len(rows["norm"]["arms"]) == len(load_study("norm").study.arms)


def test_its_name_is_taken(tmp_path: Path, cli: CommandLine) -> None:
    (tmp_path / "mine.yaml").write_text(
        "study: control\ntitle: t\nquestion: q\nbaseline: a\narms:\n  a: {}\n  b: {model.norm: bn}\n"
    )
    assert "mine.yaml:1: study: this name belongs to the A/A control" in cli.refuses("plan", "mine.yaml", *TINY)


def test_an_arm_that_changes_nothing_is_legal(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "study: mine\ntitle: t\nquestion: q\nbaseline: a\narms:\n  a: {}\n  again: {}\n"
    )
    chosen = choose([str(tmp_path / "mine.yaml")], "smoke", tmp_path)
    found = plan(chosen.request, chosen.store)
    assert cells_of(found, "mine", "a")[0].key == cells_of(found, "mine", "again")[0].key


def test_seeds_without_room_for_the_controls_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="seed"):
        planned(tmp_path, seeds=f"{2**31 - 1},0")
    planned(tmp_path, seeds=f"{2**31 - 1},0", control=False)


def test_they_are_refused_in_the_words_of_the_option(cli: CommandLine) -> None:
    told = cli.refuses("plan", "norm", *TINY, "--seeds", "2147483000-2147483002")
    assert told == (
        "error: --seeds: the A/A control adds 2147484000 to each, and seeds must be below 2147483648: take smaller "
        "ones, or leave it out with --no-control"
    )
    assert cli("plan", "norm", *TINY, "--seeds", "0,1073741000") == 0
    assert "--no-control" in cli.refuses("plan", "norm", *TINY, "--seeds", "0,1073741824")
    under = ["norm", "--over", "optim.clip=1,5", *TINY, "--dry-run"]
    assert cli("map", *under, "--seeds", "2147483000-2147483001") == 0  # has no control
    told = cli.refuses("plan", "norm", *TINY, "--seeds", "0,2147483648", "--no-control")
    assert told == "error: --seeds: seeds must be below 2147483648, got 2147483648"
