"""Splits: no identity on both sides, the same split for the same content."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.config_sections import DataConfig, EvalConfig
from core.data.corpus import Corpus, RealCaptures, _for_validation, _of_folders, _split, corpus, trainable
from core.data.corpus_images import captures, pool_images
from core.data.folder import decode, scan, squash
from core.data.scans import ImageFile, Scan
from core.data.sources import FolderDocuments
from core.errors import UserError
from tests.conftest import make_images

SMALL = EvalConfig(identities=5, validation_identities=4, captures=2)


def digests(part: object) -> set[str]:
    assert isinstance(part, FolderDocuments)
    return {file.digest for file in part.files}


def of_folder(folder: Path, cache: Path, evaluation: EvalConfig = SMALL) -> Corpus:
    return corpus(DataConfig(source=(str(folder),)), evaluation, cache)


def test_folder_split_is_disjoint_and_complete(image_folder: Path, tmp_path: Path) -> None:
    found = of_folder(image_folder, tmp_path, EvalConfig(captures=2))
    train, validation, test = digests(found.train), digests(found.validation), digests(found.test)
    assert (len(train), len(validation), len(test)) == (24, 6, 10)
    assert len(train | validation | test) == 40


def test_too_few_images_say_how_many_are_needed(tmp_path: Path) -> None:
    make_images(tmp_path / "few", 5)
    with pytest.raises(UserError, match="at least 16 are needed"):
        of_folder(tmp_path / "few", tmp_path)


def test_capture_arrays(image_folder: Path, tmp_path: Path) -> None:
    found = of_folder(image_folder, tmp_path)
    made = captures(found.test, found.captures, 32, tmp_path)
    assert made.images.shape == (10, 32, 32, 3)
    assert made.identities.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    (tmp_path / "elsewhere").mkdir()
    again = captures(found.test, found.captures, 32, tmp_path / "elsewhere")
    assert np.array_equal(made.images, again.images)
    assert not np.array_equal(made.images[0], made.images[1])


def test_pool_images_are_the_files_in_their_order(image_folder: Path, tmp_path: Path) -> None:
    found = of_folder(image_folder, tmp_path)
    assert isinstance(found.train, FolderDocuments)
    files = [squash(decode(file.path), 32) for file in found.train.files]
    assert len(files) == 31
    assert np.array_equal(pool_images(found, 32, tmp_path), files)


@pytest.mark.parametrize("shifted", [False, True])
def test_simulated_captures_look_like_the_document_that_they_are_labelled_as(
    image_folder: Path, tmp_path: Path, shifted: bool
) -> None:
    documents = of_folder(image_folder, tmp_path).test
    assert isinstance(documents, FolderDocuments)
    made = captures(documents, 3, 32, tmp_path, severity=0.05, shifted=shifted)
    clean = np.stack([documents.clean(index, 32) for index in range(5)])
    near = np.corrcoef(made.images.reshape(15, -1), clean.reshape(5, -1))[:15, 15:]
    assert near.argmax(1).tolist() == made.identities.tolist()


def test_damaged_cache_is_made_anew(image_folder: Path, tmp_path: Path) -> None:
    found = of_folder(image_folder, tmp_path)
    first = np.array(pool_images(found, 32, tmp_path))
    stored = next(tmp_path.glob("pool-*.npy"))
    data = bytearray(stored.read_bytes())
    data[-1] ^= 0xFF
    stored.write_bytes(data)
    assert np.array_equal(pool_images(found, 32, tmp_path), first)


def test_identities_whose_names_are_no_text(tmp_path: Path) -> None:
    """Names in another encoding, as the operating system gives them."""
    for identity in range(8):
        make_images(tmp_path / "eval" / f"caf\udce9 {identity}", 2, seed=identity)
    found = corpus(DataConfig(), EvalConfig(source=(str(tmp_path / "eval"),)), tmp_path)
    assert isinstance(found.test, RealCaptures)
    assert len(found.test.files) == 12


def test_own_captures_by_identity(image_folder: Path, tmp_path: Path) -> None:
    for identity in range(12):
        make_images(tmp_path / "eval" / f"doc {identity}", 3, seed=100 + identity)
    found = of_folder(image_folder, tmp_path, EvalConfig(source=(str(tmp_path / "eval"),)))
    assert isinstance(found.test, RealCaptures)
    assert isinstance(found.validation, RealCaptures)
    test, validation = {f.digest for f, _ in found.test.files}, {f.digest for f, _ in found.validation.files}
    assert not test & validation
    assert (len(test), len(validation)) == (27, 9)
    assert len(found.train) == 40  # nothing is held out of the training images then
    folders = []
    for part in (found.validation, found.test):
        shown = captures(part, 5, 32, tmp_path)
        of: dict[int, set[Path]] = {}
        for image, identity, (file, _) in zip(shown.images, shown.identities, part.files, strict=True):
            assert np.array_equal(image, squash(decode(file.path), 32))
            of.setdefault(int(identity), set()).add(file.path.parent)
        assert all(len(parents) == 1 for parents in of.values())
        folders += [parent for parents in of.values() for parent in parents]
    assert len(folders) == len(set(folders)) == 12  # an identity is a folder, on one side


@pytest.mark.parametrize("flat", [False, True])
def test_what_is_judged_on_is_not_trained_on(tmp_path: Path, flat: bool) -> None:
    """`--data` is searched recursively, so photographs to judge on may lie in it."""
    documents, photos = tmp_path / "documents", tmp_path / "documents" / "photos"
    make_images(documents, 20)
    for identity in range(8):
        make_images(photos if flat else photos / str(identity), 8 if flat else 3, seed=50 + (0 if flat else identity))
    own = EvalConfig(source=(str(photos),))
    found = of_folder(documents, tmp_path, own)
    if flat:
        judged = digests(found.validation) | digests(found.test)
    else:
        parts = (found.validation, found.test)
        judged = {file.digest for part in parts if isinstance(part, RealCaptures) for file, _ in part.files}
    assert (len(judged), len(found.train)) == (8 if flat else 24, 20)
    assert not digests(found.train) & judged
    assert f"20 images of documents; {len(judged)} left out, as --eval has them" in found.notes["train"]
    with pytest.raises(UserError, match=r"all \d+ images of .*photos are judged on, as --eval has them too"):
        of_folder(photos, tmp_path, own)


def test_what_is_judged_on_is_not_trained_on_from_another_file_of_the_same_pixels(tmp_path: Path) -> None:
    documents, photos = tmp_path / "documents", tmp_path / "photos"
    kept = make_images(documents, 20)
    for number, judged in enumerate(make_images(photos, 8, seed=50)):
        with Image.open(judged) as image:  # the same pixels in other bytes, and of these two --data would keep one
            image.save(documents / f"packed {number}.png", compress_level=1)
            image.save(documents / f"packed again {number}.png", compress_level=9, optimize=True)
    found = of_folder(documents, tmp_path, EvalConfig(source=(str(photos),)))
    assert isinstance(found.train, FolderDocuments)
    assert {file.path for file in found.train.files} == set(kept)
    assert "20 images of documents; 8 left out, as --eval has them" in found.notes["train"]


def test_what_is_judged_on_is_known_by_its_bytes_where_a_decoder_gives_other_pixels(tmp_path: Path) -> None:
    """Scans are remembered: one may be older than the library that reads images."""
    make_images(tmp_path / "documents", 20)
    for path in make_images(tmp_path / "photos", 8, seed=50):
        shutil.copy(path, tmp_path / "documents" / f"copy of {path.name}")
    own = EvalConfig(source=(str(tmp_path / "photos"),))
    found = scan([str(tmp_path / "documents")], tmp_path)
    other = Scan(tuple(replace(image, pixels=image.pixels[::-1]) for image in found.images), ())
    held = of_folder(tmp_path / "documents", tmp_path, own)
    kept, _, left_out = _of_folders(other, [], own, (held.validation, held.test))
    assert (len(kept), left_out) == (20, 8)


def test_weights_are_made_of_what_runs_would_train_on(image_folder: Path, tmp_path: Path) -> None:
    def used(folder: Path, *evaluation: Path) -> set[str]:
        found = trainable(scan([str(folder)], tmp_path), [str(one) for one in evaluation], tmp_path)
        return {file.digest for file in found.images}

    assert used(image_folder) == digests(of_folder(image_folder, tmp_path, EvalConfig()).train)
    make_images(tmp_path / "few", 5)
    assert len(used(tmp_path / "few")) == 5
    make_images(tmp_path / "photos", 8, seed=50)
    for path in (tmp_path / "photos").iterdir():
        shutil.copy(path, image_folder / f"copy of {path.name}")
    own = of_folder(image_folder, tmp_path, EvalConfig(source=(str(tmp_path / "photos"),)))
    assert used(image_folder, tmp_path / "photos") == digests(own.train)
    assert len(used(image_folder, tmp_path / "photos")) == 40


@pytest.mark.parametrize("identities", [10, 1000, 5000])
def test_weights_have_seen_nothing_that_any_number_of_identities_holds_out(identities: int) -> None:
    images = tuple(ImageFile(Path(f"{number:05d}"), f"{number:05d}", f"p{number:05d}") for number in range(12_000))
    found = Scan(images, ())
    evaluation = EvalConfig(identities=identities, validation_identities=identities)
    train, validation, test = _split(found, evaluation, [])
    assert {*trainable(found, [], Path()).images} <= {*train}
    assert not {*trainable(found, [], Path()).images} & {*validation, *test}


@pytest.mark.parametrize(
    ("several", "identities", "judged", "cut"),
    [
        (4, 4, None, 2),
        (40, 40, None, 10),  # a quarter: no share of them supports any rate
        (90, 90, None, 12),  # 78 support 1e-2
        (104, 104, None, 26),  # as many are left by a quarter
        (86, 86, None, 8),  # the fewest that validation keeps
        (85, 85, None, 21),
        (20, 90, None, 5),  # identities of one capture are judged on anyway
        (1000, 1000, 1000, 224),  # 776 support 1e-4
        (1000, 1000, 500, 250),  # no more than 500 are judged on, whatever is left
    ],
)
def test_validation_takes_no_more_than_leaves_the_lowest_rate(
    several: int, identities: int, judged: int | None, cut: int
) -> None:
    assert _for_validation(several // 10, several // 4, identities, judged) == cut


def test_what_validation_leaves_is_judged_on(tmp_path: Path) -> None:
    for identity in range(90):
        make_images(tmp_path / "eval" / str(identity), 2, size=(16, 16), seed=identity)
    found = corpus(DataConfig(), EvalConfig(source=(str(tmp_path / "eval"),)), tmp_path)
    assert found.notes["test"].startswith("78 identities, 156 captures of the user's own (supports FPR 1e-2")
    flat = corpus(DataConfig(), EvalConfig(source=tuple(str(tmp_path / "eval" / str(n)) for n in range(45))), tmp_path)
    assert flat.notes["test"].startswith("78 held-out images")


def test_flat_eval_folder_is_simulated(image_folder: Path, tmp_path: Path) -> None:
    make_images(tmp_path / "flat", 8, seed=9)
    found = of_folder(image_folder, tmp_path, EvalConfig(source=(str(tmp_path / "flat"),), captures=2))
    assert isinstance(found.test, FolderDocuments)
    assert (len(found.validation), len(found.test)) == (2, 6)


def test_identities_with_single_captures_are_refused(image_folder: Path, tmp_path: Path) -> None:
    for identity in range(5):
        make_images(tmp_path / "eval" / str(identity), 1, seed=identity)
    with pytest.raises(UserError, match="two or more captures"):
        of_folder(image_folder, tmp_path, EvalConfig(source=(str(tmp_path / "eval"),)))


def test_procedural_splits_have_documents_of_their_own(tmp_path: Path) -> None:
    found = corpus(DataConfig(pool=3, images=3), SMALL, tmp_path)
    images = [part.clean(0, 64) for part in (found.train, found.validation, found.test)]  # type: ignore[union-attr]
    assert not np.array_equal(images[0], images[1])
    assert not np.array_equal(images[1], images[2])


def test_fingerprint_follows_content(tmp_path: Path) -> None:
    paths = make_images(tmp_path / "a", 20)
    before = of_folder(tmp_path / "a", tmp_path).fingerprints()
    paths[0].unlink()
    assert of_folder(tmp_path / "a", tmp_path).fingerprints() != before
