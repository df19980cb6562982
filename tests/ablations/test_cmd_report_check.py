"""`report --check`: of a report that was written for real, and of what happened to it since."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import typer

from ablations.cli import app
from ablations.registry import load_study
from core import inputs
from core.store import Store
from reports.provenance import read_record
from tests.ablations.conftest import TINY, CommandLine, reported

_STUDY = (
    "study: mine\ntitle: t\nquestion: q\nfindings: [7_neck]\nbaseline: flat\narms:\n  flat: {}\n"
    "  gap: {model.neck: gap}\ncontrasts:\n  - {finding: 7_neck, better: flat, than: gap, smallest_effect: 0.05}\n"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study's runs and report; a test works on a copy."""
    return reported(tmp_path_factory.mktemp("made"), _STUDY)


@pytest.fixture
def here(made: Path, cli: CommandLine, tmp_path: Path) -> CommandLine:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return cli


def commanded(command: str) -> None:
    """Write the record as if the report were of another command."""
    record = read_record(Path("report")).model_copy(update={"command": command})
    record = record.model_copy(update={"store_digest": record.digest()})
    Path("report/report.json").write_text(json.dumps(record.as_json()))


def test_a_fresh_report_holds_and_the_claims_of_an_own_study_are_checked(here: CommandLine) -> None:
    assert here("report", "--check", "--out", "report") == 0
    written = [path for path in Path("report").rglob("*") if path.is_file() and path.name != "report.json"]
    assert f"report: {len(written)} files, 2 studies, 3 runs checked" in here.out
    assert "all is as it was when the report was written" in here.out
    assert "not checked" not in here.out
    assert here("report", "--check", "--out", "report", "--json") == 0
    facts = json.loads(here.out)
    assert (facts["report"], facts["holds"], facts["problems"], facts["unchecked"]) == ("report", True, [], [])
    assert facts["counts"] == {"files": len(written), "studies": 2, "runs": 3}


def test_what_changed_is_named_counted_and_what_to_do_is_said(here: CommandLine) -> None:
    key = Store("runs").run_keys()[0]
    path = Path("runs") / key / "result.json"
    path.write_text(path.read_text().replace('"seed": ', '"seed":  '))
    with Path("report/index.md").open("a") as handle:
        handle.write("\nand it was all true\n")
    assert here("report", "--check", "--out", "report") == 1
    assert "edited file: index.md was changed" in here.out
    problems = here.out
    assert here("report", "--check", "--out", "report", "--json") == 1
    facts = json.loads(here.out)
    assert not facts["holds"]
    assert all(f"{one['kind']}: {one['text']}" in problems for one in facts["problems"])
    assert len(facts["problems"]) == 2
    assert "verdicts.json" in here.refuses("report", "mine.yaml", "--json")
    assert here("report", "--check", "--out", "report") == 1
    assert f"({key}) is not the one that the report was written from" in here.out
    assert "2 problems: 1 edited file, 1 changed run" in here.out
    assert "python -m ablations run mine.yaml" in here.out


def test_a_claim_that_changed_in_its_file(here: CommandLine) -> None:
    Path("mine.yaml").write_text(_STUDY.replace("0.05", "0.01"))
    load_study.cache_clear()  # a later process
    assert here("report", "--check", "--out", "report") == 1
    assert "changed claim: study mine was declared as" in here.out


def test_the_file_of_an_own_study_can_be_named(here: CommandLine) -> None:
    Path("mine.yaml").rename("elsewhere.yaml")
    assert here("report", "--check", "--out", "report") == 0
    assert "not checked: the claims of 'mine'" in here.out
    assert here("report", "elsewhere.yaml", "--check", "--out", "report") == 0
    assert "not checked" not in here.out


def test_a_value_of_an_option_in_the_command_is_no_study(here: CommandLine) -> None:
    Path("other.yaml").write_text("not: a study\n")
    command = read_record(Path("report")).command
    run = typer.main.get_command(app).commands["run"]  # type: ignore[attr-defined]
    options = [param for param in run.params if param.param_type_name == "option" and not param.is_flag]
    words = {param.opts[0] for param in options} - {"--jobs", "--gpus-per-run"}  # which take numbers
    assert {"--preset", "--set", "--data", "--out", "--budget"} <= words
    for word in sorted(words):
        commanded(f"{command} {word} other.yaml")
        assert here("report", "--check", "--out", "report") == 0
        assert "not checked" not in here.out


def test_the_command_of_another_version_names_its_studies(here: CommandLine) -> None:
    command = read_record(Path("report")).command
    for other in (f"{command} --then", f"{command} --help", f"DOCABLATE_FONTS=/nowhere {command}"):
        commanded(other)
        assert here("report", "--check", "--out", "report") == 0
        assert "not checked" not in here.out
    for edited in ("rm -rf /", f"{command} '"):
        commanded(edited)
        assert here("report", "--check", "--out", "report") == 0
        assert "not checked: the claims of 'mine'" in here.out


def test_a_store_that_is_not_here(here: CommandLine) -> None:
    shutil.rmtree("runs")
    assert here("report", "--check", "--out", "report") == 0
    assert "not checked: runs, as the store is not here" in here.out
    assert "what could be checked is as it was" in here.out
    assert not Path("runs").exists()


def test_a_run_that_is_missing_or_was_made_by_other_code(here: CommandLine) -> None:
    record = json.loads(Path("report/report.json").read_text())
    shutil.rmtree(Path("runs") / record["cells"][0]["key"])
    assert here("report", "--check", "--out", "report") == 1
    assert "missing run: mine/flat seed 0" in here.out
    Path("report/report.json").write_text(json.dumps(record).replace(record["code"], "0" * 12))
    assert here("report", "--check", "--out", "report") == 1
    assert "stale: other code: mine/flat seed 0" in here.out


def test_of_many_problems_of_one_kind_some_are_named_and_the_rest_is_counted(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = Path(__file__).parents[2] / "reports/reference/cpu-quick"
    monkeypatch.setattr("reports.provenance_check.code_digest", lambda: "0" * 12)
    assert cli("report", "--check", "--out", report) == 1
    told = [line for line in cli.out.splitlines() if line.startswith("stale: other code: ")]
    assert cli("report", "--check", "--out", report, "--json") == 1
    problems = json.loads(cli.out)["problems"]
    assert told[:-1] == [f"{one['kind']}: {one['text']}" for one in problems[:7]]
    assert told[-1] == f"stale: other code: {len(problems) - 7} more; --json names them all"


def test_data_that_is_not_what_it_was(cli: CommandLine, image_folder: Path) -> None:
    words = [*TINY, "--no-control", "--data", image_folder]
    Path("mine.yaml").write_text(_STUDY)
    assert cli("run", "mine.yaml", *words, "--out", "report") == 0
    assert cli("report", "--check", "--out", "report") == 0
    sorted(image_folder.iterdir())[0].unlink()
    inputs._corpus.cache_clear()  # a later process
    assert cli("report", "--check", "--out", "report") == 1
    assert "stale: other data: mine/flat seed 0" in cli.out
    assert "the command below trains on what is there now" in cli.out
    assert "count as done" not in cli.out
    shutil.rmtree(image_folder)
    inputs._corpus.cache_clear()
    assert cli("report", "--check", "--out", "report") == 0
    assert "not checked: the data of 2 runs, which cannot be found here" in cli.out


def test_what_an_earlier_report_left_in_the_folder_is_noted(here: CommandLine) -> None:
    for name in ("earlier.md", "tables/earlier.csv", "figures/earlier.png"):
        Path("report", name).write_text("")
    for name in ("calibration.md", "runs/seed.md", ".hidden"):  # which other commands may have put there
        Path("report", name).parent.mkdir(exist_ok=True)
        Path("report", name).write_text("")
    assert here("report", "--check", "--out", "report") == 0
    (note,) = [line for line in here.out.splitlines() if line.startswith("note: ")]
    assert note == (
        "note: 3 files in the folder are not of this report, but perhaps of an earlier one: "
        "earlier.md, figures/earlier.png, tables/earlier.csv"
    )
    for number in range(12):
        Path(f"report/{number}.md").write_text("")
    assert here("report", "--check", "--out", "report") == 0
    assert "15 files in the folder" in here.out
    assert "3.md and 9 more" in here.out


def test_a_folder_without_a_report_is_one_line(cli: CommandLine) -> None:
    assert "name the folder of a report with --out" in cli.refuses("report", "--check", "--out", "nowhere")


def test_a_report_needs_studies(cli: CommandLine) -> None:
    assert "name at least one study" in cli.refuses("report")


def test_all_is_checked_and_options_of_another_report_are_refused(here: CommandLine) -> None:
    assert here("report", "all", "--check", "--out", "report") == 0
    for option in (["--seeds", "3"], ["--preset", "smoke"], ["--deciding"], ["--no-control"]):
        assert f"leave out {option[0]}" in here.refuses("report", "--check", "--out", "report", *option)


def test_claims_that_were_changed_after_the_results_leave_a_trace(here: CommandLine) -> None:
    def declared(effect: str) -> str:
        """The digest of the study with another smallest effect, which the file has from now on."""
        Path("mine.yaml").write_text(_STUDY.replace("0.05", effect))
        load_study.cache_clear()  # a later process
        return load_study("mine.yaml").study.digest

    def written(*words: str) -> str:
        """What is told on the terminal, as the page has it."""
        assert here("report", "mine.yaml", *TINY, *words, "--out", "report") == 0
        (told,) = [line.removeprefix("note: ") for line in here.err.splitlines() if "otherwise" in line] or [""]
        page = Path("report/index.md").read_text()
        assert page.count("otherwise") == bool(told)
        assert f"- Note: {told}" in page or not told
        assert here("report", "--check", "--out", "report") == 0
        return told

    first, second = declared("0.05"), declared("0.01")
    declared("0.05")
    assert written() == ""
    assert "earlier" not in json.loads(Path("report/report.json").read_text())
    declared("0.01")
    told = f"the claims of 'mine' were declared otherwise ({first}) in an earlier report of these runs"
    assert written() == f"{told}, which this one replaces"
    assert written() == f"{told}, which this one replaces"  # of which a record is kept
    declared("0.05")
    assert f"({second}) in an earlier report" in written()  # back again
    third = declared("0.02")
    assert f"({second}, {first}) in earlier reports of these runs" in written()
    assert third not in here.err
    assert written("--seeds", "7-8") == ""  # of other runs


def test_a_record_that_cannot_be_read_is_replaced_without_a_word(here: CommandLine) -> None:
    Path("report/report.json").write_text("{")
    assert here("report", "mine.yaml", *TINY, "--out", "report") == 0
    assert "otherwise" not in here.err
