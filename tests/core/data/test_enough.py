"""How many images a verdict takes, by the rule of the split itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from core.config_sections import DataConfig, EvalConfig
from core.data.corpus import Corpus, RealCaptures, _split, corpus
from core.data.enough import NEEDED, why_no_verdict
from core.data.scans import ImageFile, Scan
from core.data.sources import FolderDocuments
from tests.conftest import make_images


def files(count: int) -> tuple[ImageFile, ...]:
    return tuple(ImageFile(Path(f"{number:05d}"), f"{number:05d}", f"p{number:05d}") for number in range(count))


def split(count: int, evaluation: EvalConfig) -> Corpus:
    """Of so many images without `--eval`."""
    train, validation, test = (FolderDocuments(part) for part in _split(Scan(files(count), ()), evaluation, []))
    return Corpus(train, validation, test, 5, 1.0, {})


@pytest.mark.parametrize("evaluation", [EvalConfig(), EvalConfig(identities=NEEDED, validation_identities=500)])
def test_of_a_folder_it_takes_the_fewest_whose_test_part_is_enough(evaluation: EvalConfig) -> None:
    fewest = next(count for count in range(16, 1000) if len(split(count, evaluation).test) >= 78)
    assert fewest == 312  # as README.md says
    assert why_no_verdict(split(120, evaluation), evaluation) == (
        "no verdict can be reached: it takes 312 images, there are 120"
    )
    assert "it takes 312 images, there are 311" in why_no_verdict(split(311, evaluation), evaluation)
    assert why_no_verdict(split(312, evaluation), evaluation) == ""


def test_fewer_identities_than_it_takes_are_not_mended_by_more_images() -> None:
    evaluation = EvalConfig(identities=77)
    told = "no verdict can be reached: it takes 78 identities to judge on, eval.identities is 77"
    assert [why_no_verdict(split(count, evaluation), evaluation) for count in (120, 5000)] == [told, told]


@pytest.mark.parametrize("captures", [1, 2])
def test_of_own_images_to_judge_on_it_takes_what_validation_leaves_enough_of(tmp_path: Path, captures: int) -> None:
    def add(first: int, last: int) -> None:
        for number in range(first, last):
            folder = tmp_path / "eval" / (str(number) if captures > 1 else "")
            made = make_images(tmp_path / "new" / str(number), captures, size=(16, 16), seed=number)
            folder.mkdir(parents=True, exist_ok=True)
            for path in made:
                path.rename(folder / f"{number} {path.name}")

    def found() -> tuple[int, str]:
        evaluation = EvalConfig(source=(str(tmp_path / "eval"),))
        made = corpus(DataConfig(), evaluation, tmp_path)
        test = made.test
        judged = len({one for _, one in test.files}) if isinstance(test, RealCaptures) else len(test)
        return judged, why_no_verdict(made, evaluation)

    what = "identities" if captures > 1 else "images"
    add(0, 20)
    assert found() == (15, f"no verdict can be reached: it takes 86 {what}, there are 20")
    add(20, 85)
    assert found() == (64, f"no verdict can be reached: it takes 86 {what}, there are 85")
    add(85, 86)
    assert found() == (78, "")


def test_identities_of_one_capture_are_judged_on_and_count() -> None:
    """As many of those that are there as there are: only those with several can be for validation."""

    def captured(identities: int, each: int) -> list[tuple[ImageFile, int]]:
        return [(file, number % identities) for number, file in enumerate(files(identities * each))]

    made = split(16, EvalConfig())
    singles = [(file, 100 + identity) for file, identity in captured(60, 1)]
    own = replace(made, validation=RealCaptures(tuple(captured(2, 2))), test=RealCaptures((*captured(6, 2), *singles)))
    assert why_no_verdict(own, EvalConfig(source=("x",))) == (
        "no verdict can be reached: it takes 80 identities, there are 68"
    )


def test_nothing_is_said_of_procedural_documents(tmp_path: Path) -> None:
    evaluation = EvalConfig(identities=8)
    assert why_no_verdict(corpus(DataConfig(), evaluation, tmp_path), evaluation) == ""
