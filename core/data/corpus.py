"""What one run trains and is judged on: a pool of images, validation captures, test captures.

No identity is ever trained on. Held-out identities of a folder are chosen by the digest of their
content, so the split does not depend on file names or on their order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.config import DataConfig, EvalConfig
from core.data import cache, folder
from core.data.folder import ImageFile, Scan
from core.data.sources import Documents, FolderDocuments, ProceduralDocuments
from core.errors import UserError

Progress = Callable[[str, int, int], None]  # what, done, total

TEST_SHARE = 0.25
VALIDATION_SHARE = 0.15
MIN_FOLDER_IMAGES = 16
_CAPTURE_SEED = 7_001


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
    skipped: int = 0

    def fingerprints(self) -> dict[str, str]:
        return {
            "train": self.train.fingerprint,
            "validation": _held_out_fingerprint(self.validation),
            "test": _held_out_fingerprint(self.test),
        }


def _held_out_fingerprint(held_out: Documents | RealCaptures) -> str:
    from core.data.capture import CAPTURE_VERSION

    simulated = "" if isinstance(held_out, RealCaptures) else f":captured-{CAPTURE_VERSION}"
    return held_out.fingerprint + simulated


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
    return Corpus(train, validation, test, evaluation.captures, evaluation.severity, notes, skipped)


def _describe(held_out: Documents | RealCaptures, evaluation: EvalConfig) -> str:
    if isinstance(held_out, RealCaptures):
        identities = len({identity for _, identity in held_out.files})
        return f"{identities} identities, {len(held_out.files)} captures of the user's own"
    kind = "procedural documents" if isinstance(held_out, ProceduralDocuments) else "held-out images"
    return f"{len(held_out)} {kind} x {evaluation.captures} simulated captures"


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
    names = sorted(groups, key=lambda name: hashlib.sha256(Path(name).name.encode()).digest())
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


def pool_images(source: Corpus, size: int, cache_folder: Path, progress: Progress | None = None) -> np.ndarray:
    """The clean training images, (P, size, size, 3) uint8, from the cache where they are there."""
    count = len(source.train)

    def build() -> np.ndarray:
        return _fill(count, size, "images", progress, lambda index: source.train.clean(index, size))

    description = f"pool {source.train.fingerprint} {count} {size}"
    return cache.cached_array(cache_folder, "pool", description, build)


def captures(
    held_out: Documents | RealCaptures,
    count: int,
    size: int,
    cache_folder: Path,
    progress: Progress | None = None,
    severity: float = 1.0,
) -> Captures:
    """Captures of held-out identities, simulated (`count` of each) or the user's own."""
    if isinstance(held_out, RealCaptures):
        files = held_out.files
        identities = np.array([identity for _, identity in files], np.int64)
        total = len(files)

        def make(index: int) -> np.ndarray:
            return folder.squash(folder.decode(files[index][0].path), size)

    else:
        identities = np.repeat(np.arange(len(held_out), dtype=np.int64), count)
        total = len(identities)

        def make(index: int) -> np.ndarray:
            from core.data.capture import capture

            identity, number = divmod(index, count)
            rng = np.random.default_rng([_CAPTURE_SEED, identity, number])
            return capture(held_out.page(identity, number, size), rng, size, severity)

    description = f"captures {_held_out_fingerprint(held_out)} {total} {count} {size} {severity}"
    images = cache.cached_array(
        cache_folder, "captures", description, lambda: _fill(total, size, "captures", progress, make)
    )
    return Captures(images, identities)


def _fill(count: int, size: int, what: str, progress: Progress | None, make: Callable[[int], np.ndarray]) -> np.ndarray:
    out = np.empty((count, size, size, 3), np.uint8)
    for index in range(count):
        out[index] = make(index)
        if progress and (index % 16 == 15 or index == count - 1):
            progress(what, index + 1, count)
    return out
