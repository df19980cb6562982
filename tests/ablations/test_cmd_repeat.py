"""`repeat`: runs of a report trained again, held to it to the bit, and known to `report --check`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablations import repeat_cli
from core import inputs
from reports.folders import RECORD
from reports.provenance import read_record
from reports.repeats import add_repeats, read_repeats
from tests.ablations.conftest import TWO_ARMS, CommandLine, reported

OTHER_CODE = "0123456789ab"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report whose runs are of other code, as far as it says; its store is gone."""
    folder = reported(tmp_path_factory.mktemp("made"), TWO_ARMS, "--seeds", "2", "--no-html")
    shutil.rmtree(folder / "runs")
    change(folder, lambda cell: cell.update(code=OTHER_CODE))
    return folder


def change(folder: Path, of: Callable[[dict[str, Any]], Any], **changes: str) -> None:
    """Write the record as if its cells had been so."""
    path = folder / "report" / RECORD
    facts = json.loads(path.read_text()) | changes
    for cell in facts["cells"]:
        of(cell)
    path.write_text(json.dumps(facts))
    path.write_text(json.dumps(facts | {"store_digest": read_record(path.parent).digest()}))


@pytest.fixture
def here(made: Path, cli: CommandLine, tmp_path: Path) -> CommandLine:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return cli


def test_equal_runs_make_a_report_of_other_code_hold(here: CommandLine) -> None:
    assert here("report", "--check", "--out", "report") == 1
    assert "`repeat` trains one run of every arm again" in here.out
    assert here("repeat", "--out", "report") == 0
    assert "2 of 2 runs are equal to the bit to the report's" in here.out
    assert here("report", "--check", "--out", "report") == 0
    assert "note: runs were made by other code; 2 of 2 runs that this code repeated are equal to the bit" in here.out
    assert here("repeat", "--out", "report") == 0  # nothing is trained twice
    assert "2 runs to repeat, 2 of them done" in here.err
    assert here("repeat", "--out", "report", "--json") == 0
    facts = json.loads(here.out)
    assert (facts["wanted"], len(facts["equal"]), facts["differing"], facts["not_repeated"]) == (2, 2, [], [])


def test_a_run_that_differs_is_named_and_the_report_stays_stale(here: CommandLine, tmp_path: Path) -> None:
    def of_bn(cell: dict[str, Any]) -> None:
        if cell["arm"] == "bn":
            cell["scores"] = "0" * 64

    change(tmp_path, of_bn)
    assert here("repeat", "--out", "report") == 1
    assert "differs: mine/bn seed" in here.out
    assert "1 of 2 runs are equal" in here.out
    assert here("report", "--check", "--out", "report") == 1
    assert "note: 1 of 2 runs that this code repeated" in here.out
    assert "stale: other code" in here.out
    assert here("repeat", "--out", "report", "--json") == 1
    (name,) = json.loads(here.out)["differing"]
    assert name.startswith("mine/bn seed")


def test_on_another_processor_code_is_held_to_the_reports_code_there(here: CommandLine, tmp_path: Path) -> None:
    change(tmp_path, lambda cell: cell.update(scores="0" * 64))
    assert here("repeat", "--out", "report") == 1
    assert "0 of 2 runs are equal" in here.out
    assert f"`repeat` with the report's code ({OTHER_CODE})" in here.out
    (gave,) = read_repeats(tmp_path / "report")
    add_repeats(tmp_path / "report", gave.model_copy(update={"code": OTHER_CODE}))
    assert here("repeat", "--out", "report") == 0
    assert f"2 of 2 runs are equal to the bit to those of code {OTHER_CODE} on this processor" in here.out
    assert here("report", "--check", "--out", "report") == 0
    assert f"to those of code {OTHER_CODE}, which gave the report's numbers" in here.out
    assert here("repeat", "--out", "report", "--json") == 0
    assert json.loads(here.out)["held_to"] == OTHER_CODE


def test_fewer_runs_say_what_was_not_repeated(here: CommandLine) -> None:
    assert here("repeat", "--out", "report", "--runs", "1") == 0
    assert "not repeated: mine/bn" in here.out
    assert here("report", "--check", "--out", "report") == 1
    assert "not repeated: mine/bn" in here.out


def test_what_cannot_be_repeated_here_is_refused_before_anything_runs(here: CommandLine, tmp_path: Path) -> None:
    change(tmp_path, lambda cell: cell.update(key="f" * 16))
    assert "have other keys here" in here.refuses("repeat", "--out", "report")
    change(tmp_path, lambda cell: None, command="rm -rf /")
    assert "its command is not a `python -m ablations run`" in here.refuses("repeat", "--out", "report")
    change(tmp_path, lambda cell: cell.update(state="failed"))
    assert "there is nothing to repeat" in here.refuses("repeat", "--out", "report")
    assert "name the folder of a report" in here.refuses("repeat", "--out", "nowhere")
    assert read_repeats(tmp_path / "report") == ()


def test_a_report_names_its_fonts_and_is_repeated_with_no_other(
    here: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = json.loads((tmp_path / "report" / RECORD).read_text())["command"].partition("python -m")[2]
    change(tmp_path, lambda cell: None, command=f"DOCABLATE_FONTS=matplotlib python -m{command}")
    monkeypatch.setenv("DOCABLATE_FONTS", str(tmp_path))
    refused = here.refuses("repeat", "--out", "report")
    assert refused.endswith("its documents are drawn with DOCABLATE_FONTS=matplotlib: set that, and try again")
    change(tmp_path, lambda cell: None, command=f"DOCABLATE_FONTS='x python -m{command}")
    assert "its command cannot be read" in here.refuses("repeat", "--out", "report")


def test_a_reports_own_runs_do_not_confirm_it(cli: CommandLine, tmp_path: Path) -> None:
    reported(tmp_path, TWO_ARMS, "--seeds", "1", "--no-html", "--no-control")
    assert cli("repeat", "--out", "report", "--store", "runs") == 2
    assert "error: --store: 'runs' has the report's own runs (mine/ln seed 0 (" in cli.err
    assert not (tmp_path / "report" / "repeats.json").exists()


def test_images_that_were_moved_are_named_anew(cli: CommandLine, tmp_path: Path, image_folder: Path) -> None:
    there, now = tmp_path / "then", tmp_path / "now"
    shutil.copytree(image_folder, there)
    reported(tmp_path, TWO_ARMS, "--seeds", "1", "--no-html", "--no-control", "--data", "then")
    there.rename(now)
    inputs._corpus.cache_clear()  # a later process
    assert cli("repeat", "--out", "report") == 2
    assert "--data: 'then' is not a folder" in cli.err
    assert cli("repeat", "--out", "report", "--runs", "1", "--data", "now") == 0
    assert "1 of 1 runs are equal to the bit to the report's" in cli.out
    next(now.iterdir()).unlink()
    inputs._corpus.cache_clear()
    assert "other images (--data, --eval)" in cli.refuses("repeat", "--out", "report", "--data", "now")


def test_runs_of_more_threads_are_held_to_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeat_cli, "environment", lambda device, threads: {"hardware": "a processor"})
    assert repeat_cli._machine("cpu", [1]) == repeat_cli._machine("cpu", []) == "a processor"
    assert repeat_cli._machine("cpu", [2]) == "a processor, 2 threads"
    assert repeat_cli._machine("cpu", [1, 2]) == "a processor, 1 and 2 threads"
