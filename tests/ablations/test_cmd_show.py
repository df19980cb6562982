"""`show STUDY`: the finding, the published numbers, arms as differences, confounds."""

from __future__ import annotations

import json

import pytest

from ablations.registry import load_study, study_names
from tests.ablations.conftest import CommandLine


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
