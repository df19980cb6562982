"""What one run trains and is judged on: a pool of images, validation captures, test captures.

No identity is ever trained on: what `--eval` judges on is left out of `--data`.
Held-out identities of a folder are chosen by the digest of their
content, so the split does not depend on file names or on their order.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.config_sections import DataConfig, EvalConfig
from core.data import folder
from core.data.scans import ImageFile, Scan, contents_of
from core.data.sources import Documents, FolderDocuments, ProceduralDocuments
from core.errors import UserError
from core.support import support_note, supported_fpr

TEST_SHARE = 0.25
VALIDATION_SHARE = 0.15
MIN_FOLDER_IMAGES = 16


@dataclass(frozen=True)
class RealCaptures:
    """Photographs that the user has: files with the identity that each shows."""

    files: tuple[tuple[ImageFile, int], ...]

    @property
    def fingerprint(self) -> str:
        joined = "\n".join(f"{identity} {file.digest}" for file, identity in self.files)
        return f"captures:{hashlib.sha256(joined.encode()).hexdigest()[:16]}"


HeldOut = tuple["Documents | RealCaptures", "Documents | RealCaptures"]  # validation, test


@dataclass(frozen=True)
class Corpus:
    """A corpus before any pixel is read: cheap to make, enough to plan with."""

    train: Documents
    validation: Documents | RealCaptures
    test: Documents | RealCaptures
    captures: int
    severity: float
    notes: dict[str, str]
    shifted: bool = False
    skipped: int = 0

    def fingerprints(self) -> dict[str, str]:
        prints = {
            "train": self.train.fingerprint,
            "validation": held_out_fingerprint(self.validation),
            "test": held_out_fingerprint(self.test),
        }
        # Left out where it is not read, so that keys of runs without it stay as they were.
        return prints | ({"shifted": held_out_fingerprint(self.test, shifted=True)} if self.shifted else {})

    def capture_count(self, held_out: Documents | RealCaptures) -> int:
        """How many captures there are of a part: the user's own, or those that are simulated."""
        return len(held_out.files) if isinstance(held_out, RealCaptures) else len(held_out) * self.captures

    def judged_part(self, judged: str) -> Documents | RealCaptures:
        """What a finished run is judged on, by `eval.judged`."""
        return self.validation if judged == "validation" else self.test

    def judged_count(self, judged: str) -> int:
        """As `capture_count`, of the part that a finished run is judged on (`eval.judged`), shifted ones among them."""
        count = self.capture_count(self.judged_part(judged))
        return (2 if self.shifted else 1) * count


def held_out_fingerprint(held_out: Documents | RealCaptures, shifted: bool = False) -> str:
    """What captures of a part are drawn from and how, as keys of runs and of the cache have it."""
    from core.data.capture import CAPTURE_VERSION
    from core.data.shifted import SHIFTED_VERSION

    if isinstance(held_out, RealCaptures):
        return held_out.fingerprint
    return f"{held_out.fingerprint}:captured-{CAPTURE_VERSION}" + (f":shifted-{SHIFTED_VERSION}" if shifted else "")


def corpus(data: DataConfig, evaluation: EvalConfig, cache_folder: Path) -> Corpus:
    """Find the documents of a configuration and split them.

    Raises:
        UserError: folders that are missing, empty or too small, unreadable files under `strict`.
    """
    held: HeldOut | None = None
    if evaluation.source != ("held-out",):
        held = _own_evaluation(evaluation, cache_folder, data.strict)
    skipped = 0
    if data.source == ("procedural",):
        train: Documents = ProceduralDocuments("train", data.pool)
        held = held or (
            ProceduralDocuments("validation", evaluation.validation_identities),
            ProceduralDocuments("test", evaluation.identities),
        )
        note = f"{data.pool} procedural documents"
    else:
        found = folder.scan(data.source, cache_folder, strict=data.strict)
        train, held, left_out = _of_folders(found, data.source, evaluation, held)
        skipped, where = len(found.skipped), ", ".join(Path(source).absolute().name or source for source in data.source)
        note = f"{len(train)} images of {where}" + (f"; {left_out} left out, as --eval has them" if left_out else "")
        note += f"; {found.skipped_note()}" if skipped else ""
    validation, test = held
    notes = {"train": note, "test": _describe(test, evaluation), "validation": _describe(validation, evaluation)}
    shifted = evaluation.shifted and not isinstance(test, RealCaptures)
    return Corpus(train, validation, test, evaluation.captures, evaluation.severity, notes, shifted, skipped)


def _of_folders(
    found: Scan, sources: Sequence[str], evaluation: EvalConfig, held: HeldOut | None
) -> tuple[FolderDocuments, HeldOut, int]:
    """Training images, what is held out, and how many images are left out as they are in `held`, `--eval`'s own."""
    if held is None:
        train, validation, test = (FolderDocuments(part) for part in _split(found, evaluation, sources))
        return train, (validation, test), 0
    kept = _without(found, held)
    if not kept:
        raise UserError(
            f"--data: all {len(found.images)} images of {', '.join(sources)} are judged on, as --eval has them too: "
            "name others to train on"
        )
    return FolderDocuments(kept), held, len(found.images) - len(kept)


def _without(found: Scan, held: HeldOut) -> tuple[ImageFile, ...]:
    """The images of a scan that are not judged on: the same picture may lie in `--data` in other bytes."""
    judged = contents_of(file for part in held for file in _files(part))
    return tuple(image for image in found.images if not image.is_in(judged))


def _files(part: Documents | RealCaptures) -> Sequence[ImageFile]:
    if isinstance(part, RealCaptures):
        return [file for file, _ in part.files]
    return part.files if isinstance(part, FolderDocuments) else ()


def trainable(found: Scan, evaluation: Sequence[str], cache_folder: Path) -> Scan:
    """A scan without the images that runs of its folders are judged on, which weights must not have seen.

    Args:
        evaluation: the folders of `--eval`. Without, it is the largest part that runs can hold out, whatever number of
            identities they ask for.
    """
    if evaluation:
        own = _own_evaluation(EvalConfig(source=tuple(evaluation)), cache_folder, False)
        return Scan(_without(found, own), found.skipped)
    total = len(found.images)
    if total < MIN_FOLDER_IMAGES:  # nothing can be held out of so few, so they are only trained on
        return found
    return Scan(found.images[int(total * TEST_SHARE) + int(total * VALIDATION_SHARE) :], found.skipped)


def corpus_of_folders(folders: Sequence[str], cache_folder: Path) -> Corpus:
    """The corpus that runs with `--data FOLDER...` and otherwise default settings are made of."""
    return corpus(DataConfig(source=tuple(folders)), EvalConfig(), cache_folder)


def _describe(held_out: Documents | RealCaptures, evaluation: EvalConfig) -> str:
    if isinstance(held_out, RealCaptures):
        identities = len({identity for _, identity in held_out.files})
        return f"{identities} identities, {len(held_out.files)} captures of the user's own ({support_note(identities)})"
    kind = "procedural documents" if isinstance(held_out, ProceduralDocuments) else "held-out images"
    identities = len(held_out)
    return f"{identities} {kind} x {evaluation.captures} simulated captures ({support_note(identities)})"


def _split(found: Scan, evaluation: EvalConfig, sources: Sequence[str]) -> tuple[Sequence[ImageFile], ...]:
    """(train, validation, test): the scan is in the order of content digests, hence already shuffled."""
    total = len(found.images)
    if total < MIN_FOLDER_IMAGES:
        raise UserError(
            f"--data: {total} readable images in {', '.join(sources)}, at least {MIN_FOLDER_IMAGES} are needed to "
            "train on some and judge on others: add images, or give the identities to judge on with --eval"
        )
    validation, test = held_out_sizes(total, evaluation)
    return found.images[test + validation :], found.images[test : test + validation], found.images[:test]


def held_out_sizes(total: int, evaluation: EvalConfig) -> tuple[int, int]:
    """How many of so many images are held out without `--eval`: (validation, test)."""
    test = min(evaluation.identities, int(total * TEST_SHARE))
    return min(evaluation.validation_identities, int(total * VALIDATION_SHARE)), test


def _own_evaluation(
    evaluation: EvalConfig, cache_folder: Path, strict: bool
) -> tuple[Documents | RealCaptures, Documents | RealCaptures]:
    """(validation, test) from `--eval`: `DIR/<identity>/<capture>`, or flat images to simulate captures of."""
    found = folder.scan(evaluation.source, cache_folder, option="--eval", strict=strict)
    groups: dict[str, list[ImageFile]] = {}
    flat = False
    roots = [Path(source).absolute() for source in evaluation.source]
    for image in found.images:
        parent = image.path.absolute().parent
        flat = flat or parent in roots
        groups.setdefault(str(parent), []).append(image)
    if flat:
        documents = found.images
        if len(documents) < 4:
            raise UserError(f"--eval: {len(documents)} readable images, at least 4 are needed")
        cut = flat_validation(len(documents), evaluation)
        return FolderDocuments(documents[:cut]), FolderDocuments(documents[cut : cut + evaluation.identities])
    names = sorted(groups, key=lambda name: hashlib.sha256(os.fsencode(Path(name).name)).digest())
    several = [name for name in names if len(groups[name]) > 1]
    if len(several) < 4:
        raise UserError(
            f"--eval: {len(several)} identities with two or more captures, at least 4 are needed "
            "(one folder for each identity, its captures inside)"
        )
    cut = captured_validation(len(several), len(names))
    held_out = set(several[:cut])
    parts = (several[:cut], [name for name in names if name not in held_out])
    made = [tuple((file, i) for i, name in enumerate(part) for file in groups[name]) for part in parts]
    return RealCaptures(made[0]), RealCaptures(made[1])


def flat_validation(count: int, evaluation: EvalConfig) -> int:
    """How many of so many flat images of `--eval` are for validation."""
    wanted = evaluation.validation_identities
    return _for_validation(min(wanted, count // 10), min(wanted, count // 4), count, evaluation.identities)


def captured_validation(several: int, identities: int) -> int:
    """How many identities of `--eval` are for validation, where so many of them have several captures."""
    return _for_validation(several // 10, several // 4, identities)


def _for_validation(least: int, most: int, identities: int, judged: int | None = None) -> int:
    """How many identities of `--eval` are for validation: `most`, or fewer where the others then support a lower rate.

    Args:
        judged: as many of the others are judged on, None for all.
    """

    def rate(cut: int) -> float:
        others = identities - cut
        return supported_fpr(others if judged is None else min(others, judged)) or 1.0

    return min(range(max(2, most), max(2, least) - 1, -1), key=rate)
