"""`run`: every study through the real command line, resumption, failures."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from ablations.cli import run_cli
from ablations.planner import Plan
from ablations.registry import load_study, study_names
from core.result import code_versions
from core.store import Store
from tests.ablations.conftest import TINY, TWO_ARMS, CommandLine
from tests.conftest import make_images

pending = Plan.pending


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one `run all` at the tiniest size."""
    folder = tmp_path_factory.mktemp("all")
    where = ["--store", str(folder / "runs"), "--out", str(folder / "report")]
    code = run_cli(["run", "all", *TINY, "--jobs", "2", *where])
    assert code == 0
    return folder


def test_every_planned_run_is_done(everything: Path) -> None:
    store = Store(everything / "runs")
    states = [store.state(key) for key in store.run_keys()]
    assert states
    assert set(states) == {"done"}
    for key in store.run_keys():
        assert {path.name for path in store.path(key).iterdir()} == {
            "config.yaml", "metrics.jsonl", "scores.npz", "result.json",
        }  # fmt: skip


@pytest.mark.parametrize("name", study_names())
def test_every_study_has_its_page_with_figures(everything: Path, name: str) -> None:
    page = (everything / "report" / f"{name}.md").read_text()
    for figure in ("arms", "roc", "curves"):
        assert f"figures/{name}-{figure}.png" in page
        assert (everything / "report" / "figures" / f"{name}-{figure}.png").stat().st_size > 5000
    of_record = any(arm.published for arm in load_study(name).study.arms.values())
    assert ("published TPR@1e-4" in page) == of_record
    assert f"[{name}]({name}.md)" in (everything / "report" / "index.md").read_text()


def test_runs_that_were_hardly_trained_decide_nothing(everything: Path) -> None:
    tables = everything / "report" / "tables"
    verdicts = dict.fromkeys(range(1, 14), "inconclusive")
    verdicts |= {1: "not run", 2: "not run"}  # the head was not timed, and there are no 16,256 images
    index = pd.read_csv(tables / "index-findings.csv")
    assert dict(zip(index["#"], index["verdict"], strict=True)) == verdicts
    pages = pd.concat([pd.read_csv(tables / f"{name}-verdicts.csv") for name in study_names()])
    assert dict(zip(pages["finding"], pages["verdict"], strict=True)) == verdicts
    assert pages["decided at"].isna().all()


def test_a_second_run_trains_nothing(everything: Path, cli: CommandLine) -> None:
    store = Store(everything / "runs")
    before = {key: store.path(key, "result.json").stat().st_mtime_ns for key in store.run_keys()}
    assert cli("run", "all", *TINY, "--store", everything / "runs", "--no-report") == 0
    assert " 0 new, " in cli.err
    assert before == {key: store.path(key, "result.json").stat().st_mtime_ns for key in store.run_keys()}


def test_a_run_repeated_from_its_config_has_the_same_key_and_metrics(everything: Path, cli: CommandLine) -> None:
    key = Store(everything / "runs").run_keys()[0]
    assert cli("run", everything / "runs" / key / "config.yaml", "--store", "again") == 0
    assert Store("again").run_keys() == [key]
    assert Store("again").result(key)["metrics"] == Store(everything / "runs").result(key)["metrics"]


def test_results_do_not_depend_on_how_many_processes_there_are_or_in_what_order(
    everything: Path, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every run of every study, trained one after another in the opposite order, ends the same to the bit."""
    monkeypatch.setattr(Plan, "pending", lambda plan, retry_failed: pending(plan, retry_failed)[::-1])
    assert cli("run", "all", *TINY, "--store", "again", "--jobs", "1", "--no-report") == 0
    first, second = Store(everything / "runs"), Store("again")
    assert first.run_keys() == second.run_keys()
    for key in first.run_keys():
        one, other = first.result(key), second.result(key)
        for part in ("metrics", "validation", "untrained", "shifted", "test", "manipulation", "inputs"):
            assert json.dumps(one[part]) == json.dumps(other[part]), (key, part)
        curves = [[{**point, "seconds": 0} for point in result["curve"]] for result in (one, other)]
        assert json.dumps(curves[0]) == json.dumps(curves[1]), key
        scores = [store.scores(key) for store in (first, second)]
        assert {name: values.tobytes() for name, values in scores[0].items()} == {
            name: values.tobytes() for name, values in scores[1].items()
        }, key


def test_own_images_and_a_study_file(cli: CommandLine, image_folder: Path, tmp_path: Path) -> None:
    (image_folder / "notes.txt").write_text("not an image")
    make_images(tmp_path / "more", 10, seed=50)
    study = tmp_path / "mine.yaml"
    study.write_text(
        "study: mine\ntitle: Mine\nquestion: Is a small margin better?\nbaseline: documented\n"
        "arms:\n  documented: {}\n  small: {loss.margin: 0.2}\n"
    )
    assert cli("run", study, *TINY, "--data", image_folder, "--data", tmp_path / "more", "--out", "report") == 0
    page = Path("report/index.md").read_text() + Path("report/mine.md").read_text()
    assert "24 of 36 images of images, more" in page
    assert "1 skipped (1 not an image)" in page
    result = next(iter(Store("runs").results()))
    assert result["data"]["skipped"] == 1
    assert "50" not in result["inputs"]["train"]
    assert result["data"]["train"].startswith("24 of ")


def test_a_failed_run_does_not_stop_the_others(cli: CommandLine, tmp_path: Path) -> None:
    study = tmp_path / "mine.yaml"
    study.write_text(
        "study: mine\ntitle: t\nquestion: q\nbaseline: good\n"
        "arms:\n  good: {}\n  wild: {optim.lr: 1.0e+30, optim.clip: 1.0e+30, model.norm: none, optim.warmup: 0}\n"
        "  unfit: {model.backbone: levit_128s, model.pretrained: none}\n"
    )
    assert cli("run", study, *TINY, "--out", "report") == 1
    assert "2 of 4 runs are not done (2 failed)" in cli.err
    assert "diverged" in cli.err
    assert "Traceback" not in cli.err
    failures = {
        Store("runs").failure(key)["kind"] for key in Store("runs").run_keys() if Store("runs").state(key) == "failed"
    }
    assert failures == {"diverged", "bad_config"}
    assert "diverged" in Path("report/mine.md").read_text()
    assert cli("run", study, *TINY, "--no-report") == 1
    assert "0 new, 2 cached, 2 failed" in cli.err
    assert "2 of 4 runs are not done (2 failed): see `status`; 2 would fail in the same way" in cli.err
    assert cli("run", study, *TINY, "--no-report", "--retry-failed") == 1
    assert "not tried again: 1 bad_config, 1 diverged; with the same configuration, data and code" in cli.err
    assert "runs on" not in cli.err


def test_what_can_succeed_is_tried_again(cli: CommandLine, tmp_path: Path) -> None:
    study = tmp_path / "mine.yaml"
    study.write_text(TWO_ARMS)
    words = ["run", study, *TINY, "--no-control", "--no-report"]
    assert cli("plan", *words[1:-1], "--json") == 0
    lucky, old = [run["key"] for run in json.loads(cli.out)["runs"]]
    store = Store("runs")
    store.fail(lucky, "out_of_memory", "out of memory", "", code_versions())
    store.fail(old, "diverged", "the loss is nan at step 1 of 2", "", {**code_versions(), "core": "as it was"})
    assert cli(*words) == 1
    assert "2 of 2 runs are not done (2 failed): see `status`; `run --retry-failed` tries them again" in cli.err
    assert cli(*words, "--retry-failed", "--fail-fast", "--jobs", "1") == 0
    assert "not tried again" not in cli.err
    assert {store.state(key) for key in store.run_keys()} == {"done"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["norm", "--executor", "slurm"], "unknown executor"),
        (["norm", "--jobs", "0"], "--jobs"),
        (["norm", "--address", "here:1"], "--address is of a Ray cluster: add --executor ray"),
        (["norm", "--executor", "ray", "--jobs", "2"], "--jobs is of this machine"),
        (["norm", "--gpus-per-run", "0.5"], "--gpus-per-run is of a Ray cluster: add --executor ray"),
        (["norm", "--gpus-per-run", "0.5", "--executor", "ray"], "is of runs on GPUs: add --device cuda"),
        (["norm", "--stall-timeout", "soon"], "--stall-timeout: expected a time such as 2h"),
        (["norm", "--stall-timeout", "0m"], "--stall-timeout: no run makes progress in no time"),
        (["nrm"], "did you mean"),
    ],
)
def test_mistakes_are_one_line(cli: CommandLine, words: list[str], expected: str) -> None:
    assert expected in cli.refuses("run", *words)


def test_a_store_that_cannot_be_written_is_refused(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("a file")
    assert "--store" in cli.refuses("run", "norm", *TINY, "--store", tmp_path / "blocked")
