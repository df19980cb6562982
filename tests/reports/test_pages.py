from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.errors import UserError
from core.store import Store
from reports import pages
from reports.cells import Cell
from reports.claims import findings
from reports.pages import write_report
from reports.provenance import read_record
from reports.provenance_check import verify
from reports.verdicts import VERDICTS
from tests.reports.conftest import reseal

RUN = {"preset": "quick", "command": "python -m ablations run norm", "data_note": "384 procedural documents"}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, pristine: Any) -> tuple[Any, Path]:
    out = tmp_path_factory.mktemp("report")
    write_report(pristine.studies, pristine.cells, pristine.store, out, **RUN)
    return pristine, out


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures of the reports that a test writes itself, most of the time that they take; `report` is drawn."""
    monkeypatch.setattr(pages, "png", lambda drawing: b"not drawn")
    monkeypatch.setattr(pages, "svg", lambda drawing, prefix, label: "<svg/>")


def test_the_files_of_a_report(report: tuple[Any, Path]) -> None:
    _, out = report
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    studies = ("norm", "class-count")
    kinds = ("contrasts", "arms", "roc", "curves", "cost")
    figures = {f"figures/{study}-{name}.png" for study in studies for name in kinds}
    slugs = ("verdicts", "estimates", "statistics", "arms", "cost", "differences", "runs")
    names = {f"{study}-{slug}" for study in studies for slug in slugs}
    tables = {f"tables/{name}.{end}" for name in {*names, "index-findings", "index-runs"} for end in ("csv", "tex")}
    assert files == {
        "index.md", "norm.md", "class-count.md", "report.html", "tables/norm.csv", "tables/class-count.csv",
        "figures/class-count-ladder.png", "figures/index-findings.png", "report.json", "verdicts.json", *figures,
        *tables,
    }  # fmt: skip


def test_html_is_left_out_on_request(world: Any, tmp_path: Path) -> None:
    for html in (True, False):
        write_report(world.studies[:1], world.cells[:1], world.store, tmp_path, **RUN, html=html)
        assert (tmp_path / "report.html").exists() == html
    assert (tmp_path / "index.md").exists()


def test_every_link_and_image_leads_to_a_file(report: tuple[Any, Path]) -> None:
    _, out = report
    for page in out.glob("*.md"):
        targets = re.findall(r"\]\(([^)]+)\)", page.read_text())
        assert targets
        assert [target for target in targets if not (out / target).is_file()] == []


def test_the_index_has_one_row_for_each_finding_and_decides_nothing_without_looks(report: tuple[Any, Path]) -> None:
    text = (report[1] / "index.md").read_text()
    rows = [line for line in text.splitlines() if re.match(r"\| \d+ \|", line)]
    assert [int(row.split("|")[1]) for row in rows] == [2, 4, 9]
    assert [bool(re.search(r"\*\*(not run|inconclusive)\*\*", row)) for row in rows] == [True] * 3
    others = [finding.label for finding in findings().values() if finding.label not in ("2", "4", "9")]
    assert f"No study of this report tests findings {', '.join(others)}." in text
    assert "16,256: 0.615" in rows[0]
    assert not [row for row in rows if re.search(r"reproduced|contradicted", row)]
    assert "3 inconclusive." in text


def test_verdicts_appear_on_index_and_study_page(world: Any, tmp_path: Path) -> None:
    index = write_report(world.studies, world.cells, world.store, tmp_path, **RUN, looks={2: 1.0}).read_text()
    (row,) = [line for line in index.splitlines() if line.startswith("| 2 |")]
    (said,) = {cell.strip() for cell in row.split("|")} & {f"**{word}**" for word in VERDICTS}
    assert "Verdicts are reached at: 2 seeds (100% of alpha)" in index
    page = (tmp_path / "class-count.md").read_text()
    assert f"| 2 | {said} |" in page.split("## Verdicts")[1].split("##")[0]
    assert "SE over identities" in page
    assert str(world.store.path(world.cell("class-count", "x1", 0).key, "config.yaml")) in page


def control_cells(world: Any) -> list[Cell]:
    base = [cell for cell in world.cells if (cell.study, cell.arm) == ("norm", "ln")]
    again = [cell for cell in world.cells if (cell.study, cell.arm) == ("class-count", "x1")]
    first = [Cell("control", "baseline", cell.seed, cell.key) for cell in base]
    return first + [Cell("control", "again", cell.seed, cell.key) for cell in again]


def test_the_control_is_told_and_is_no_study(world: Any, tmp_path: Path) -> None:
    index = write_report(world.studies, world.cells, world.store, tmp_path, **RUN).read_text()
    assert "No A/A control was asked for." in index
    cells = [*world.cells, *control_cells(world)]
    index = write_report(world.studies, cells, world.store, tmp_path, **RUN).read_text()
    assert "A/A control, **not clean" in index  # x1 is another arm: a difference that must be seen
    same = [*world.cells, *(Cell("control", arm, one.seed, one.key) for one in control_cells(world)[:3]
                            for arm in ("baseline", "again"))]  # fmt: skip
    index = write_report(world.studies, same, world.store, tmp_path, **RUN).read_text()
    assert "A/A control, **not judged**" in index  # equal to the bit: no runs on other seeds
    assert not (tmp_path / "control.md").exists()


def test_tuned_runs_are_judged_beside_the_others(world: Any, tmp_path: Path) -> None:
    swapped = {"x1": "x24", "x24": "x1", "x8": "x8"}  # with "tuned" values it is the other way round
    tuned = [replace(world.cell("class-count", swapped[cell.arm], cell.seed), arm=cell.arm, tuned=True)
             for cell in world.cells if cell.study == "class-count"]  # fmt: skip
    record = {"values": {"data.expansion": 24}, "value": 0.5, "preset_value": 0.4, "at_edge": []}
    tuning = {"class-count": {arm: dict(record) for arm in ("x1", "x8", "x24")}}
    looks = {2: 1.0}
    args = (world.studies, [*world.cells, *tuned], world.store, tmp_path)
    index = write_report(*args, **RUN, looks=looks, tuning=tuning).read_text()
    (row,) = [line for line in index.splitlines() if line.startswith("| 2 |")]
    assert "with tuned values" in index
    assert "not robust to tuning" in row
    page = (tmp_path / "class-count.md").read_text()
    assert "## Tuning" in page
    assert "`data.expansion=24`" in page
    listed = page[page.index("### Runs with the tuned values") :]
    assert "8 done, 1 missing." in listed
    assert tuned[0].key in listed
    tuning["class-count"]["x1"]["at_edge"] = ["optim.lr"]
    index = write_report(*args, **RUN, looks=looks, tuning=tuning).read_text()
    assert "not robust to tuning" not in index  # what a search that stopped short shows is not judged
    assert "`optim.lr`" in (tmp_path / "class-count.md").read_text()


def test_a_baseline_that_training_has_not_helped_is_told(world: Any, tmp_path: Path) -> None:
    cells = [cell for cell in world.cells if cell.study == "norm" and cell.arm == "ln"]
    index = write_report([world.studies[0]], cells, world.store, tmp_path, **RUN)
    assert "Training has not paid yet" not in index.read_text()
    for cell in cells:
        result = world.store.result(cell.key)
        result["untrained"]["tpr@1e-3"] = 0.999
        reseal(world.store, cell.key, result)
    index = write_report([world.studies[0]], cells, world.store, tmp_path, **RUN)
    assert "**Training has not paid yet**: before its first step the embedder reaches 0.999" in index.read_text()


def test_the_index_says_what_was_run(report: tuple[Any, Path]) -> None:
    text = (report[1] / "index.md").read_text()
    for told in (
        "`quick`", "`python -m ablations run norm`", "384 procedural documents", "1,000 identities",
        "50 at FPR 1e-4, 500 at FPR 1e-3, 4,995 at FPR 1e-2", "cpu on AMD EPYC", "torch 2.15.0",
        "15 different runs: 13 done, 1 failed, 1 missing", "diverged: the loss is nan at step 412 of 1000",
        "neither cached nor reachable", "1 in 10,000 pairs", "one run each", "7 identities",
        "selected on that test set", "healthy",
    ):  # fmt: skip
        assert told in text, told


def test_a_study_page_tells_the_whole_study(report: tuple[Any, Path]) -> None:
    world, out = report
    text, study = (out / "norm.md").read_text(), world.studies[0]
    for told in (
        study.question, study.digest, "Finding 4", "`ln` − `bn` on TPR@1e-4", "also changed augmentation",
        "0.784 (V4)", "7 identities", "python -m ablations run-info KEY", world.cell("norm", "bn", 2).key,
        "Seed 2 is left out: its run of 'bn' is failed.", "1,386,032 → 1,386,544",
    ):  # fmt: skip
        assert told in text, told
    assert "precision take effect" not in text


def test_a_study_with_nothing_done_still_has_a_page(world: Any, tmp_path: Path) -> None:
    study = world.studies[0]
    cells = [Cell("norm", arm, 0, f"{index:016x}") for index, arm in enumerate(study.arms)]
    out = tmp_path / "out"
    write_report([study], cells, Store(tmp_path / "empty"), out, **RUN)
    assert "nothing to show" in (out / "norm.md").read_text()
    assert not list((out / "figures").iterdir())
    index = (out / "index.md").read_text()
    assert "No run is done yet" in index
    assert "4 different runs: 4 missing" in index


def test_arms_that_nobody_asked_for_are_left_out_and_not_missing(world: Any, tmp_path: Path) -> None:
    study, (empty, out) = world.studies[0], (Store(tmp_path / "empty"), tmp_path / "out")
    cells = [Cell("norm", arm, 0, f"{index:016x}", asked=index < 3) for index, arm in enumerate(study.arms)]
    write_report([study], cells, empty, out, **RUN)
    index, page = (out / "index.md").read_text(), (out / "norm.md").read_text()
    assert "4 different runs: 3 missing, 1 left out." in index
    assert "Left out are runs of arms that no verdict rests on" in index
    assert "(0 of 3 done)" in index
    assert "3 missing, 1 left out." in page
    assert cells[2].key in page
    assert cells[3].key not in page  # a row that says nothing but this
    assert [cell.state for cell in read_record(out).cells] == ["missing"] * 3 + ["left out"]
    assert not [problem for problem in verify(out, empty, {"norm": study}).problems if problem.kind == "missing run"]


def test_a_report_of_nothing(tmp_path: Path) -> None:
    index = write_report([], [], Store(tmp_path / "none"), tmp_path / "out", **RUN)
    assert "0 different runs: none" in index.read_text()


def test_precision_is_checked_where_it_is_varied(world: Any, tmp_path: Path) -> None:
    study = world.studies[1]
    arms = {**study.arms, "x1": study.arms["x1"].model_copy(update={"set": {"precision.mode": "medium"}})}
    varied = study.model_copy(update={"arms": arms, "x_axis": None})
    cells = [cell for cell in world.cells if cell.study == "class-count" and cell.arm != "x8"]
    write_report([varied], cells, world.store, tmp_path, **RUN)
    text = (tmp_path / "class-count.md").read_text()
    told = "- `x1`, medium on cpu: the arithmetic did not change on this hardware (relative error 3e-7 against 3e-7)."
    assert told in text


@pytest.mark.parametrize(("level", "told"), [(0.1, "at the floor"), (0.99, "at the ceiling")])
def test_a_baseline_without_room_is_warned_of(world: Any, tmp_path: Path, level: float, told: str) -> None:
    cells = [cell for cell in world.cells if cell.study == "norm" and cell.arm == "ln"]
    for cell in cells:
        result = world.store.result(cell.key)
        result["validation"]["tpr@1e-3"] = level
        reseal(world.store, cell.key, result)
    index = write_report([], cells, world.store, tmp_path, **RUN)
    assert "warning" not in index.read_text()
    index = write_report([world.studies[0]], cells, world.store, tmp_path, **RUN)
    assert f"warning: {told}" in index.read_text()


def test_damage_is_reported_and_does_not_sink_the_report(world: Any, tmp_path: Path) -> None:
    first, second = world.cell("class-count", "x1", 0).key, world.cell("class-count", "x1", 1).key
    world.store.path(first, "result.json").write_text("{ <b>|")
    world.store.path(second, "scores.npz").write_bytes(b"PK\x03\x04")
    cells = [cell for cell in world.cells if cell.study == "class-count"]
    text = write_report([world.studies[1]], cells, world.store, tmp_path, **RUN).read_text()
    assert "2 damaged" in text
    for key, name in ((first, "result.json"), (second, "scores.npz")):
        assert re.search(rf"\| `{key}` \|.*\| damaged \| .*{key}/{re.escape(name)} is damaged", text.replace("\\", ""))
    assert "<b>" not in text


def test_a_folder_that_cannot_be_made_is_one_line(world: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="choose another folder"):
        write_report(world.studies, world.cells, world.store, tmp_path / "file" / "out", **RUN)


@pytest.mark.parametrize("name", ["index", "norm-runs"])
def test_a_study_with_the_name_of_another_file_is_refused(world: Any, tmp_path: Path, name: str) -> None:
    """It would be written over, or write over it."""
    study = world.studies[0]
    studies = [study, study.model_copy(update={"study": name})]
    with pytest.raises(UserError, match=f"'{name}' already"):
        write_report(studies, [cell for cell in world.cells if cell.key is None], world.store, tmp_path, **RUN)
    assert not (tmp_path / "index.md").exists()


def test_the_index_comes_last(world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    original = pages.write_atomic
    monkeypatch.setattr(pages, "write_atomic", lambda path, data: (written.append(path.name), original(path, data)))
    cells = [cell for cell in world.cells if cell.key is None]
    write_report([world.studies[0]], cells, world.store, tmp_path, **RUN)
    assert written.index("norm.md") < written.index("report.html") < written.index("index.md")
    assert written[-1] == "index.md"


def test_steps_without_negatives_are_told(world: Any, tmp_path: Path) -> None:
    key = next(cell.key for cell in world.cells if cell.study == "norm" and cell.arm == "bn")
    page = tmp_path / "out" / "norm.md"
    write_report(world.studies, world.cells, world.store, tmp_path / "out", **RUN)
    assert "so that none were drawn" not in page.read_text()
    result = world.store.result(key)
    result["cost"]["overflow_steps"] = 17
    reseal(world.store, key, result)
    write_report(world.studies, world.cells, world.store, tmp_path / "out", **RUN)
    assert "so that none were drawn: `bn` (17 in 2 runs)." in page.read_text()
    assert "of the steps of 'bn' the batch" not in page.read_text()  # too few of them
    steps = result["cost"]["samples"] / result["config"]["optim"]["batch_size"]
    result["cost"]["overflow_steps"] = steps  # all of one of the two runs that are done
    reseal(world.store, key, result)
    write_report(world.studies, world.cells, world.store, tmp_path / "out", **RUN)
    assert "In 50% of the steps of 'bn' the batch had more classes than PartialFC samples" in page.read_text()


def test_a_report_that_tests_no_finding_has_no_empty_table(world: Any, tmp_path: Path) -> None:
    untested = world.studies[0].model_copy(update={"contrasts": (), "findings": ()})
    write_report([untested], world.cells[:1], world.store, tmp_path, **RUN, html=False)
    text = (tmp_path / "index.md").read_text()
    assert "None is tested." in text
    assert "| claim |" not in text
    assert not (tmp_path / "tables" / "index-findings.csv").exists()


def test_two_tables_of_one_name_are_refused(world: Any, tmp_path: Path) -> None:
    """`norm` with tuned runs has a table `norm-tuned-runs`, and so has `norm-tuned` one of its runs."""
    study = world.studies[0]
    cells = [cell for cell in world.cells if cell.study == "norm"]
    cells += [replace(cell, tuned=True) for cell in cells]
    cells += [replace(cell, study="norm-tuned") for cell in cells if not cell.tuned]
    studies = [study, study.model_copy(update={"study": "norm-tuned"})]
    with pytest.raises(UserError, match="two tables 'norm-tuned-runs': give the study 'norm-tuned' another name"):
        write_report(studies, cells, world.store, tmp_path, **RUN, html=False)
    assert not (tmp_path / "index.md").exists()
