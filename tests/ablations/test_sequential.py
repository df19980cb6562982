"""`--until-resolved`: seeds look by look, only where a finding is open, whatever the verdicts are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ablations import options, sequential
from ablations.options import choose
from ablations.planner import Plan, Request
from ablations.preset import load_preset
from ablations.sequential import as_run, at_look, describe, next_counts, sweep_looks, with_seeds
from core.store import Store
from reports import material, verdicts
from reports.claims import Arm, Finding, Study, findings
from reports.contrasts import Contrast
from reports.verdicts import Verdict
from tests.ablations.conftest import CLAIMING, TINY, WILD, CommandLine

LOOKS = {1: 0.2, 2: 0.3, 4: 0.5}
NORM, LN_BN = "4_norm_ln_vs_bn", "9_norm_ln_bn"
_SMALL = (
    f"study: small\ntitle: t\nquestion: q\nfindings: [{NORM}, {LN_BN}]\nbaseline: ln\narms:\n  ln: {{}}\n"
    "  bn: {model.norm: bn}\n  ln_bn: {model.norm: ln_bn}\n  none: {model.norm: none}\ncontrasts:\n"
    f"  - {{finding: {NORM}, better: ln, than: bn}}\n  - {{finding: {LN_BN}, better: ln_bn, than: none}}\n"
)


def study(**changes: Any) -> Study:
    """`a` and `b` test one finding, `c` and `d` another; `e` is beside them."""
    contrasts = (
        Contrast(finding=NORM, better="a", than="b"),
        Contrast(finding=LN_BN, better="c", than="d"),
        Contrast(finding=NORM, better="e", than="a", decides=False),
    )
    arms = {"a": Arm(), **{name: Arm(set={"model.norm": "bn"}) for name in "bcde"}}
    base: dict[str, Any] = {
        "study": "norm", "title": "t", "question": "q", "baseline": "a", "arms": arms, "contrasts": contrasts,
    }  # fmt: skip
    return Study(**(base | changes))


def verdict(finding: str, said: str, of: str = "norm") -> Verdict:
    found = findings().get(finding) or Finding(id=finding, source=of, claim="c")
    return Verdict(found, said, "", open=said == "inconclusive")  # type: ignore[arg-type]


def reached(count: int, *names: str) -> dict[tuple[str, str], int]:
    control = {("control", "baseline"): count, ("control", "again"): count}
    return {(name, arm): count for name in names or ("norm",) for arm in "abcde"} | control


def test_only_arms_of_open_findings_and_the_control_go_on() -> None:
    wanted = next_counts([study()], [verdict(NORM, "inconclusive"), verdict(LN_BN, "reproduced")], LOOKS, reached(1))
    assert wanted == reached(1) | {
        ("norm", "a"): 2, ("norm", "b"): 2, ("control", "baseline"): 2, ("control", "again"): 2,
    }  # fmt: skip


@pytest.mark.parametrize("said", ["reproduced", "contradicted", "not reproduced", "not run"])
def test_nothing_goes_on_when_nothing_is_open(said: str) -> None:
    assert next_counts([study()], [verdict(NORM, said), verdict(LN_BN, said)], LOOKS, reached(1)) == reached(1)


def test_nothing_goes_on_when_the_looks_are_used_up() -> None:
    assert next_counts([study()], [verdict(NORM, "inconclusive")], LOOKS, reached(4)) == reached(4)


def test_the_control_goes_with_the_furthest() -> None:
    now = reached(1) | {("norm", arm): 2 for arm in "ab"} | {("control", "again"): 2, ("control", "baseline"): 2}
    wanted = next_counts([study()], [verdict(NORM, "inconclusive"), verdict(LN_BN, "not run")], LOOKS, now)
    assert {place: count for place, count in wanted.items() if count > 1} == {
        ("norm", "a"): 4, ("norm", "b"): 4, ("control", "baseline"): 4, ("control", "again"): 4,
    }  # fmt: skip


def test_without_a_control_none_is_added() -> None:
    now = {("norm", arm): 1 for arm in "abcde"}
    assert set(next_counts([study()], [verdict(NORM, "inconclusive")], LOOKS, now)) == set(now)


def test_a_finding_of_the_record_goes_on_in_every_study_that_tests_it() -> None:
    both = [study(study=name) for name in ("one", "two")]
    wanted = next_counts(both, [verdict(LN_BN, "inconclusive", "one")], LOOKS, reached(1, "one", "two"))
    assert {place for place, count in wanted.items() if count > 1 and place[0] != "control"} == {
        ("one", "c"), ("one", "d"), ("two", "c"), ("two", "d"),
    }  # fmt: skip


def test_what_is_said_of_a_look() -> None:
    verdicts = [verdict(NORM, "inconclusive"), verdict(LN_BN, "reproduced"), verdict("6_pretrain", "not run")]
    assert describe([study()], verdicts) == "open: 4; resolved: 9 (reproduced)"
    gated = replace(verdicts[0], open=False)
    assert describe([study()], [gated]) == "open: none; not judged, for the reason in the report: 4"
    assert describe([study()], [gated], last=True) == "open: none; inconclusive at the last look: 4"
    assert describe([study()], verdicts[1:]) == "open: none; resolved: 9 (reproduced)"


@dataclass
class Story:
    """A sweep whose runs end at once, as failed, and whose verdicts are given look by look."""

    request: Request
    store: Store
    verdicts: list[list[Verdict]]
    stop_after: int = 10**6  # runs

    def __post_init__(self) -> None:
        self.trained: list[list[str]] = []
        self.said: list[str] = []

    def train(self, plan: Plan) -> None:
        runs = plan.pending(False)[: self.stop_after]
        self.trained.append([run.label for run in runs])
        for run in runs:
            self.store.fail(run.key, "diverged", "x")

    def tell(self) -> Plan:
        verdicts = iter(self.verdicts)
        return sweep_looks(
            self.request, self.store, self.train, self.said.append, lambda studies, cells, store, looks: next(verdicts)
        )


@pytest.fixture
def requested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Request]:
    """A request for a study of four arms at smoke size, with looks: four runs, and the control's, at the first."""
    preset = load_preset("smoke").model_copy(update={"looks": LOOKS})
    monkeypatch.setattr(options, "load_preset", lambda name: preset)
    path = tmp_path / "small.yaml"
    path.write_text(_SMALL)

    def make() -> Request:
        return choose([str(path)], "smoke", tmp_path / "runs", until_resolved=True).request

    return make


OPEN = [verdict(NORM, "inconclusive"), verdict(LN_BN, "reproduced")]
SETTLED = [verdict(NORM, "contradicted"), verdict(LN_BN, "reproduced")]


def test_seeds_are_added_only_where_a_finding_is_open(requested: Callable[..., Request], tmp_path: Path) -> None:
    story = Story(requested(), Store(tmp_path / "runs"), [OPEN, SETTLED])
    plan = story.tell()
    assert len(story.trained[0]) == 5
    assert story.trained[1:] == [["small/ln seed 1", "small/bn seed 1", "control/again seed 1"]]
    assert story.said == [
        "look at 1 seeds: open: 4; resolved: 9 (reproduced)",
        "look at 2 seeds: open: none; resolved: 4 (contradicted), 9 (reproduced)",
        "nothing is open",
    ]
    assert {(cell.arm, cell.seed) for cell in plan.cells if cell.study == "small" and cell.seed} == {
        ("ln", 1),
        ("bn", 1),
    }


def test_it_ends_with_the_last_look(requested: Callable[..., Request], tmp_path: Path) -> None:
    at_the_end = [replace(OPEN[0], open=False), OPEN[1]]  # no seeds are left that might settle it
    story = Story(requested(), Store(tmp_path / "runs"), [OPEN, OPEN, at_the_end])
    story.tell()
    assert [len(labels) for labels in story.trained] == [5, 3, 6]
    assert story.said[-1] == "the looks are used up"


def test_a_look_that_is_not_whole_is_not_judged(requested: Callable[..., Request], tmp_path: Path) -> None:
    story = Story(requested(), Store(tmp_path / "runs"), [], stop_after=2)
    plan = story.tell()
    assert story.said == ["look at 1 seeds: not judged, as 3 of its runs are not there yet"]
    assert len(plan.runs) == 5


def test_it_goes_on_where_it_stopped(requested: Callable[..., Request], tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    Story(requested(), store, [OPEN], stop_after=2).tell()
    story = Story(requested(), store, [OPEN, SETTLED])
    story.tell()
    assert [len(labels) for labels in story.trained] == [3, 3]


def test_a_report_shows_the_largest_whole_look_of_every_arm(requested: Callable[..., Request], tmp_path: Path) -> None:
    request, store = requested(), Store(tmp_path / "runs")
    Story(request, store, [OPEN, SETTLED]).tell()
    shown = as_run(request, store)
    seeds = {
        place: [cell.seed for cell in shown.cells if (cell.study, cell.arm) == place] for place in at_look(request, 1)
    }
    assert {place for place, own in seeds.items() if own == [0, 1]} == {
        ("small", "ln"), ("small", "bn"), ("control", "baseline"), ("control", "again"),
    }  # fmt: skip
    assert {len(own) for own in seeds.values()} == {1, 2}
    assert shown.notes == ()


def test_runs_of_a_look_that_is_not_whole_are_counted_not_shown(
    requested: Callable[..., Request], tmp_path: Path
) -> None:
    request, store = requested(), Store(tmp_path / "runs")
    Story(request, store, [OPEN, SETTLED]).tell()
    fourth = sequential.plan(with_seeds(request, at_look(request, 4)), store)
    late = next(run for run in fourth.runs if run.label == "small/none seed 3")
    store.fail(late.key, "diverged", "x")
    shown = as_run(request, store)
    assert late.key not in {cell.key for cell in shown.cells}
    assert shown.notes[-1] == "1 runs of looks that are not complete are left out (1 failed)"


def test_a_report_of_nothing_shows_the_first_look_as_missing(requested: Callable[..., Request], tmp_path: Path) -> None:
    shown = as_run(requested(), Store(tmp_path / "runs"))
    assert {cell.seed for cell in shown.cells} == {0}
    assert shown.notes == ()


def test_the_command_line_trains_what_is_open_and_reports_it(
    cli: CommandLine, requested: Callable[..., Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    del requested  # for its preset with looks
    assert material.judge is verdicts.judge  # the report's, which goes on to judge what is really there
    open_once = iter([[verdict("7_neck", "inconclusive")], [verdict("7_neck", "reproduced")]])
    monkeypatch.setattr(verdicts, "judge", lambda studies, frame, **more: next(open_once))
    Path("mine.yaml").write_text(
        "study: mine\ntitle: t\nquestion: q\nfindings: [7_neck]\nbaseline: flat\n"
        "arms:\n  flat: {}\n  gap: {model.neck: gap}\n  slow: {optim.lr: 1.0e-5}\n"
        "contrasts:\n  - {finding: 7_neck, better: flat, than: gap}\n"
    )
    words = ["mine.yaml", *TINY, "--until-resolved", "--seeds", "3-5,8"]
    assert cli("run", *words, "--out", "report") == 0
    assert "look at 1 seeds: open: 7" in cli.err
    assert "look at 2 seeds: open: none; resolved: 7 (reproduced)" in cli.err
    table = Path("report/tables/mine.csv").read_text()
    assert cli("report", *words, "--out", "again") == 0
    assert Path("again/tables/mine.csv").read_text() == table
    rows = pd.read_csv("report/tables/mine.csv")
    assert list(zip(rows["arm"], rows["seed"].astype(str), rows["state"], strict=True)) == [
        ("flat", "3", "done"), ("flat", "4", "done"), ("gap", "3", "done"), ("gap", "4", "done"), ("slow", "3", "done"),
    ]  # fmt: skip
    assert len(Store("runs").run_keys()) == 5 + 2  # and the control's
    assert cli("repeat", "--out", "report", "--store", "second", "--runs", "1") == 0
    assert "1 of 1 runs are equal to the bit" in cli.out


@pytest.mark.parametrize("words", [[], ["--fail-fast"]])
def test_no_look_is_begun_after_a_failure_where_that_is_asked(
    cli: CommandLine, requested: Callable[..., Request], monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    """The last run of a look may be the one that fails, and nothing is left of it."""
    del requested
    monkeypatch.setattr(verdicts, "judge", lambda studies, frame, **more: [verdict("lower", "inconclusive", "mine")])
    Path("mine.yaml").write_text(CLAIMING.replace("claims:", f"{WILD}claims:"))
    given = ["mine.yaml", *TINY, "--until-resolved", "--no-control", "--no-report", *words]
    assert cli("run", *given) == 1
    assert ("look at 2 seeds" in cli.err) == (not words)
    assert ("no further look, as a run failed (--fail-fast)" in cli.err) == bool(words)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["norm", *TINY], "preset smoke has no looks"),
        (["norm", "--seeds", "3"], "the last look of preset quick is at 10 seeds, --seeds names 3"),
        (["norm", "--seeds", "10-20"], "name 10, or leave --seeds out"),
    ],
)
def test_what_cannot_be_resolved_is_refused(cli: CommandLine, words: list[str], told: str) -> None:
    assert told in cli.refuses("run", *words, "--until-resolved")


def test_looks_take_the_seeds_that_are_named_lowest_first(tmp_path: Path, requested: Callable[..., Request]) -> None:
    requested()
    request = choose([str(tmp_path / "small.yaml")], "smoke", tmp_path, seeds="29,10-12", until_resolved=True).request
    story = Story(request, Store(tmp_path / "runs"), [OPEN, OPEN, SETTLED])
    story.tell()
    assert [{label.rpartition(" ")[2] for label in labels} for labels in story.trained] == [
        {"10"}, {"11"}, {"12", "29"},
    ]  # fmt: skip
    shown = as_run(request, story.store)
    assert {cell.seed for cell in shown.cells if cell.arm == "ln"} == {10, 11, 12, 29}
    assert {cell.seed for cell in shown.cells if cell.arm == "none"} == {10}


def test_no_time_leaves_the_first_look_missing(
    cli: CommandLine, requested: Callable[..., Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    del requested
    monkeypatch.setattr(verdicts, "judge", lambda *args, **more: pytest.fail("judged what is not there"))
    assert cli("run", "neck", *TINY, "--until-resolved", "--budget", "0s", "--no-report") == 1
    assert "not judged, as 4 of its runs are not there yet" in cli.err
    assert "To go on: python -m ablations run neck" in cli.err
    assert "--until-resolved" in cli.err.split("To go on:")[1]
