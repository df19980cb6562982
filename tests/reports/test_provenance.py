"""report.json: what a report says that it was made of."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.errors import UserError
from core.store import Store, file_digest
from reports.control import control_study
from reports.folders import RECORD
from reports.pages import write_report
from reports.provenance import evidence_of, read_record
from reports.provenance_check import verify
from reports.repeats import NAME as REPEATS
from reports.repeats import read_repeats
from reports.summary import NAME as VERDICTS
from reports.summary import read_summary
from tests.reports.conftest import CODE, INPUTS, REPORT, Written


def test_the_record_says_what_the_report_was_made_of(report: Written) -> None:
    record, world = read_record(report.out), report.world
    assert (record.preset, record.command, record.looks) == (REPORT["preset"], REPORT["command"], REPORT["looks"])
    assert record.studies == {one.study: one.digest for one in (*world.studies, control_study())}
    assert [(cell.study, cell.arm, cell.seed, cell.key) for cell in record.cells] == [
        (cell.study, cell.arm, cell.seed, cell.key) for cell in world.cells
    ]
    assert {cell.state for cell in record.cells} == {"done", "failed", "missing", "unavailable"}
    done = next(cell for cell in record.cells if cell.state == "done")
    assert done.result == file_digest(world.store.path(str(done.key), "result.json"))
    assert done.scores == file_digest(world.store.path(str(done.key), "scores.npz"))
    assert (done.code, done.inputs) == (CODE, INPUTS)
    files = {path.relative_to(report.out).as_posix() for path in report.out.rglob("*") if path.is_file()}
    assert set(record.files) == files - {RECORD}


def test_one_digest_stands_for_the_evidence(report: Written, tmp_path: Path) -> None:
    before = read_record(report.out).store_digest
    write_report(report.world.studies, report.world.cells, report.world.store, tmp_path / "again", **REPORT)
    assert read_record(tmp_path / "again").store_digest == before
    key = str(report.world.cell("norm", "ln", 0).key)
    report.change_result(key, lambda result: result["metrics"].update({"tpr@1e-4": 0.5}))
    write_report(report.world.studies, report.world.cells, report.world.store, tmp_path / "other", **REPORT)
    assert read_record(tmp_path / "other").store_digest != before


def test_evidence_is_of_scores_and_not_of_times(report: Written) -> None:
    world = report.world
    cells = [cell for cell in world.cells if cell.study == "norm"]
    before = evidence_of(cells, world.store)
    done = {cell.key for cell in read_record(report.out).cells if cell.study == "norm" and cell.state == "done"}
    assert (before.runs, before.codes) == (len(done), (CODE,))
    key = str(world.cell("norm", "ln", 0).key)
    report.change_result(key, lambda result: result["cost"].update({"seconds": 1e3}))
    assert evidence_of([*cells[::-1], *cells], world.store) == before
    report.change_result(key, lambda result: result["environment"].update({"code": "0123456789ab"}))
    assert evidence_of(cells, world.store).codes == (CODE, "0123456789ab")
    bn = str(world.cell("norm", "bn", 0).key)
    shutil.copy(world.store.path(bn, "scores.npz"), world.store.path(key))
    report.change_result(key, lambda result: result.update(files=world.store.result(bn)["files"]))
    other = evidence_of(cells, world.store)
    assert (other.runs, other.digest != before.digest) == (before.runs, True)
    less = evidence_of([cell for cell in cells if cell.key != key], world.store)
    assert (less.runs, less.digest != before.digest) == (before.runs - 1, True)


def test_what_an_earlier_report_left_is_not_this_reports(report: Written) -> None:
    (report.out / "old.md").write_text("of another study")
    cells = [cell for cell in report.world.cells if cell.study == "norm"]
    write_report(report.world.studies[:1], cells, report.world.store, report.out, **REPORT)
    files = read_record(report.out).files
    assert "norm.md" in files
    assert not {"old.md", "class-count.md", "tables/class-count.csv", RECORD} & set(files)


@pytest.mark.parametrize(("name", "read"), [(RECORD, read_record), (VERDICTS, read_summary), (REPEATS, read_repeats)])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_not_waited_for(
    tmp_path: Path, name: str, read: Callable[[Path], Any], make: Callable[[Path], None]
) -> None:
    make(tmp_path / name)
    with pytest.raises(UserError, match=f"{name} is not a file"):
        read(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1}'])
def test_a_record_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(UserError, match=r"record \([^: ][^\n]*\): write the report again"):
        read_record(tmp_path)


def test_a_record_of_another_schema(report: Written) -> None:
    path = report.out / RECORD
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 99'))
    with pytest.raises(UserError, match="schema 99"):
        report.check()


def test_a_folder_without_a_report(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--out"):
        verify(tmp_path / "nowhere", None, {})


def test_a_report_of_nothing_has_a_record(tmp_path: Path) -> None:
    write_report([], [], Store(tmp_path / "none"), tmp_path / "out", **REPORT)
    record = read_record(tmp_path / "out")
    assert record.cells == ()
    assert sorted(record.files) == ["index.md", "report.html", "verdicts.json"]
