"""`calibrate`: whole reports simulated, on a store with nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ablations.preset import load_preset
from ablations.registry import load_study
from core.config import RunConfig
from tests.ablations.conftest import CLAIMING, TWO_ARMS, CommandLine

WORDS = ("neck", "--preset", "quick", "--reports", "5")


def test_the_page_is_written_and_printed(cli: CommandLine, tmp_path: Path) -> None:
    assert cli("calibrate", *WORDS, "--out", "report") == 0
    page = Path("report/calibration.md").read_text()
    assert page.strip() == cli.out.strip()
    assert "The store has no two seeds of any contrast, so the variation over seeds and identities is assumed" in page
    assert "5 whole reports are simulated for each size of effect" in page
    assert all(f"{look} seeds" in page for look in load_preset("quick").looks)
    neck = load_study("neck").study
    assert neck.tested
    assert all(f"| {neck.finding(name).label} | {neck.finding(name).claim} |" in page for name in neck.tested)
    assert "Do the intervals cover?" not in page, "nobody asked"
    assert not (tmp_path / "runs").exists()


def test_the_command_on_the_page_repeats_it(cli: CommandLine) -> None:
    assert cli("calibrate", *WORDS, "--coverage", "2", "--store", "elsewhere", "--out", "report") == 0
    page = cli.out
    assert "## Do the intervals cover?" in page
    command = page.split("Made by `python -m ablations ")[1].split("`")[0]
    assert "--store elsewhere" in command
    assert cli(*command.split(), "--out", "again") == 0
    assert cli.out == page
    assert cli(*command.split(), "--out", "again", "--json") == 0
    facts = json.loads(cli.out)
    assert facts["page"] == "again/calibration.md"
    assert facts["reports"] == 5
    assert all(sum(one["verdicts"].values()) == 5 for one in facts["outcomes"])
    assert {one["effect"] for one in facts["outcomes"]} == {0.0, 1.0, 2.0, 4.0}
    row = facts["coverage"][0]
    assert f"| {row['seeds']} | {row['both']:.3f} | {row['seeds_alone']:.3f} | {row['identities_alone']:.3f} |" in page


def test_of_a_written_report_without_its_runs(cli: CommandLine) -> None:
    Path("runs").mkdir()
    assert cli("report", "neck", "norm", "--out", "written", "--no-html") == 0, cli.err
    assert cli("calibrate", "all", "--from", "written", "--reports", "5", "--out", "again") == 0, cli.err
    page = cli.out
    assert "The report written (runs " in page
    assert "has no two seeds of any contrast" in page
    assert "Made by `python -m ablations calibrate all --from written --reports 5`" in page
    for name in ("neck", "norm"):
        study = load_study(name).study
        assert all(f"| {study.finding(one).label} | {study.finding(one).claim} |" in page for one in study.tested)
    assert cli("calibrate", "neck", "--from", "written", "--reports", "5", "--out", "again") == 0, cli.err
    assert "LayerNorm" not in cli.out
    assert "has no study 'margin'" in cli.refuses("calibrate", "margin", "--from", "written")
    Path("mine.yaml").write_text(CLAIMING)
    assert "has no study 'mine'" in cli.refuses("calibrate", "all", "mine.yaml", "--from", "written")
    told = cli.refuses("calibrate", "neck", "--from", "written", "--seeds", "3")
    assert "not of a store: leave out --seeds" in told
    assert "name the folder of a report" in cli.refuses("calibrate", "neck", "--from", "elsewhere")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["neck", "--preset", "smoke"], "preset smoke declares no looks"),
        (["config.yaml"], "a calibration needs studies, not a single run"),
        (["necks"], "did you mean 'neck'"),
        (["mine.yaml"], "none of these studies tests a claim"),
        (["neck", "--reports", "0"], "--reports"),
        (["neck", "--reports", "1", "--out", "mine.yaml"], "choose another folder"),
    ],
)
def test_mistakes_are_one_line(cli: CommandLine, words: list[str], expected: str) -> None:
    Path("mine.yaml").write_text(TWO_ARMS)
    Path("config.yaml").write_text(RunConfig().to_yaml())
    assert expected in cli.refuses("calibrate", *words)


def test_help_says_what_it_is_for(cli: CommandLine) -> None:
    assert cli("calibrate", "--help") == 0
    text = " ".join(cli.out.split())
    assert "Simulate whole reports with the store's measured variances: false verdicts, power, coverage" in text
    assert "Simulated reports for each effect." in text
    assert "[default: (the last look's)]" in text


def test_a_file_of_that_name_that_is_no_calibration_is_left_alone(cli: CommandLine) -> None:
    Path("calibration.md").write_text("my notes")
    assert "calibration.md is there" in cli.refuses("calibrate", *WORDS, "--out", ".")
    assert Path("calibration.md").read_text() == "my notes"
