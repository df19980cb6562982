"""`cost`: the class head's steps, measured and kept for the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from ablations import sweep_cli
from core import head_cost, record
from core.store import HEAD_COST, HEAD_COST_SCHEMA
from tests.ablations.conftest import TINY, CommandLine

_TIMED = (
    "study: timed\ntitle: t\nquestion: q\nclaims: {faster: a sample is faster}\nbaseline: sample\n"
    "arms:\n  sample: {}\n  full: {loss.sample_rate: 1.0}\ncontrasts:\n"
    "  - {finding: faster, kind: cost_ratio, better: sample, than: full, metric: head_step, smallest_effect: 0.1}\n"
)


@pytest.fixture
def measured_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        head_cost, "_measured", lambda cell, _: {"ms": cell.classes / 50, "step_mb": None, "state_mb": 3.0}
    )


@pytest.mark.usefixtures("measured_at_once")
def test_cost_is_printed_and_shown_in_the_report(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    assert cli("report", "partial-fc", *TINY) == 0
    page = tmp_path / "reports/generated/partial-fc.md"
    assert "Not measured yet: `python -m ablations cost`" in page.read_text()
    assert cli("cost", "--classes", "100", "--classes", "2000") == 0
    assert "2,000" in cli.out
    assert "documented" in cli.out
    assert cli("report", "partial-fc", *TINY) == 0
    text = page.read_text()
    assert "![Milliseconds and memory of a step" in text
    assert "| 2,000 | 0.1 | 40.0 | 40.0 | 1.0 |" in text
    assert (tmp_path / "reports/generated/figures/partial-fc-steps.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("measured_at_once")
def test_cost_json(cli: CommandLine) -> None:
    assert cli("cost", "--classes", "100", "--batch", "4", "--json") == 0
    rows = json.loads(cli.out)
    assert {row["rate"] for row in rows} == {1.0, 0.3, 0.1}
    assert {row["batch"] for row in rows} == {4}


def test_mistakes_are_one_line(cli: CommandLine, tmp_path: Path) -> None:
    assert "--classes" in cli.refuses("cost", "--classes", "3")
    (tmp_path / "file").write_text("")
    assert "cannot be written" in cli.refuses("cost", "--store", "file", "--classes", "100")
    assert "--device foo: expected" in cli.refuses("cost", "--device", "foo", "--classes", "100")
    if not torch.cuda.is_available():
        assert "no CUDA device" in cli.refuses("cost", "--device", "cuda", "--classes", "100")
    assert not (tmp_path / "runs").exists()


def test_nothing_measured_is_a_failure_and_changes_nothing(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs" / HEAD_COST
    path.parent.mkdir()
    path.write_bytes(before := record.seal({"rows": [], "turns": {"0.3": [1.0]}}, HEAD_COST_SCHEMA))
    monkeypatch.setattr(head_cost, "_measured", lambda *_: {"reason": "the process died"})
    assert cli("cost", "--classes", "100") == 1
    assert "the process died" in cli.out
    assert "nothing could be measured: runs/head_cost.json is not written" in cli.err
    assert path.read_bytes() == before


@pytest.mark.usefixtures("measured_at_once")
def test_turns_that_are_lost_are_said(cli: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "runs" / HEAD_COST
    assert cli("cost", "--classes", str(head_cost.TURN_CLASSES)) == 0
    assert cli("cost", "--classes", "100") == 0
    assert record.read(path, HEAD_COST_SCHEMA)["turns"]
    assert "turns" not in cli.err
    assert cli("cost", "--classes", "100", "--threads", "2") == 0
    assert not record.read(path, HEAD_COST_SCHEMA)["turns"]
    assert "the turns at 390,144 classes, on which finding 1 rests, were of another device or other threads" in cli.err


def test_other_studies_have_no_such_section(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    assert cli("report", "norm", *TINY) == 0
    assert "step of the class head" not in (tmp_path / "reports/generated/norm.md").read_text()


def test_a_damaged_measurement_is_said(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    for text in ("{", "[]", '{"rows": [{"head": 1}], "environment": {}}', '{"rows": 3, "environment": {}}'):
        (tmp_path / "runs/head_cost.json").write_text(text)
        assert cli("report", "partial-fc", *TINY) == 0
        told = (tmp_path / "reports/generated/partial-fc.md").read_text()
        assert "cannot be read" in told or "is damaged" in told


def test_run_times_the_head_once_where_a_verdict_rests_on_it(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def measure(store: Path, *, device: str, progress: object) -> None:
        asked.append(device)
        store.mkdir(parents=True, exist_ok=True)
        (store / HEAD_COST).write_text(json.dumps({"turns": {"0.3": [1.0]}, "environment": {"device": device}}))

    monkeypatch.setattr(head_cost, "measure", measure)
    monkeypatch.setattr(sweep_cli, "sweep", lambda *args, **options: 0)
    quick = ["--preset", "quick", "--seeds", "1", "--no-report"]
    Path("shown.yaml").write_text(_TIMED.replace("metric: head_step", "metric: seconds") + "head_cost: true\n")
    untimed = [["neck", *quick], ["partial-fc", *quick, "--budget", "1s"], ["partial-fc", *TINY, "--no-report"]]
    for words in (*untimed, ["shown.yaml", *quick]):
        assert cli("run", *words, "--jobs", "1") == 1  # as nothing is trained
    assert asked == []
    assert cli("run", "partial-fc", *quick, "--jobs", "1") == 1
    assert cli("run", "partial-fc", *quick, "--jobs", "1") == 1
    assert asked == ["cpu"]
    Path("timed.yaml").write_text(_TIMED)  # whose verdict rests on it, though it asks for no table of it
    assert cli("run", "timed.yaml", *quick, "--jobs", "1", "--store", "other") == 1
    assert asked == ["cpu", "cpu"]


@pytest.mark.usefixtures("measured_at_once")
def test_a_damaged_measurement_is_set_aside_and_one_of_a_newer_version_is_left_alone(
    cli: CommandLine, tmp_path: Path
) -> None:
    path = tmp_path / "runs" / HEAD_COST
    path.parent.mkdir()
    path.write_bytes(b"\0\0")
    assert cli("cost", "--classes", "100", "--batch", "4") == 0
    assert f"{HEAD_COST} is damaged (it holds nothing but zeros). It is set aside as runs/.damaged" in cli.err
    assert record.read(path, HEAD_COST_SCHEMA)["rows"]
    path.write_bytes(record.seal({"rows": 7}, HEAD_COST_SCHEMA + 1))
    assert "newer version" in cli.refuses("cost", "--classes", "100", "--batch", "4")
    assert json.loads(path.read_text())["rows"] == 7
    assert cli("report", "partial-fc", *TINY) == 0
    assert "written by a newer version" in (tmp_path / "reports/generated/partial-fc.md").read_text()
