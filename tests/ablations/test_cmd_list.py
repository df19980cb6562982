"""`list`: studies, findings, arms, presets, and what is done."""

from __future__ import annotations

import json

import pytest

from core.config import RunConfig, field_names
from core.model import hub
from tests.ablations.conftest import CommandLine


def test_list_names_everything(cli: CommandLine) -> None:
    assert cli("list") == 0
    for name in ("partial-fc", "norm", "pool", "preset smoke", "preset published", "done (quick)"):
        assert name in cli.out


def test_list_json(cli: CommandLine) -> None:
    assert cli("list", "--json") == 0
    facts = json.loads(cli.out)
    assert len(facts["studies"]) == 11
    assert [finding["finding"] for finding in facts["findings"]] == [str(number) for number in range(1, 14)]
    assert all(row["done"] == 0 for row in facts["studies"])


def test_a_preset_that_cannot_be_run_here_is_listed_with_a_note(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "why_not_imagenet", lambda backbone: "ImageNet weights cannot be had")
    assert cli("list", "--preset", "published") == 0
    notes = [line for line in cli.out.splitlines() if line.startswith("not here: ")]
    assert notes == ["not here: preset published: ImageNet weights cannot be had (with --set)"]
    assert "done (published)" in cli.out
    assert "Is a pretrained backbone mandatory?" in cli.out
    assert cli("list", "--preset", "published", "--json") == 0
    facts = json.loads(cli.out)
    assert len(facts["studies"]) == 11
    assert {row["runs"] for row in facts["studies"]} == {None}
    assert facts["notes"] == [notes[0].removeprefix("not here: ")]


def test_unknown_preset(cli: CommandLine) -> None:
    assert "did you mean 'quick'" in cli.refuses("list", "--preset", "quik")


def test_fields_are_what_declarations_can_name(cli: CommandLine) -> None:
    assert cli("fields") == 0
    for told in ("model.neck", "flatten | gap | squeeze", "shifted.tpr@1e-4", "10_backbone: a larger backbone"):
        assert told in cli.out
    assert cli("fields", "--json") == 0
    facts = json.loads(cli.out)
    for row in facts["fields"]:
        for word in row["takes"]:
            assert RunConfig().with_overrides({row["field"]: word})
    assert {row["field"] for row in facts["fields"]} == {
        name for name in field_names() if name not in ("seed", "eval.judged") and not name.startswith("runtime.")
    }
    marked = {row["field"] for row in facts["fields"] if "(arms only)" in row["about"]}
    assert marked == {"data.source", "eval.source"}
    for name in marked:
        assert name in cli.refuses("plan", "norm", "--set", f"{name}=x")
    assert {row["metric"] for row in facts["metrics"]} >= {"tpr@1e-4", "seconds", "top1"}
