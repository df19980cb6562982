"""Presets: the looks at which a verdict may be reached, and their shares of alpha."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ablations import declarations
from ablations.registry import Preset, load_preset, preset_names
from core.errors import UserError
from tests.ablations.conftest import TINY, CommandLine

LOOKS = {
    "smoke": {}, "quick": {5: 0.2, 10: 0.8}, "standard": {3: 0.3, 5: 0.7}, "published": {3: 0.3, 5: 0.7},
}  # fmt: skip


@pytest.mark.parametrize("name", preset_names())
def test_seeds_reach_the_first_look(name: str) -> None:
    preset = load_preset(name)
    assert preset.looks == LOOKS[name]
    assert preset.seeds == min(preset.looks, default=1)


@pytest.mark.parametrize(
    ("looks", "told"),
    [
        ("{0: 1.0}", "from 1 to 1000"),
        ("{5: 0.2, 2000: 0.8}", "from 1 to 1000"),
        ("{10: 0.2, 5: 0.8}", "go up"),
        ("{5: 0.0, 10: 1.0}", "above 0"),
        ("{5: -0.5, 10: 1.5}", "above 0"),
        ("{5: 0.2, 10: 0.7}", "sum to 1"),
        ("{5: .nan}", "no finite number"),
        ("{few: 1.0}", "looks"),
    ],
)
def test_looks_that_make_no_sense_are_refused(tmp_path: Path, looks: str, told: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"preset: mine\nabout: a\nseeds: 5\nlooks: {looks}\n")
    with pytest.raises(UserError, match=told) as error:
        declarations.read(path, Preset)
    assert f"{path}:4: " in str(error.value)


def test_looks_reach_the_report(cli: CommandLine) -> None:
    Path("runs").mkdir()
    assert cli("report", "neck", *TINY, "--preset", "quick", "--out", "report") == 0
    assert json.loads(Path("report/report.json").read_text())["looks"] == {"5": 0.2, "10": 0.8}


def test_list_says_when_a_preset_is_judged(cli: CommandLine) -> None:
    assert cli("list") == 0
    assert "Judged at 5 and 10 seeds." in cli.out
    assert "Never judged." in cli.out
