"""What one run trains and is judged on: a pool of images, validation captures, test captures.

No identity is ever trained on. Held-out identities of a folder are chosen by the digest of their
content, so the split does not depend on file names or on their order.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.config_sections import DataConfig, EvalConfig
from core.data import cache, folder
from core.data.folder import ImageFile, Scan
from core.data.rendering import Progress
from core.data.sources import Documents, FolderDocuments, ProceduralDocuments
from core.errors import UserError
from core.support import support_note

TEST_SHARE = 0.25
VALIDATION_SHARE = 0.15
MIN_FOLDER_IMAGES = 16
_CAPTURE_SEED = 7_001
_SHIFTED_SEED = 7_002


@dataclass(frozen=True)
class Captures:
    """Images (M, S, S, 3) uint8 of held-out identities (M,) int64."""

    images: np.ndarray
    identities: np.ndarray

    @property
    def identity_count(self) -> int:
        return len(np.unique(self.identities))


@dataclass(frozen=True)
class RealCaptures:
    """Photographs that the user has: files with the identity that each shows."""

    files: tuple[tuple[ImageFile, int], ...]

    @property
    def fingerprint(self) -> str:
        joined = "\n".join(f"{identity} {file.digest}" for file, identity in self.files)
        return f"captures:{hashlib.sha256(joined.encode()).hexdigest()[:16]}"


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
            "validation": _held_out_fingerprint(self.validation),
            "test": _held_out_fingerprint(self.test),
        }
        # Left out where it is not read, so that keys of runs without it stay as they were.
        return prints | ({"shifted": _held_out_fingerprint(self.test, shifted=True)} if self.shifted else {})


def _held_out_fingerprint(held_out: Documents | RealCaptures, shifted: bool = False) -> str:
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
    own_eval = evaluation.source != ("held-out",)
    validation: Documents | RealCaptures
    test: Documents | RealCaptures
    if data.source == ("procedural",):
        train: Documents = ProceduralDocuments("train", data.pool)
        validation = ProceduralDocuments("validation", evaluation.validation_identities)
        test = ProceduralDocuments("test", evaluation.identities)
        skipped, note = 0, f"{data.pool} procedural documents"
    else:
        found = folder.scan(data.source, cache_folder, strict=data.strict)
        parts = (found.images, (), ()) if own_eval else _split(found, evaluation, data.source)
        train, validation, test = (FolderDocuments(part) for part in parts)
        skipped, where = len(found.skipped), ", ".join(Path(source).name for source in data.source)
        note = f"{len(train)} images of {where}" + (f"; {found.skipped_note()}" if skipped else "")
    if own_eval:
        validation, test = _own_evaluation(evaluation, cache_folder, data.strict)
    notes = {"train": note, "test": _describe(test, evaluation), "validation": _describe(validation, evaluation)}
    shifted = evaluation.shifted and not isinstance(test, RealCaptures)
    return Corpus(train, validation, test, evaluation.captures, evaluation.severity, notes, shifted, skipped)


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
    test = min(evaluation.identities, int(total * TEST_SHARE))
    validation = min(evaluation.validation_identities, int(total * VALIDATION_SHARE))
    return found.images[test + validation :], found.images[test : test + validation], found.images[:test]


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
        cut = max(2, min(evaluation.validation_identities, len(documents) // 4))
        return FolderDocuments(documents[:cut]), FolderDocuments(documents[cut : cut + evaluation.identities])
    names = sorted(groups, key=lambda name: hashlib.sha256(os.fsencode(Path(name).name)).digest())
    several = [name for name in names if len(groups[name]) > 1]
    if len(several) < 4:
        raise UserError(
            f"--eval: {len(several)} identities with two or more captures, at least 4 are needed "
            "(one folder for each identity, its captures inside)"
        )
    cut = max(2, len(several) // 4)
    held_out = set(several[:cut])
    parts = (several[:cut], [name for name in names if name not in held_out])
    made = [tuple((file, i) for i, name in enumerate(part) for file in groups[name]) for part in parts]
    return RealCaptures(made[0]), RealCaptures(made[1])


@dataclass(frozen=True)
class _Clean:
    """Draws a training image."""

    documents: Documents
    size: int

    def __call__(self, index: int) -> np.ndarray:
        return self.documents.clean(index, self.size)


@dataclass(frozen=True)
class _Simulated:
    """Draws a capture: `count` of each document, one after another."""

    documents: Documents
    count: int
    size: int
    severity: float
    shifted: bool

    def __call__(self, index: int) -> np.ndarray:
        from core.data.capture import capture
        from core.data.shifted import shifted_capture

        identity, number = divmod(index, self.count)
        rng = np.random.default_rng([_SHIFTED_SEED if self.shifted else _CAPTURE_SEED, identity, number])
        photograph = shifted_capture if self.shifted else capture
        return photograph(self.documents.page(identity, number, self.size), rng, self.size, self.severity)


@dataclass(frozen=True)
class _Own:
    """Reads a capture that the user has."""

    files: tuple[tuple[ImageFile, int], ...]
    size: int

    def __call__(self, index: int) -> np.ndarray:
        return folder.squash(folder.decode(self.files[index][0].path), self.size)


def pool_images(source: Corpus, size: int, cache_folder: Path, progress: Progress | None = None) -> np.ndarray:
    """The clean training images, (P, size, size, 3) uint8, from the cache where they are there."""
    count = len(source.train)
    description = f"pool {source.train.fingerprint} {count} {size}"
    draw = _Clean(source.train, size)
    return cache.cached_images(cache_folder, "pool", description, (count, size, size, 3), draw, progress)


def captures(
    held_out: Documents | RealCaptures,
    count: int,
    size: int,
    cache_folder: Path,
    progress: Progress | None = None,
    severity: float = 1.0,
    shifted: bool = False,
) -> Captures:
    """Captures of held-out identities, simulated (`count` of each) or the user's own.

    Args:
        severity: of simulated captures, in (0, 1].
        shifted: with corruptions that neither training nor the usual captures have (`core.data.shifted`).
    """
    draw: _Own | _Simulated
    if isinstance(held_out, RealCaptures):
        identities = np.array([identity for _, identity in held_out.files], np.int64)
        draw = _Own(held_out.files, size)
    else:
        identities = np.repeat(np.arange(len(held_out), dtype=np.int64), count)
        draw = _Simulated(held_out, count, size, severity, shifted)
    total = len(identities)
    name = "shifted captures" if shifted else "captures"
    description = f"{name} {_held_out_fingerprint(held_out, shifted)} {total} {count} {size} {severity}"
    images = cache.cached_images(cache_folder, name, description, (total, size, size, 3), draw, progress)
    return Captures(images, identities)
