"""Identities to judge on that look like an image to train on: counted for every run, and too many forbid a verdict."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from ablations.judged_alike import judged_alike
from ablations.own_images import _notes as folder_notes_of_this_process
from core import inputs
from core.config import RunConfig
from core.data.sources import FolderDocuments
from tests.ablations.conftest import CLAIMING, TINY, CommandLine
from tests.conftest import make_images

_LOOKS = "preset: looked\nbase: smoke\nlooks: {2: 1.0}\n"


def copies(paths: list[Path], folder: Path) -> list[Path]:
    """The images at another size, as a second scan of the same documents has them."""
    folder.mkdir(parents=True, exist_ok=True)
    made = [folder / f"again {path.stem}.jpg" for path in paths]
    for path, to in zip(paths, made, strict=True):
        with Image.open(path) as image:
            image.resize((image.width * 2, image.height * 2), Image.Resampling.NEAREST).save(to, quality=90)
    return made


def config(root: Path, **sections: object) -> RunConfig:
    given = {"data.source": (str(root / "scans"),), "eval.identities": 8, "eval.validation_identities": 4}
    return RunConfig().with_overrides({**given, **sections})


def test_procedural_documents_look_like_no_image_of_a_user(tmp_path: Path) -> None:
    make_images(tmp_path / "scans", 20)
    assert judged_alike(RunConfig()) is None
    assert judged_alike(RunConfig().with_overrides({"eval.source": (str(tmp_path / "scans"),)})) is None


def test_of_flat_documents_each_is_an_identity(tmp_path: Path) -> None:
    paths = make_images(tmp_path / "scans", 20)
    make_images(tmp_path / "judged", 6, seed=40)
    found = judged_alike(config(tmp_path, **{"eval.source": (str(tmp_path / "judged"),)}))
    assert found is not None
    assert (found.alike, found.identities) == (0, 4)  # two are for validation
    copies(paths[:6], tmp_path / "both")
    found = judged_alike(config(tmp_path, **{"eval.source": (str(tmp_path / "both"),)}))
    assert found is not None
    assert (found.alike, found.identities) == (4, 4)
    found = judged_alike(config(tmp_path, **{"eval.source": (str(tmp_path / "both"),), "eval.judged": "validation"}))
    assert found is not None
    assert (found.alike, found.identities) == (2, 2)


def test_of_captures_an_identity_counts_once(tmp_path: Path) -> None:
    paths = make_images(tmp_path / "scans", 20)
    for number in range(6):
        make_images(tmp_path / f"people/{number}", 2, seed=50 + number)
        copies(paths[3 * number : 3 * number + 3], tmp_path / f"people/{number}")
    found = judged_alike(config(tmp_path, **{"eval.source": (str(tmp_path / "people"),)}))
    assert found is not None
    assert (found.alike, found.identities) == (4, 4)


def test_what_is_held_out_of_a_folder_is_held_to_the_rest_of_it(tmp_path: Path) -> None:
    paths = make_images(tmp_path / "scans", 40)
    found = judged_alike(config(tmp_path))
    assert found is not None
    assert (found.alike, found.identities) == (0, 8)
    copies(paths, tmp_path / "scans/again")
    inputs._corpus.cache_clear()  # a later process
    made = inputs.corpus_of(config(tmp_path))
    assert isinstance(made.train, FolderDocuments)
    assert isinstance(made.test, FolderDocuments)
    trained = {file.path.stem.removeprefix("again ") for file in made.train.files}
    expected = sum(file.path.stem.removeprefix("again ") in trained for file in made.test.files)
    assert expected > 3
    found = judged_alike(config(tmp_path))
    assert found is not None
    assert (found.alike, found.identities) == (expected, 8)


@pytest.mark.parametrize("leaking", [True, False])
def test_a_verdict_is_not_reached_on_what_looks_like_the_images_trained_on(
    cli: CommandLine, tmp_path: Path, leaking: bool
) -> None:
    paths = make_images(tmp_path / "scans", 24)
    copies(paths if leaking else make_images(tmp_path / "others", 24, seed=9), tmp_path / "judged")
    Path("mine.yaml").write_text(CLAIMING)
    Path("looked.yaml").write_text(_LOOKS)
    folder_notes_of_this_process.cache_clear()
    inputs._corpus.cache_clear()
    words = ["mine.yaml", *TINY, "--data", "scans", "--eval", "judged", "--no-control"]
    words[words.index("smoke")] = "looked.yaml"
    assert cli("run", *words, "--seeds", "2", "--out", "report") == 0
    page = Path("report/index.md").read_text()
    told = "8 of 8 test identities look like an image to train on"
    assert (told in cli.err) is leaking  # before anything is trained
    row = next(line for line in page.splitlines() if line.startswith("| lower |"))
    assert (f"{told}: what is judged may be what was trained on" in row) is leaking
    assert (r"\`data check EVAL --against DATA\` lists them" in row) is leaking
    line = next(line for line in page.splitlines() if line.startswith("- Test set:"))
    assert ("none of whose images was trained on" in line) is not leaking
    told = "8 identities, none of whose files was trained on, but 8 look like an image that may have been;"
    assert (told in line) is leaking
