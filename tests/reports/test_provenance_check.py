"""The check of a report: a fresh one holds, and every way in which one ceases to hold is made and named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable

import pytest

from core.config import RunConfig
from core.errors import UserError
from reports import provenance_check
from reports.control import control_study
from reports.folders import RECORD
from reports.pages import write_report
from tests.reports.conftest import CODE, INPUTS, REPORT, Written, reseal


def test_a_fresh_report_holds(report: Written) -> None:
    found = report.check()
    assert found.problems == ()
    assert found.unchecked == ()
    files = [path for path in report.out.rglob("*") if path.is_file() and path.name != RECORD]
    assert found.counts == {"files": len(files), "studies": 3, "runs": 15}


@pytest.mark.parametrize("name", ["index.md", "norm.md", "tables/norm.csv", "figures/class-count-ladder.png"])
def test_files_of_the_report(report: Written, name: str) -> None:
    with (report.out / name).open("ab") as handle:
        handle.write(b" ")
    assert report.problems() == [f"edited file: {name} was changed since the report was written"]
    (report.out / name).unlink()
    assert report.problems() == [f"missing file: {name} is not there any more"]


def test_the_record_itself(report: Written) -> None:
    text = (report.out / RECORD).read_text()
    (report.out / RECORD).write_text(text.replace('"state": "missing"', '"state": "unavailable"'))
    assert f"edited file: {RECORD} was changed since the report was written" in report.problems()


def test_a_run_that_is_gone(report: Written) -> None:
    cell = report.world.cell("norm", "ln", 0)
    shutil.rmtree(report.world.store.path(str(cell.key)))
    assert report.problems() == [f"missing run: norm/ln seed 0 ({cell.key}) was done, and is not in the store"]


def test_a_result_that_changed(report: Written) -> None:
    key = str(report.world.cell("norm", "bn", 1).key)
    report.change_result(key, lambda result: result["metrics"].update({"auroc": 0.99}))
    told = f"changed run: result.json of norm/bn seed 1 ({key}) is not the one that the report was written from"
    assert report.problems() == [told]


@pytest.mark.parametrize("remove", [False, True])
def test_scores_that_changed(report: Written, remove: bool) -> None:
    key = str(report.world.cell("norm", "bn", 1).key)
    path = report.world.store.path(key, "scores.npz")
    path.unlink() if remove else path.write_bytes(b"PK")
    (told,) = report.problems()
    assert told.startswith(f"changed run: norm/bn seed 1 ({key}) was done, and is damaged now: {path} is damaged (")


def test_a_result_that_cannot_be_read(report: Written) -> None:
    key = str(report.world.cell("norm", "bn", 1).key)
    report.world.store.path(key, "result.json").write_text("{")
    (told,) = report.problems()
    assert told.startswith(f"changed run: norm/bn seed 1 ({key}) was done, and is damaged now: ")


@pytest.mark.parametrize(("arm", "study", "state"), [("bn", "norm", "failed"), ("x8", "class-count", "missing")])
def test_a_run_that_was_not_done_and_is_now(report: Written, arm: str, study: str, state: str) -> None:
    seed = 2 if arm == "bn" else 1
    key, done = str(report.world.cell(study, arm, seed).key), report.world.cell("norm", "ln", 0).key
    shutil.copytree(report.world.store.path(str(done)), report.world.store.path(key), dirs_exist_ok=True)
    result = json.loads(report.world.store.path(key, "result.json").read_text())
    reseal(report.world.store, key, {**result, "key": key})
    told = f"out of date: {study}/{arm} seed {seed} ({key}) was {state} when the report was written, and is done"
    assert report.problems() == [told]


def test_a_run_that_was_missing_and_failed_since(report: Written) -> None:
    key = str(report.world.cell("class-count", "x8", 1).key)
    report.world.store.fail(key, "diverged", "x")
    told = f"out of date: class-count/x8 seed 1 ({key}) was missing when the report was written, and is failed"
    assert report.problems() == [told]


def test_a_claim_that_changed(report: Written) -> None:
    norm, classes = report.world.studies
    easier = norm.contrasts[0].model_copy(update={"smallest_effect": 0.001})
    changed = norm.model_copy(update={"contrasts": (easier, *norm.contrasts[1:])})
    declared = {"norm": changed, "class-count": classes, "control": control_study()}
    told = f"changed claim: study norm was declared as {norm.digest} when it was judged, and is {changed.digest} now"
    assert report.problems(declared=declared) == [told]


def test_a_declaration_that_is_not_here_is_said_to_be_unchecked(report: Written) -> None:
    found = report.check(declared={"control": control_study()})
    assert found.problems == ()
    assert [text.split(",")[0] for text in found.unchecked] == ["the claims of 'norm'", "the claims of 'class-count'"]
    assert found.counts["studies"] == 1


def test_code_that_changed(report: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance_check, "code_digest", lambda: "0123456789ab")
    told, key = report.problems(), report.world.cell("norm", "ln", 0).key
    assert told[0] == (
        f"stale: other code: norm/ln seed 0 ({key}) was made by code {CODE}, this is 0123456789ab"
    )  # fmt: skip
    assert len(told) == 13  # a line a done run, however many studies share it


def rewrite(report: Written, of: Callable[[RunConfig], bool], name: str) -> None:
    """Runs that read other data, in store and report alike."""
    for cell in report.world.cells:
        if cell.key and report.world.store.state(cell.key) == "done":
            config = RunConfig.model_validate(report.world.store.result(cell.key)["config"])
            if of(config):
                report.change_result(cell.key, lambda result: result["inputs"].update({name: "folder:1"}))
    write_report(report.world.studies, report.world.cells, report.world.store, report.out, **REPORT)


def other(of: Callable[[RunConfig], bool], *names: str) -> Callable[[RunConfig], dict[str, str]]:
    """What is there now: other data under `names` for some configurations."""
    return lambda config: INPUTS | dict.fromkeys(names if of(config) else (), "folder:1")


def test_seeds_that_read_different_data(report: Written) -> None:
    def second_bn(config: RunConfig) -> bool:
        return config.seed == 1 and config.model.norm == "bn"

    rewrite(report, second_bn, "train")
    keys = [report.world.cell("norm", "bn", seed).key for seed in (0, 1)]
    told = f"norm/bn seed 1 ({keys[1]}) read train folder:1, norm/bn seed 0 ({keys[0]}) read procedural:ab12"
    assert report.problems(resolve=other(second_bn, "train")) == [f"stale: other data: {told}"]


def test_arms_may_differ_in_weights_but_not_in_what_they_are_judged_on(report: Written) -> None:
    def bn(config: RunConfig) -> bool:
        return config.model.norm == "bn"

    rewrite(report, bn, "pretrained")
    assert report.problems(resolve=other(bn, "pretrained")) == []
    rewrite(report, bn, "test")
    (found,) = report.problems(resolve=other(bn, "pretrained", "test"))
    assert "read test folder:1, norm/ln seed 0" in found


def test_data_that_changed_since(report: Written) -> None:
    found = report.problems(resolve=lambda config: dict(INPUTS, test="procedural:new"))
    assert len(found) == 13
    assert found[0].startswith("stale: other data: norm/ln seed 0 (")
    assert found[0].endswith("read test procedural:ab12, there is procedural:new now")


def test_data_that_cannot_be_found_is_said_to_be_unchecked(report: Written) -> None:
    def resolve(config: RunConfig) -> dict[str, str]:
        raise UserError("--data: 'scans' is not a folder")

    found = report.check(resolve=resolve)
    assert found.problems == ()
    assert found.unchecked == ("the data of 13 runs, which cannot be found here: --data: 'scans' is not a folder",)


def test_without_a_store_the_rest_is_checked(report: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(report.world.store.root)
    found = report.check(store=None)
    assert found.problems == ()
    assert found.unchecked == ("runs, as the store is not here: name its folder with --store",)
    assert found.counts["runs"] == 0
    (report.out / "norm.md").unlink()
    monkeypatch.setattr(provenance_check, "code_digest", lambda: "0123456789ab")
    kinds = {problem.kind for problem in report.check(store=None, declared={}).problems}
    assert kinds == {"missing file", "stale: other code"}


@pytest.mark.parametrize("name", ["/dev/zero", "../../../../../../../../dev/zero", "tables", "a\0b", "x" * 5000])
def test_a_record_does_not_have_files_outside_of_the_report_read(report: Written, name: str) -> None:
    path = report.out / "report.json"
    record = json.loads(path.read_text())
    record["files"][name] = "0" * 64
    path.write_text(json.dumps(record))
    assert f"missing file: {name} is not there any more" in report.problems()
