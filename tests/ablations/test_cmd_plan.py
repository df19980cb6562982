"""`plan`: counts, time and memory before anything runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ablations import estimate, workload
from core import step_cost
from core.step_cost import EmbedderStep, HeadStep
from tests.ablations.conftest import TINY, TWO_ARMS, CommandLine
from tests.ablations.test_scaling import embedders, heads


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


def test_plan_tells_what_a_teacher_encodes_before_the_runs(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def notes(*words: str) -> list[str]:
        asked = [*TINY, "--set", "distill.kind=kld", *words]
        assert cli("plan", "norm", *asked, "--json") == 0
        found = json.loads(cli.out)["notes"]
        assert cli("plan", "norm", *asked) == 0
        assert [f"note: {one}" in cli.out for one in found] == [True] * len(found)
        return [one for one in found if "teacher" in one]

    monkeypatch.setattr(workload, "core_count", lambda: 2)
    assert notes() == []  # seconds
    monkeypatch.setitem(estimate._TEACHER_RATE, "cpu", (1.0, 0.5))
    told = "teacher features of 576 views are encoded first, once: about {} on {}, beside the time of the runs"
    assert notes() == [told.format("4:48 min", "2 CPU cores")]
    assert notes("--set", "distill.teacher=random") == []
    assert notes("--set", "distill.weight=0") == []
    monkeypatch.setitem(estimate._TEACHER_RATE, "cuda", (2.0, 1.0))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert notes("--device", "cuda") == [told.format("4:48 min", "the GPU")]
    assert cli("run", "norm", *TINY, "--set", "distill.kind=kld", "--deciding", "--no-control", "--no-report") == 0
    assert "note: " + told.format("4:48 min", "2 CPU cores") in cli.err
    assert notes() == []  # its runs need no more of them


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
        (["norm", "--device", "tpu"], "--device tpu: expected cpu"),
        (["norm", "--set", "eval.judged=validation"], "it is for trials of `tune`"),
        (["norm", "--set", "model.pretrained=imagenet"], "cannot be reached"),
        (["norm", "--set", "model.pretrained=nowhere.pth"], "neither a file"),
        (["norm", "--set", "model.backbone=nonsuch", "--set", "model.pretrained=none"], "timm has no 'nonsuch'"),
        (
            ["norm", "--set", "model.backbone=vit_tiny_patch16_224", "--set", "model.pretrained=none"],
            "vit_tiny_patch16_224 cannot take images of",
        ),
        (["norm", "--set", "data.images=9999"], "data.images is 9999"),
        (["mine.yaml"], "study file 'mine.yaml' does not exist"),
        (["norm", "--sets", "x=1"], "No such option"),
        ([], "name at least one study"),
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


def test_an_arm_whose_backbone_timm_lacks_is_not_here(cli: CommandLine) -> None:
    Path("mine.yaml").write_text(TWO_ARMS + "  slip: {model.backbone: lcnet_05, model.pretrained: none}\n")
    assert cli("plan", "mine.yaml", *TINY) == 0
    assert "not here: mine/slip: model.backbone: timm has no 'lcnet_05' (did you mean 'lcnet_" in cli.out
    assert "1 arms not available here" in cli.out


@pytest.fixture
def quick_steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Measurements as if made here, and which were asked for."""
    asked: list[str] = []

    def head_steps(kind: str, config: object, progress: object) -> list[HeadStep]:
        asked.append(kind)
        return heads()

    def embedder_steps(config: object, progress: object) -> list[EmbedderStep]:
        asked.append("embedder")
        return embedders()

    monkeypatch.setattr(step_cost, "head_steps", head_steps)
    monkeypatch.setattr(step_cost, "embedder_steps", embedder_steps)
    return asked


def test_a_run_past_this_machine(cli: CommandLine, quick_steps: list[str]) -> None:
    words = ["plan", "--preset", "published", "--classes", "10_000_000", "--gpus", "8", "--price", "2.5"]
    assert cli(*words, "--json") == 0  # without the weights that a run of it needs
    facts = json.loads(cli.out)
    assert (facts["classes"], facts["devices"], facts["steps"], facts["batch"]) == (10_000_000, 8, 100_000, 512)
    step = facts["step_ms"]
    assert step["all"] == pytest.approx(step["embedder"] + step["head"] + step["exchange"], abs=0.01)
    assert facts["seconds"] == pytest.approx(step["all"] * 100, rel=1e-3)
    assert facts["price"] == pytest.approx(facts["device_hours"] * 2.5, rel=1e-3)
    assert facts["memory_mb"]["class centres and their state"] == 10_000_000 / 8 * 256 * 16 / 1e6
    assert facts["error"]["head"]["held_out"] == 9
    assert quick_steps == ["documented", "embedder"]
    assert cli(*words, "--link", "10", "--set", "loss.centre_update=row_scalar") == 0
    assert "exchange at 10 Gbit/s" in cli.out
    assert "held out of 27 measured" in cli.out
    assert quick_steps == ["documented", "embedder", "fast"]  # what was measured before is kept
    assert cli("plan", "--gpus", "2") == 0
    assert "one run of preset quick: 1,000 classes on 2 devices" in cli.out


def test_mistakes_about_devices_are_one_line(cli: CommandLine, quick_steps: list[str]) -> None:
    assert "leave the studies out" in cli.refuses("plan", "norm", "--gpus", "2")
    assert "a batch of 64 to share out" in cli.refuses("plan", "--gpus", "100")
    assert "--classes" in cli.refuses("plan", "--classes", "1")
    assert "name at least one study" in cli.refuses("plan")
    for words in (["--price", "3"], ["--link", "5"]):
        assert f"{words[0]} is for --classes or --gpus" in cli.refuses("plan", "norm", *words)
    for words in (["--seeds", "3"], ["--data", "scans"], ["--tuned"], ["--jobs", "2"], ["--no-control"]):
        assert f"one run of a preset: leave out {words[0]}" in cli.refuses("plan", "--gpus", "2", *words)
    assert quick_steps == []
