"""`show STUDY`: the finding, the published numbers, arms as differences, confounds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ablations.registry import load_study, study_names
from tests.ablations.conftest import TWO_ARMS, CommandLine


@pytest.mark.parametrize("name", study_names())
def test_every_study_reads_well(cli: CommandLine, name: str) -> None:
    assert cli("show", name) == 0
    assert "(baseline)" in cli.out
    assert "contrasts" in cli.out
    assert "confounds" in cli.out


def test_show_json_has_published_numbers(cli: CommandLine) -> None:
    assert cli("show", "norm", "--json") == 0
    facts = json.loads(cli.out)
    assert facts["arms"]["bn"]["published"]["V4/lcnet050-f256-r128-bn-cos"]["tpr"] == 0.721
    assert facts["arms"]["bn"]["set"] == {"model.norm": "bn"}


def test_what_no_verdict_rests_on_is_marked(cli: CommandLine) -> None:
    assert cli("show", "norm") == 0
    rows = [line for line in cli.out.splitlines() if line.startswith("  finding")]
    assert [line.endswith("(beside the verdict)") for line in rows] == [
        not contrast.decides for contrast in load_study("norm").study.contrasts
    ]
    assert 0 < sum(line.endswith("(beside the verdict)") for line in rows) < len(rows)


def test_unknown_study_suggests_the_nearest(cli: CommandLine) -> None:
    assert "did you mean 'norm'" in cli.refuses("show", "norms")


def test_a_contrast_names_all_of_its_arms(cli: CommandLine) -> None:
    """What an interaction or a trend claims cannot be told from two arms."""
    for study, told in (
        ("margin", "cosface-pfc - arcface-st-pfc, and arcface-st-full - cosface-full, interaction on"),
        ("class-count", "eighth-x1 < eighth-x8 < eighth-x24, trend on"),
    ):
        assert cli("show", study) == 0
        assert told in cli.out, study


def test_a_ratio_is_shown_as_one(cli: CommandLine) -> None:
    """Declared is its excess over 1, which reads as a ratio of 1: that nothing is gained."""
    assert cli("show", "neck") == 0
    assert "squeeze / flatten, cost ratio on size_mb, smallest effect x 2: at under half the size" in cli.out


def test_only_the_baseline_is_called_so(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(TWO_ARMS.replace("arms:", "arms:\n  same: {about: the baseline again}"))
    assert cli("show", tmp_path / "mine.yaml") == 0
    assert (cli.out.count("(baseline)"), cli.out.count("(nothing)")) == (1, 1)
