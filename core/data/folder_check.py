"""What a folder of images is good for: what is in it, how it is laid out, which rates it can support."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.config import FPRS
from core.config_sections import DataConfig, EvalConfig
from core.data import folder as folders
from core.data.alike_pairs import Pair, between, within
from core.data.cache import cache_dir
from core.data.corpus import Corpus, RealCaptures, corpus
from core.data.enough import why_no_verdict
from core.data.image_file import Unusable, header
from core.data.look_alikes import MOST_IMAGES
from core.data.rendering import Progress
from core.data.scans import ImageFile, Scan, contents_of
from core.errors import UserError
from core.support import supported_fpr

EXAMPLES = 5


@dataclass(frozen=True)
class Sides:
    """Pixels: the least, the median and the most of the images' longer or shorter sides."""

    least: int
    median: float
    most: int


@dataclass(frozen=True)
class Use:
    """Whether an option takes the folder; `note` says what it makes of it, or why not."""

    usable: bool
    note: str


@dataclass(frozen=True)
class Overlap:
    """What a folder has in common with another, which is trained on where the first is judged on.

    Args:
        other: the other folder.
        same: how many images of the first are in the other, pixel for pixel: what `--data` leaves out for `--eval`.
        alike: images of the first that look like one of the other that is not left out, with that one; None where there
            are too many to look.
    """

    other: Path
    same: int
    alike: tuple[Pair, ...] | None


@dataclass(frozen=True)
class FolderReport:
    """Facts about a folder.

    Args:
        images: usable ones, each content once.
        skipped: reason -> (how many, the first of them).
        alike: pairs of images that look alike and count as different documents; None where there are too many to look.
        alike_inside: such pairs in one sub-folder, which `--data` takes for different documents, too, and `--eval` for
            captures of one identity.
        captures: for a folder of identities the least, median and most captures of one.
        pages: TIFF files with several pages, of which the first alone is used.
        identities: that `--eval` would judge on, after those it takes for validation.
        rates: each false positive rate, and whether the pairs of those identities support it.
    """

    folder: Path
    images: int
    formats: dict[str, int]
    modes: dict[str, int]
    short_side: Sides | None
    long_side: Sides | None
    skipped: dict[str, tuple[int, tuple[str, ...]]]
    alike: tuple[Pair, ...] | None
    alike_inside: tuple[Pair, ...]
    layout: str
    captures: tuple[int, float, int] | None
    pages: int
    data: Use
    evaluation: Use
    identities: int
    rates: dict[float, bool]

    @property
    def pairs(self) -> int:
        """Pairs of different identities."""
        return self.identities * (self.identities - 1) // 2


def check_folder(folder: Path, cache: Path | None = None, progress: Progress | None = None) -> FolderReport:
    """Read every image of a folder once and say what it is good for.

    Args:
        cache: where the scan is remembered; default the user's cache.

    Raises:
        UserError: the folder is missing or empty.
    """
    cache = cache or cache_dir(None)
    found = folders.find([str(folder)], cache, option="DIR", progress=progress)
    headers = []
    for image in found.images:
        try:
            headers.append(header(image.path))
        except Unusable:  # changed since it was scanned
            continue
    layout, captures = _layout(folder, found.images)
    data, evaluation, identities = _uses(folder, cache) if found.images else (*_NOTHING, 0)
    best = supported_fpr(identities)
    apart, together = within(found, [str(folder)])
    return FolderReport(
        folder=folder,
        images=len(found.images),
        formats=_counted([one.format for one in headers]),
        modes=_counted([one.mode for one in headers]),
        short_side=_sides([min(one.width, one.height) for one in headers]),
        long_side=_sides([max(one.width, one.height) for one in headers]),
        skipped=_skipped(found),
        alike=tuple(apart) if len(found.images) <= MOST_IMAGES else None,
        alike_inside=tuple(together),
        layout=layout,
        captures=captures,
        pages=sum(one.pages > 1 for one in headers),
        data=data,
        evaluation=evaluation,
        identities=identities,
        rates={fpr: best is not None and fpr >= best for fpr in FPRS},
    )


def overlap(folder: Path, other: Path, cache: Path | None = None, progress: Progress | None = None) -> Overlap:
    """What is in a folder that is in another, too.

    Args:
        cache: where scans are remembered; default the user's cache.

    Raises:
        UserError: one of them is missing or empty.
    """
    cache = cache or cache_dir(None)
    judged = folders.find([str(folder)], cache, option="DIR", progress=progress)
    trained = folders.find([str(other)], cache, option="--against", progress=progress)
    alike = between(judged, trained, cache)
    known = contents_of(trained.images)
    same = sum(image.is_in(known) for image in judged.images)
    return Overlap(other, same, None if alike is None else tuple(alike))


_NOTHING = (Use(False, "no readable image"), Use(False, "no readable image"))


def _counted(values: Sequence[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _sides(lengths: Sequence[int]) -> Sides | None:
    return Sides(min(lengths), statistics.median(lengths), max(lengths)) if lengths else None


def _skipped(found: Scan) -> dict[str, tuple[int, tuple[str, ...]]]:
    by_reason: dict[str, list[str]] = {}
    for path, reason in found.skipped:
        by_reason.setdefault(reason, []).append(path)
    ordered = sorted(by_reason.items(), key=lambda item: -len(item[1]))
    return {reason: (len(paths), tuple(paths[:EXAMPLES])) for reason, paths in ordered}


def _layout(folder: Path, images: Sequence[ImageFile]) -> tuple[str, tuple[int, float, int] | None]:
    """In words, and the captures of an identity; as `--eval` reads it, where any image at the top means flat."""
    counts = Counter(image.path.absolute().parent for image in images)
    if not counts:
        return "no image", None
    if folder.absolute() in counts:
        return "flat folder of documents: each image its own class", None
    if max(counts.values()) == 1:
        return f"{len(counts):,} folders of one image each: its own class, and no two captures of an identity", None
    sizes = sorted(counts.values())
    captures = (sizes[0], statistics.median(sizes), sizes[-1])
    return f"identities: {len(sizes):,} folders with {len(images):,} captures", captures


def _uses(folder: Path, cache: Path) -> tuple[Use, Use, int]:
    """What the options themselves make of the folder, and how many identities `--eval` would judge on."""
    try:
        made = corpus(DataConfig(source=(str(folder),)), EvalConfig(), cache)
        data = Use(
            True, f"{len(made.train):,} images to train on, {made.notes['test']}{_no_verdict(made, EvalConfig())}"
        )
    except UserError as error:
        data = Use(False, str(error))
    try:
        evaluation = EvalConfig(source=(str(folder),))
        made = corpus(DataConfig(), evaluation, cache)
    except UserError as error:
        return data, Use(False, str(error)), 0
    test = made.test
    identities = len({one for _, one in test.files}) if isinstance(test, RealCaptures) else len(test)
    note = f"judged on {made.notes['test']}; {made.notes['validation']} for validation{_no_verdict(made, evaluation)}"
    return data, Use(True, note), identities


def _no_verdict(made: Corpus, evaluation: EvalConfig) -> str:
    why = why_no_verdict(made, evaluation)
    return f"; {why}" if why else ""
