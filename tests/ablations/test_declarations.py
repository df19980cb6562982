"""Mistakes in study files are named by file, line and field."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablations.preset import load_preset
from ablations.registry import load_studies, load_study
from core.errors import UserError
from tests.ablations.conftest import CLAIMING

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


def test_a_folder_is_no_file_of_a_study_or_a_preset(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"study file '.*' is a folder"):
        load_study(str(tmp_path))
    with pytest.raises(UserError, match=r"preset file '.*' is a folder"):
        load_preset(str(tmp_path))


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
        ("loss.margin: 0.2", "set: {device: cuda}", "device: no field that an arm can set: --device says it"),
        ("loss.margin: 0.2", "eval.judged: validation", "no field that an arm can set"),
        ("loss.margin: 0.2", "data.images: {scale: -1}", "expected a value or {scale"),
        ("loss.margin: 0.2", "loss.kind: {scale: 2}", "only whole-number fields can be scaled"),
        ("documented: {}", "documented: {loss.margin: 0.1}", "mine.yaml:6: arms.documented.loss.margin: the baseline"),
        (
            "documented: {}",
            "documented: {loss.margin: 0.1}",
            "changes nothing; change other arms, or all at once by --set or a preset's `set:`",
        ),
        (
            "documented: {}",
            "documented: {data.source: [/mine]}",
            "changes nothing; change other arms, or all at once by --data",
        ),
        ("baseline: documented", "baseline: documentd", "did you mean 'documented'"),
        ("baseline: documented", "baseline: documentd", "mine.yaml:4: baseline: 'documentd' is not an arm (did you"),
        ("better: small", "better: smal", "9: contrasts.0.better: unknown arm 'smal' (did you mean 'small'?)"),
        (
            "0.02}",
            "0.02, kind: interaction, elsewhere: {better: small, than: big}}",
            "9: contrasts.0.elsewhere.than: un",
        ),
        (
            "smallest_effect",
            "smallest_efect",
            "9: contrasts.0.smallest_efect: unknown field (did you mean 'smallest_ef",
        ),
        ("small: {", "no: {", "mine.yaml:6: arms: YAML takes the name False for no text: quote it"),
        ("documented: {}", "documented:", "mine.yaml:6: arms.documented: expected a mapping, if only {}"),
        ("about:", "abuot:", "mine.yaml:7: arms.small.abuot: unknown field (did you mean 'about'?)"),
        (
            "loss.margin: 0.2",
            "margin: 0.2",
            "mine.yaml:7: arms.small.margin: unknown field (did you mean 'loss.margin'?)",
        ),
        ("loss.margin: 0.2", "loss: {margin: 0.2}", "arms.small.loss: unknown field: write loss.margin: 0.2"),
        (
            "arms:",
            "findings: [4_norm]\narms:",
            "mine.yaml:5: findings.0: unknown finding '4_norm' (did you mean '4_norm_",
        ),
        ("study: mine", "preset: mine", "mine.yaml: this is a preset: give it with --preset"),
        ("baseline: documented", "x_axis: cost.clases\nbaseline: documented", "no number of a result 'cost.clases'"),
        ("baseline: documented", "x_axis: cost.instability\nbaseline: documented", "mine.yaml:4: x_axis: no number of"),
        ("baseline: documented", "x_axis: config.loss.kind\nbaseline: documented", "x_axis: no number of a result"),
        ("12_margin_vs_softmax", "12_margin", "unknown finding '12_margin'"),
        ("smallest_effect", "metric: tpr@1e4, smallest_effect", "mine.yaml:9: contrasts.0.metric: no metric 'tpr@1e4'"),
        ("smallest_effect", "metric: tpr@1e4, smallest_effect", "did you mean 'tpr@1e-4'"),
        ("smallest_effect", "metric: cost.second, smallest_effect", "did you mean 'seconds'"),
        ("question: Is", "questoin: Is", "mine.yaml:"),
        ("  small: {loss.margin: 0.2, about: half the margin}\n", "", "at least one more arm"),
        ("smallest_effect: 0.02", "smallest_effect: none", "contrasts.0.smallest_effect"),
        ("smallest_effect: 0.02", "smallest_effect: 2", "mine.yaml:9: contrasts.0.smallest_effect: of tpr@1e-4 itself"),
        (
            "smallest_effect: 0.02",
            "kind: non_inferiority, metric: shifted.auroc, margin: 3",
            "mine.yaml:9: contrasts.0.margin: of shifted.auroc itself, which is 1 at most, not in per cent",
        ),
        ("smallest_effect: 0.02", "margin: 0.02", "mine.yaml:9: contrasts.0: `margin` belongs to kind non_inferiority"),
        ("smallest_effect: 0.02", "kind: trend, through: [small]", "contrasts.0: a trend names each level once, got"),
        (
            "smallest_effect: 0.02",
            "kind: interaction, elsewhere: {better: small, than: documented}",
            "mine.yaml:9: contrasts.0: `elsewhere` is another pair",
        ),
        ("title: My study", "title: ''", "mine.yaml:2: title: pages are headed with it: say it in words"),
        ("contrasts:", "findings: [7_neck]\ncontrasts:", "mine.yaml:8: findings.0: no contrast tests '7_neck'"),
        ("contrasts:", "claims: {mine: it is good}\ncontrasts:", "mine.yaml:8: claims.mine: no contrast tests 'mine'"),
        ("  small: {", '  "": {about: nothing}\n  small: {', "mine.yaml:6: arms: an arm needs a name"),
        ("about: half the margin}", "about: half", "mine.yaml:8: not valid YAML"),
        ("title: My study", "title: My study\ntitle: Twice", "mine.yaml:3: 'title' is given twice"),
        ("title: My study", "title: &a My study\nnote: *a", "aliases are not supported"),
        ("study: mine", "study: Not A Name", "mine.yaml:1: study:"),
        ("study: mine\n", "", "mine.yaml:1: study: this field is missing"),
        ("title: My", "titel: My", "mine.yaml:2: titel: unknown field (did you mean 'title'?)"),
        ("better: small", "beter: small", "9: contrasts.0.beter: unknown field (did you mean 'better'?)"),
        ("study: mine", "study: Mine", "1: study: expected lower-case letters, digits and hyphens, got 'Mine'"),
        ("study: mine", "study: no", "mine.yaml:1: study: YAML takes False for no text: quote it"),
        ("12_margin_vs_softmax", "12", "mine.yaml:9: contrasts.0.finding: YAML takes 12 for no text: quote it"),
        ("12_margin_vs_softmax", "'12'", "unknown finding '12' (did you mean '12_margin_vs_softmax'?)"),
        ("smallest_effect: 0.02", "smallest_effect: 2%", "unable to parse string as a number, got '2%'"),
        (
            "smallest_effect: 0.02",
            "kind: superior",
            "or 'cost_ratio', got 'superior' (did you mean 'superiority'?)",
        ),
        ("loss.margin: 0.2", "seed: 3", "mine.yaml:7: arms.small.seed: unknown field: --seeds says it"),
        ("study: mine", "study: index", "mine.yaml:1: study: no study can have this name"),
        ("study: mine", "study: calibration", "no study can have this name"),
        ("study: mine", "study: con", "no study can have this name"),
        ("study: mine", "study: ../mine", "mine.yaml:1: study:"),
        ("study: mine", f"study: {'m' * 65}", "mine.yaml:1: study:"),
        ("loss.margin: 0.2", "data.images: {scale: 1/0}", "expected a value or {scale"),
        ("loss.margin: 0.2", "data.images: {scale: 1e999999999}", "expected a value or {scale"),
        ("loss.margin: 0.2", "data.images: {scale: 10000000}", "expected a value or {scale"),
        ("loss.margin: 0.2", "eval.shifted: {scale: 2}", "only whole-number fields can be scaled"),
        ("loss.margin: 0.2", "set: 3", "`set` is a mapping"),
        ("loss.margin: 0.2", "model.backbone: hf-hub:evil/x", "mine.yaml:7: arms.small.model.backbone"),
        ("loss.margin: 0.2", 'model.pretrained: "a\\0b"', "arms.small"),
        ("loss.margin: 0.2", "optim.samples: 9" + "0" * 30, "mine.yaml:7: arms.small.optim.samples"),
        ("loss.margin: 0.2", "? [a]\n: b", "mine.yaml"),
        ("smallest_effect: 0.02", "smallest_effect: .inf", "mine.yaml:9: .inf is no finite number"),
        *(
            ("title: My study", f"title: My study\nconditions: {{{given}}}", f"mine.yaml:3: conditions{expected}")
            for given, expected in {
                "optim.smaples: [1, 2]": ".optim.smaples: no field that conditions can vary (did you mean",
                "seed: [1, 2]": ".seed: no field that conditions can vary",
                "optim.samples: [1000]": ".optim.samples: expected a list of at least two values",
                "optim.samples: [1000, -1]": ".optim.samples: ",
                "loss.margin: [{scale: 1/2}, 0.3]": ".loss.margin: only whole-number fields can be scaled",
                "optim.samples: 1000": ".optim.samples: ",
            }.items()
        ),
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


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_other_encodings_are_told_with_their_line(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "mine.yaml").write_bytes("study: mine\ntitle: é\n".encode(encoding))
    with pytest.raises(UserError, match=r"mine\.yaml:[12]: .*(not UTF-8|not valid YAML)"):
        load_study(str(tmp_path / "mine.yaml"))


def test_a_file_of_many_letters_is_not_cut(tmp_path: Path) -> None:
    """The limit is of bytes: 150,000 letters of two bytes each are over it, and are not read in part."""
    assert "over 256 KiB" in load(tmp_path, GOOD + "# " + "é" * 150_000)


def test_two_files_for_one_study(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(GOOD)
    with pytest.raises(UserError, match=r"b\.yaml: .*a\.yaml declares a study 'mine' too"):
        load_studies([str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")])
    assert len(load_studies([str(tmp_path / "a.yaml"), str(tmp_path / "a.yaml")])) == 1


def test_two_studies_with_a_claim_of_one_name(tmp_path: Path) -> None:
    """They would be judged as one claim, of which one study may be right and the other wrong."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(CLAIMING.replace("study: mine", f"study: {name}"))
    with pytest.raises(UserError, match=r"two\.yaml: .*one\.yaml has a claim '\w+' too: rename one"):
        load_studies([str(tmp_path / "one.yaml"), str(tmp_path / "two.yaml")])


@pytest.mark.parametrize("name", ["x" * 5000 + ".yaml", "a/" * 3000, "a\0.yaml", "a\nb.yaml"])
def test_names_that_no_file_can_have(name: str) -> None:
    with pytest.raises(UserError, match="does not exist"):
        load_study(name)


def test_binary_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not UTF-8"):
        load_study(str(tmp_path / "binary.yaml"))
    with pytest.raises(UserError, match="does not exist"):
        load_study(str(tmp_path / "nowhere.yaml"))
