"""`plan`: counts, time and memory before anything runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.ablations.conftest import TINY, TWO_ARMS, CommandLine


def test_plan_counts_before_anything_runs(cli: CommandLine, tmp_path: Path) -> None:
    Path("mine.yaml").write_text(TWO_ARMS)
    Path("other.yaml").write_text(
        TWO_ARMS.replace("study: mine", "study: other").replace("model.norm: bn", "model.neck: gap")
    )
    assert cli("plan", "mine.yaml", "other.yaml", *TINY) == 0
    # Two arms each, one baseline for both, and the control's other half.
    assert "4 runs: 4 new, 0 cached, 0 failed" in cli.out
    assert not (tmp_path / "runs").exists()


def test_plan_json(cli: CommandLine) -> None:
    assert cli("plan", "all", "--json", "--seeds", "2") == 0
    facts = json.loads(cli.out)
    assert facts["counts"]["new"] == len(facts["runs"]) == len({run["key"] for run in facts["runs"]})
    assert facts["estimate"]["seconds"] > 0
    assert facts["estimate"]["memory_mb_per_process"] > 100


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["norms"], "did you mean 'norm'"),
        (["norm", "--set", "model.norms=bn"], "did you mean 'model.norm'"),
        (["norm", "--set", "optim.lr=fast"], "optim.lr: "),
        (["norm", "--set", "optim.lr"], "--set"),
        (["norm", "--seeds", "none"], "--seeds"),
        (["norm", "--preset", "huge"], "unknown preset"),
        (["norm", "--preset", "published"], "ImageNet weights"),
        (["norm", "--data", "nowhere"], "--data: 'nowhere' is not a folder"),
        (["norm", "--device", "tpu"], "runtime.device"),
        (["norm", "--set", "model.pretrained=imagenet"], "cannot be reached"),
        (["norm", "--set", "model.pretrained=nowhere.pth"], "neither a file"),
        (["norm", "--set", "data.images=9999"], "data.images is 9999"),
        (["mine.yaml"], "study file 'mine.yaml' does not exist"),
        (["norm", "--sets", "x=1"], "No such option"),
        ([], "Missing argument"),
    ],
)
def test_mistakes_are_one_line(cli: CommandLine, words: list[str], expected: str) -> None:
    assert expected in cli.refuses("plan", *words)


def test_empty_folder(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "is empty" in cli.refuses("plan", "norm", "--data", tmp_path / "empty")


def test_strict_refuses_what_would_be_skipped(cli: CommandLine, image_folder: Path) -> None:
    (image_folder / "notes.txt").write_text("not an image")
    assert cli("plan", "norm", *TINY, "--data", image_folder) == 0
    assert "not an image" in cli.refuses("plan", "norm", *TINY, "--data", image_folder, "--strict")
