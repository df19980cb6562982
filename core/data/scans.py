"""What folders of images hold: the usable ones in the order of their content, what is left out, which look alike."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from core import record
from core.errors import UserError

SCAN_VERSION = 8
_MAX_BYTES = 2_000_000_000  # of what is remembered: some 180 an image


@dataclass(frozen=True)
class ImageFile:
    """A readable image: its path, the SHA-256 of its bytes, and 32 hex digits that stand for its pixels as used."""

    path: Path
    digest: str
    pixels: str

    def is_in(self, known: Set[str]) -> bool:
        """Whether `contents_of` some images have this one: by its bytes, which no decoder changes, or by its pixels."""
        return self.digest in known or self.pixels in known


def contents_of(images: Iterable[ImageFile]) -> set[str]:
    """What stands for the bytes and for the pixels of images, as `ImageFile.is_in` takes it."""
    return {mark for image in images for mark in (image.digest, image.pixels)}


def content_digest(images: Sequence[ImageFile]) -> str:
    """16 hex digits that stand for the content of images in their order, whatever their names."""
    joined = "\n".join(image.digest for image in images)
    return hashlib.sha256(joined.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Scan:
    """What folders hold, images in the order of their content digests (so names do not matter).

    Args:
        skipped: files that are not used, each with the reason.
        alike: images (by their place in `images`) that look like another, with the other; of two alike each may say so.
            Of each it is the one most alike, and the one in another folder that is.
        doubles: of the files in `skipped` those that another file shows, too, with its place in `images`.
    """

    images: tuple[ImageFile, ...]
    skipped: tuple[tuple[str, str], ...]
    alike: tuple[tuple[int, int], ...] = ()
    doubles: tuple[tuple[str, int], ...] = ()

    @property
    def fingerprint(self) -> str:
        return content_digest(self.images)

    def skipped_note(self) -> str:
        """E.g. ``3 skipped (2 not an image, 1 duplicate)``, or nothing."""
        if not self.skipped:
            return ""
        reasons = Counter(reason for _, reason in self.skipped)
        return f"{len(self.skipped)} skipped ({', '.join(f'{n} {reason}' for reason, n in reasons.most_common())})"


def dump(scan: Scan) -> bytes:
    """The file in which a scan is remembered."""
    images = [[str(image.path), image.digest, image.pixels] for image in scan.images]
    rest = {"skipped": scan.skipped, "alike": scan.alike, "doubles": scan.doubles}
    return record.seal({"images": images, **rest}, SCAN_VERSION)


def recall(path: Path) -> Scan | None:
    """A scan that was remembered; none where its file is not as it was: digests in it decide the keys of runs."""
    try:
        stored = record.read(path, SCAN_VERSION, most=_MAX_BYTES)
        images = tuple(ImageFile(Path(name), digest, pixels) for name, digest, pixels in stored["images"])
        skipped = tuple((name, reason) for name, reason in stored["skipped"])
        alike = tuple((image, other) for image, other in stored["alike"])
        doubles = tuple((name, image) for name, image in stored["doubles"])
    except (UserError, OSError, ValueError, KeyError, TypeError):
        return None
    return Scan(images, skipped, alike, doubles)
