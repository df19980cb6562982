"""Mistakes in study files are named by file, line and field."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablations.registry import load_study
from core.errors import UserError

GOOD = """\
study: mine
title: My study
question: Is a smaller margin better?
baseline: documented
arms:
  documented: {}
  small: {loss.margin: 0.2, about: half the margin}
contrasts:
  - {finding: 12_margin_vs_softmax, better: small, than: documented, smallest_effect: 0.02}
"""


def load(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_study(str(path))
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(str(path), "mine.yaml")


def test_a_study_file_needs_no_python(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    study = load_study(str(tmp_path / "good.yaml")).study
    assert study.arms["small"].set == {"loss.margin": 0.2}
    assert len(study.digest) == 12


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("loss.margin: 0.2", "loss.margni: 0.2", "mine.yaml:7: arms.small.loss.margni: no field that an arm can set"),
        ("loss.margin: 0.2", "loss.margni: 0.2", "did you mean 'loss.margin'"),
        ("loss.margin: 0.2", "loss.margin: wide", "mine.yaml:7: arms.small.loss.margin: "),
        ("loss.margin: 0.2", "seed.x: 2", "mine.yaml:7: arms.small.seed.x"),
        ("loss.margin: 0.2", "runtime.device: cuda", "no field that an arm can set"),
        ("loss.margin: 0.2", "data.images: {scale: -1}", "expected a value or {scale"),
        ("loss.margin: 0.2", "loss.kind: {scale: 2}", "only whole-number fields can be scaled"),
        ("documented: {}", "documented: {loss.margin: 0.1}", "mine.yaml:6: arms.documented.loss.margin: the baseline"),
        ("baseline: documented", "baseline: documentd", "did you mean 'documented'"),
        ("better: small", "better: smal", "contrast names unknown arm 'smal' (did you mean 'small'?)"),
        ("12_margin_vs_softmax", "12_margin", "unknown finding '12_margin'"),
        ("question: Is", "questoin: Is", "mine.yaml:"),
        ("  small: {loss.margin: 0.2, about: half the margin}\n", "", "at least one more arm"),
        ("smallest_effect: 0.02", "smallest_effect: none", "contrasts.0.smallest_effect"),
        ("about: half the margin}", "about: half", "mine.yaml:8: not valid YAML"),
        ("title: My study", "title: My study\ntitle: Twice", "mine.yaml:3: 'title' is given twice"),
        ("title: My study", "title: &a My study\nnote: *a", "aliases are not supported"),
        ("study: mine", "study: Not A Name", "mine.yaml:1: study:"),
        ("study: mine\n", "", "mine.yaml:1: study: this field is missing"),
    ],
)
def test_mistakes(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in GOOD
    assert expected in load(tmp_path, GOOD.replace(old, new))


@pytest.mark.parametrize("text", ["", "- a list", "just text", "{", "\t", "a: [" * 2000, "study: 1\n" * 40000])
def test_what_is_no_declaration(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text).startswith("mine.yaml")


def test_code_in_yaml_is_not_run(tmp_path: Path) -> None:
    message = load(tmp_path, GOOD.replace("My study", f"!!python/object/apply:os.mkdir ['{tmp_path}/made']"))
    assert "not valid YAML" in message
    assert not (tmp_path / "made").exists()


def test_binary_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not UTF-8"):
        load_study(str(tmp_path / "binary.yaml"))
    with pytest.raises(UserError, match="does not exist"):
        load_study(str(tmp_path / "nowhere.yaml"))
