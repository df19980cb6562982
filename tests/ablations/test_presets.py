"""Presets: the looks at which a verdict may be reached, and their shares of alpha."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ablations import declarations
from ablations.preset import Preset, load_preset, preset_names
from core.errors import UserError
from tests.ablations.conftest import CLAIMING, TINY, CommandLine

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
        ("{0: 1.0}", "from 2 to 1000"),
        ("{5: 0.2, 2000: 0.8}", "from 2 to 1000"),
        ("{1: 0.5, 2: 0.5}", "of one seed there is no interval"),
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


MINE = """preset: mine
base: smoke
about: two looks
looks: {2: 0.5, 3: 0.5}
set: {optim.samples: 64, eval.points: 1}
"""


def mine(text: str = MINE) -> str:
    Path("mine-scale.yaml").write_text(text)
    return "mine-scale.yaml"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_changes_what_it_says_of_its_base(here: Path) -> None:
    smoke, own = load_preset("smoke"), load_preset(mine())
    assert own.set == {**smoke.set, "optim.samples": 64, "eval.points": 1}
    assert (own.looks, own.seeds) == ({2: 0.5, 3: 0.5}, 2)
    quick = load_preset(mine("preset: mine\nbase: quick\n"))
    assert (quick.set, quick.seeds, quick.looks) == (load_preset("quick").set, 5, {5: 0.2, 10: 0.8})
    alone = load_preset(mine("preset: mine\nset: {optim.samples: 9}\n"))
    assert (alone.set, alone.seeds, alone.looks) == ({"optim.samples": 9}, 1, {})
    assert load_preset(mine("preset: mine\nbase: published\n")).requires == ("imagenet_weights",)
    assert load_preset(mine("preset: mine\nbase: published\nrequires: []\n")).requires == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("preset: quick\n", "1: preset: a preset of the package has this name: take another"),
        ("preset: My Scale\n", "1: preset: "),
        ("preset: mine\nbase: qiuck\n", "2: base: "),
        ("preset: mine\nbase: [quick]\n", "2: base: "),
        ("preset: mine\nbase: quick\nset: 3\n", "3: set: "),
        ("preset: mine\nset: {optim.lrr: 1}\n", "2: set.optim.lrr: no field that a preset can set (did you mean"),
        ("preset: mine\nset: {optim.lr: fast}\n", "2: set.optim.lr: "),
        ("preset: mine\nset: {data.source: [x]}\n", "2: set.data.source: no field that a preset can set: --data"),
        ("preset: mine\nset: {eval.source: [x]}\n", "2: set.eval.source: no field that a preset can set: --eval"),
        ("preset: mine\nset: {runtime.device: cuda}\n", "2: set.runtime.device: no field that a preset can set"),
        ("preset: mine\nset: {device: cuda}\n", "2: set.device: no field that a preset can set: --device says it"),
        ("preset: mine\nset: {source: [x]}\n", "2: set.source: no field that a preset can set: --data says it"),
        ("preset: mine\nset: {lr: 1}\n", "2: set.lr: no field that a preset can set (did you mean 'optim.lr'?)"),
        ("preset: mine\nset: {seed: 3}\n", "2: set.seed: no field that a preset can set: seeds: says it"),
        ("preset: mine\nlooks: {9: 1}\nseeds: 3\n", "3: seeds: the first look takes 9 seeds, got 3"),
        ("preset: mine\nrequires: [luck]\n", "2: requires"),
        ("presets: mine\nset: {optim.lr: 1}\n", "1: presets: unknown field (did you mean 'preset'?)"),
        ("preset: mine\nbase: qiuck\n", "2: base: input should be 'smoke', 'quick', 'standard' or 'published', got"),
        ("preset: mine\nlooks: {two: 1}\n", "2: looks.two: input should be a valid integer"),
        ("preset: mine\nset: {eval: {points: 2}}\n", "2: set.eval: no field that a preset can set: write eval.points"),
        ("preset: mine\nsize: 3\n", "2: size: unknown field"),
        ("[1]\n", " expected a mapping"),
    ],
)  # fmt: skip
def test_mistakes_in_a_file_are_told_with_their_place(here: Path, text: str, told: str) -> None:
    with pytest.raises(UserError) as error:
        load_preset(mine(text))
    assert str(error.value).startswith(f"mine-scale.yaml:{told}")


def test_no_field_is_suggested_that_would_be_refused(here: Path) -> None:
    with pytest.raises(UserError) as error:
        load_preset(mine("preset: mine\nset: {data.sourc: [x], optim.lr: 1}\n"))
    assert not re.search(r"data\.source|runtime\.|eval\.judged|seed", str(error.value))


def test_a_file_that_is_not_there_is_said(here: Path) -> None:
    with pytest.raises(UserError, match=r"preset file './none.yaml' does not exist"):
        load_preset("./none.yaml")
    with pytest.raises(UserError, match=r"unknown preset 'quik' \(did you mean 'quick'\?\)"):
        load_preset("quik")


def test_a_sweep_at_a_preset_of_ones_own(cli: CommandLine) -> None:
    Path("mine.yaml").write_text(CLAIMING)
    assert cli("run", "mine.yaml", *TINY, "--preset", mine(), "--until-resolved", "--no-html", "--out", "report") == 0
    record = json.loads(Path("report/report.json").read_text())
    assert (record["preset"], record["looks"]) == ("mine", {"2": 0.5, "3": 0.5})
    assert "--preset mine-scale.yaml" in record["command"]
    assert cli("report", "--check", "--out", "report") == 0
    assert cli("repeat", "--out", "report", "--store", "again") == 0
    assert cli("list", "--preset", "mine-scale.yaml") == 0
    assert "done (mine)" in cli.out


def test_looks_reach_the_report(cli: CommandLine) -> None:
    Path("runs").mkdir()
    assert cli("report", "neck", *TINY, "--preset", "quick", "--out", "report") == 0
    assert json.loads(Path("report/report.json").read_text())["looks"] == {"5": 0.2, "10": 0.8}


def test_list_says_when_a_preset_is_judged(cli: CommandLine) -> None:
    assert cli("list") == 0
    assert "Judged at 5 and 10 seeds." in cli.out
    assert "Never judged." in cli.out
