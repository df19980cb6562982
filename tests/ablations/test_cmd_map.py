"""`map`: the contrasts of a study under several conditions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ablations import map_cli
from ablations.conditions import MOST, conditions, plans_of
from ablations.options import choose
from ablations.registry import load_study
from core.errors import UserError
from core.store import Store
from tests.ablations.conftest import CLAIMING, TINY, TINY_SETS, TWO_ARMS, CommandLine


def test_every_combination_the_last_field_changing_fastest() -> None:
    found = conditions(["optim.samples=1000,2000", "model.norm=ln,bn"], [])
    assert [one.label for one in found] == [
        "samples 1,000, norm ln", "samples 1,000, norm bn", "samples 2,000, norm ln", "samples 2,000, norm bn",
    ]  # fmt: skip
    assert dict(found[1].values) == {"optim.samples": 1000, "model.norm": "bn"}


@pytest.mark.parametrize(
    ("over", "sets", "message"),
    [
        (["optim.samples=1"], [], "at least two values"),
        (["optim.samples=1,1"], [], "all different"),
        (["optim.samples"], [], "expected FIELD=VALUE"),
        (["optim.samples=1,2", "optim.samples=3,4"], [], "given twice"),
        (["optim.samples=1,2"], ["optim.samples=3"], "by --set as well"),
        (["seed=1,2"], [], "^--over seed: --seeds says it"),
        (["=1,2"], [], "^--over: expected FIELD=VALUE, got '=1'"),
        (["optim.lr=.nan,1"], [], r"^--over optim\.lr"),
        ([f"optim.samples={','.join(map(str, range(MOST + 1)))}"], [], f"expected {MOST} at most"),
    ],
)
def test_what_cannot_be_varied(over: list[str], sets: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        conditions(over, sets)


def test_a_map_is_trained_once_and_written(cli: CommandLine, tmp_path: Path) -> None:
    Path("mine.yaml").write_text(CLAIMING)
    words = ["map", "mine.yaml", *TINY, "--seeds", "2", "--over", "optim.batch_size=8,16"]
    assert cli(*words, "--dry-run") == 0
    assert "2 conditions; 8 runs: 8 new, 0 cached, 0 failed" in cli.err
    assert not Path("runs").exists()
    assert cli(*words, "--dry-run", "--json") == 0
    planned = json.loads(cli.out)
    conditions = {"batch_size 8": {"optim.batch_size": 8}, "batch_size 16": {"optim.batch_size": 16}}
    assert planned["studies"] == [{"study": "mine", "conditions": conditions}]
    assert planned["counts"]["new"] == 8
    assert planned["estimate"]["seconds"] > 0
    assert (planned["unavailable"], planned["notes"]) == ([], [])
    assert cli(*words) == 0, cli.err
    assert "mine/bn seed 1, batch_size 16: " in cli.err
    text = (tmp_path / "reports/maps/mine-batch_size.md").read_text()
    assert text.count("`ln` − `bn` on ") == 2
    assert "| batch\\_size 8 |" in text
    assert "--over optim.batch_size=8,16 mine.yaml" in text
    assert "Runs that are done: 8, made by code" in text
    assert (tmp_path / "reports/maps/figures/map-mine-batch_size.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "reports/maps/tables/mine-batch_size-conditions.csv").read_text().count("\n") == 3
    assert cli(*words) == 0
    assert "8 runs: 0 new, 8 cached, 0 failed" in cli.err
    assert (tmp_path / "reports/maps/mine-batch_size.md").read_text() == text
    assert cli(*words, "--json") == 0
    (facts,) = json.loads(cli.out, parse_constant=pytest.fail)["maps"]
    assert facts["conditions"] == conditions
    assert facts["page"] == "reports/maps/mine-batch_size.md"
    rows = (tmp_path / "reports/maps/tables/mine-batch_size-conditions.csv").read_text().splitlines()[1:]
    for row, estimate in zip(rows, facts["estimates"], strict=True):
        assert f",{estimate['condition']}," in row
        assert f"{estimate['estimate']:+.3f}" in row
        assert estimate["reading"] in row
        assert estimate["seeds"] == [0, 1]
    # A condition is what `run` makes of the same values.
    plain = ["run", "mine.yaml", *TINY, "--seeds", "2", "--no-control", "--no-report"]
    assert cli(*plain, "--set", "optim.batch_size=16") == 0
    assert "0 new, 4 cached" in cli.err
    assert len(Store("runs").run_keys()) == 8


def test_a_stop_says_how_to_go_on(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    Path("mine.yaml").write_text(CLAIMING)
    monkeypatch.setattr(map_cli, "sweep", stopped)
    assert cli("map", "mine.yaml", *TINY, "--over", "optim.batch_size=8,16", "--out", "maps", "--jobs", "1") == 130
    told = cli.err.split("To go on: python -m ablations ")[1].strip()
    assert told.startswith("map --over optim.batch_size=8,16 mine.yaml --preset smoke ")
    assert told.endswith("--jobs 1 --out maps")
    monkeypatch.setenv("DOCABLATE_FONTS", "matplotlib")  # without which the same words mean other runs
    assert cli("map", "mine.yaml", *TINY, "--over", "optim.batch_size=8,16") == 130
    assert "To go on: DOCABLATE_FONTS=matplotlib python -m ablations map" in cli.err


def test_what_is_there_under_no_condition_is_told_once(cli: CommandLine, tmp_path: Path) -> None:
    far = CLAIMING.replace("claims:", "  far: {model.pretrained: imagenet}\nclaims:")
    Path("mine.yaml").write_text(far + "  - {finding: lower, better: far, than: ln}\n")
    assert cli("map", "mine.yaml", *TINY, "--seeds", "1", "--over", "optim.batch_size=8,16") == 0, cli.err
    text = (tmp_path / "reports/maps/mine-batch_size.md").read_text()
    assert text.count("`far` − `ln` on ") == 1
    assert "Under no condition there is: `far` − `ln` on TPR@1e-4. Arm 'far' of 'mine' is unavailable: " in text
    assert text.count("`ln` − `bn` on ") == 2


OWN = CLAIMING + "conditions: {optim.samples: [{scale: 1/2}, {scale: 1}], optim.batch_size: [8, 16]}\n"


def test_a_study_has_conditions_of_its_own(cli: CommandLine, tmp_path: Path) -> None:
    Path("mine.yaml").write_text(OWN)
    words = ["map", "mine.yaml", *TINY, "--seeds", "1"]
    assert cli(*words, "--set", "optim.samples=128", "--dry-run") == 0, cli.err
    assert "mine: 4 conditions; 8 runs: 8 new" in cli.err
    assert cli(*words) == 0, cli.err
    text = (tmp_path / "reports/maps/mine-samples-batch_size.md").read_text()
    assert "| samples 32, batch\\_size 8 |" in text
    assert "| samples 64, batch\\_size 16 |" in text
    assert "python -m ablations map mine.yaml --preset smoke" in text
    # Conditions that are given stand in place of the study's.
    assert cli(*words, "--over", "optim.lr=0.001,0.002", "--dry-run") == 0, cli.err
    assert "mine: 2 conditions; 4 runs: " in cli.err
    assert cli("show", "mine.yaml") == 0
    assert "optim.samples: baseline x 1/2, baseline x 1" in cli.out
    told = cli.refuses(*words, "--set", "optim.samples=1")
    assert "its conditions of optim.samples are not all different here: [1, 1]" in told


def test_a_field_that_the_studys_conditions_give_is_not_set_as_well(cli: CommandLine) -> None:
    """It would have no effect, and nothing would tell."""
    Path("mine.yaml").write_text(OWN)
    words = ["map", "mine.yaml", *TINY, "--seeds", "1", "--set", "optim.batch_size=12"]
    told = cli.refuses(*words, "--dry-run")
    assert "study mine: its conditions give optim.batch_size the values 8, 16" in told
    assert "leave out --set optim.batch_size, or say by --over what to vary" in told
    assert cli(*words, "--over", "optim.lr=0.001,0.002", "--dry-run") == 0, cli.err


def test_conditions_are_no_claim(tmp_path: Path) -> None:
    for name, text in (("with", OWN), ("without", CLAIMING)):
        (tmp_path / f"{name}.yaml").write_text(text)
    first, second = (load_study(str(tmp_path / f"{name}.yaml")).study for name in ("with", "without"))
    assert first.conditions
    assert first.digest == second.digest


def test_all_stands_for_the_studies_with_conditions(cli: CommandLine) -> None:
    assert cli("map", "all", *TINY, "--seeds", "1", "--dry-run") == 0, cli.err
    assert "norm: 6 conditions" in cli.err
    assert "clip" not in cli.err


def test_mistakes_are_one_line(cli: CommandLine) -> None:
    Path("mine.yaml").write_text(TWO_ARMS)
    Path("claims.yaml").write_text(CLAIMING)
    some = [*TINY, "--over", "optim.batch_size=8,16"]
    assert "no contrast that decides anything" in cli.refuses("map", "mine.yaml", *some)
    for metric in ("cost.head_step", "head_step"):
        timed = CLAIMING.replace("smallest", f"kind: cost_ratio, metric: {metric}, smallest")
        Path(f"{metric}.yaml").write_text(timed)
        assert "decides anything and reads runs" in cli.refuses("map", f"{metric}.yaml", *some)
    assert "declares no conditions of its own: name what to vary" in cli.refuses("map", "claims.yaml", *TINY)
    told = cli.refuses("map", "claims.yaml", *TINY, "--over", "optim.batch_size=8,-1")
    assert "with batch_size -1: " in told
    assert "optim.batch_size" in told
    own = "  slow: {optim.lr: 0.01}\n  fast: {optim.lr: 0.1}\n"
    Path("own.yaml").write_text(
        CLAIMING.replace("claims:", f"{own}claims:").replace("better: ln, than: bn", "better: slow, than: fast")
    )
    told = cli.refuses("map", "own.yaml", *TINY, "--over", "optim.lr=0.02,0.03")
    assert "compares the same runs with lr 0.02 and with lr 0.03" in told
    assert not Path("runs").exists()


def test_failed_runs_are_tried_again_by_the_map_and_counted_so(cli: CommandLine) -> None:
    Path("mine.yaml").write_text(CLAIMING)
    words = ["map", "mine.yaml", *TINY, "--seeds", "1", "--over", "optim.batch_size=8,16"]
    assert cli(*words, "--dry-run") == 0
    chosen = choose(["mine.yaml"], "smoke", Path("runs"), seeds="1", sets=TINY_SETS)
    for plan in plans_of(
        replace(chosen.request, control=False), conditions(["optim.batch_size=8,16"], []), chosen.store
    ):
        for run in plan.runs:
            chosen.store.fail(run.key, "memory", "not enough memory")
    assert cli(*words) == 1
    assert "`map --retry-failed` tries them again" in cli.err
    assert cli(*words, "--retry-failed", "--dry-run") == 0
    assert "4 failed to be tried again; about" in cli.err
    assert "about 0 s" not in cli.err


def test_a_page_that_no_map_wrote_is_left_alone(cli: CommandLine) -> None:
    """And told of before anything is trained."""
    Path("mine.yaml").write_text(CLAIMING)
    Path("mine-batch_size.md").write_text("my notes")
    words = ["map", "mine.yaml", *TINY, "--seeds", "1", "--over", "optim.batch_size=8,16", "--out", "."]
    assert "mine-batch_size.md is there" in cli.refuses(*words, "--dry-run")
    assert "mine-batch_size.md is there" in cli.refuses(*words)
    assert Path("mine-batch_size.md").read_text() == "my notes"
    assert not Path("runs").exists()
