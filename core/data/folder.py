"""Folders of the user's images: found, checked, decoded; what cannot be used is skipped with a reason."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from core.errors import RunFailure, UserError
from core.store import write_atomic

MAX_PIXELS = 50_000_000
MASTER_SIDE = 256  # captures are simulated from images of at most this many pixels a side
_SCAN_VERSION = 1


@dataclass(frozen=True)
class ImageFile:
    """A readable image: its path and the SHA-256 of its bytes."""

    path: Path
    digest: str


def content_digest(images: Sequence[ImageFile]) -> str:
    """16 hex digits that stand for the content of images in their order, whatever their names."""
    joined = "\n".join(image.digest for image in images)
    return hashlib.sha256(joined.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Scan:
    """What folders hold, images in the order of their content digests (so names do not matter)."""

    images: tuple[ImageFile, ...]
    skipped: tuple[tuple[str, str], ...]  # (path, reason)

    @property
    def fingerprint(self) -> str:
        return content_digest(self.images)

    def skipped_note(self) -> str:
        """E.g. ``3 skipped (2 not an image, 1 duplicate)``, or nothing."""
        if not self.skipped:
            return ""
        reasons = Counter(reason for _, reason in self.skipped)
        return f"{len(self.skipped)} skipped ({', '.join(f'{n} {reason}' for reason, n in reasons.most_common())})"


def decode(path: Path) -> Image.Image:
    """The image upright, in RGB, over white where it is transparent, at most `MASTER_SIDE` pixels a side.

    Raises:
        ValueError: with a short reason: not an image, too large, damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large images; the limit here is ours
            with Image.open(path) as opened:
                if opened.width * opened.height > MAX_PIXELS:
                    raise ValueError(f"over {MAX_PIXELS // 1_000_000} megapixels")
                opened.draft("RGB", (2 * MASTER_SIDE, 2 * MASTER_SIDE))
                image = ImageOps.exif_transpose(opened)
                if image.mode.startswith("I;16") or image.mode == "I":
                    image = Image.fromarray((np.asarray(image).clip(0, 65535) // 256).astype(np.uint8))
                if image.mode in ("P", "LA", "PA", "RGBA", "La", "RGBa"):
                    image = image.convert("RGBA")
                    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
                image = image.convert("RGB")
    except Image.DecompressionBombError:
        raise ValueError(f"over {MAX_PIXELS // 1_000_000} megapixels") from None
    except UnidentifiedImageError:
        raise ValueError("not an image" if path.stat().st_size else "empty file") from None
    except PermissionError:
        raise ValueError("not readable") from None
    except ValueError:
        raise
    except Exception as error:  # decoders raise whatever they like on damaged input
        raise ValueError("damaged image") from error
    image.thumbnail((MASTER_SIDE, MASTER_SIDE), Image.Resampling.BILINEAR)
    return image


def squash(image: Image.Image, size: int) -> np.ndarray:
    """The image resized to a square, as the record does: (size, size, 3) uint8."""
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent) / name for name in sorted(names) if not name.startswith("."))


def scan(sources: Sequence[str], cache: Path, *, option: str = "--data", strict: bool = False) -> Scan:
    """Find and check the images under the folders; remembered until a file's size or time changes.

    Args:
        option: the command-line option to name in errors.
        strict: refuse a folder with anything that would be skipped.

    Raises:
        UserError: a missing folder, a folder without images, or skipped files under `strict`.
    """
    files: list[Path] = []
    for source in sources:
        folder = Path(source)
        if not folder.is_dir():
            raise UserError(f"{option}: '{source}' is not a folder")
        found = list(_files(folder))
        if not found:
            raise UserError(f"{option}: '{source}' is empty")
        files.extend(found)
    stats = [(str(path.absolute()), path.stat().st_size, path.stat().st_mtime_ns) for path in files if path.exists()]
    identity = hashlib.sha256(json.dumps([_SCAN_VERSION, stats]).encode()).hexdigest()[:16]
    remembered = cache / f"scan-{identity}.json"
    result = _recall(remembered) or _check(files)
    if not remembered.exists():
        try:
            write_atomic(remembered, _dump(result))
        except RunFailure as failure:
            raise UserError(failure.message) from None
    if not result.images:
        raise UserError(f"{option}: no readable image in {', '.join(sources)}; {result.skipped_note()}")
    if strict and result.skipped:
        path, reason = result.skipped[0]
        raise UserError(f"--strict: {result.skipped_note()}, the first is {path} ({reason})")
    return result


def _check(files: Sequence[Path]) -> Scan:
    images: dict[str, ImageFile] = {}
    skipped: list[tuple[str, str]] = []
    for path in files:
        try:
            decode(path)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except (ValueError, OSError) as error:
            skipped.append((str(path), str(error) if isinstance(error, ValueError) else "not readable"))
            continue
        if digest in images:
            skipped.append((str(path), "duplicate"))
        else:
            images[digest] = ImageFile(path, digest)
    return Scan(tuple(images[digest] for digest in sorted(images)), tuple(skipped))


def _dump(result: Scan) -> bytes:
    images = [[str(image.path), image.digest] for image in result.images]
    return json.dumps({"images": images, "skipped": result.skipped}).encode()


def _recall(path: Path) -> Scan | None:
    try:
        stored = json.loads(path.read_text())
        images = tuple(ImageFile(Path(name), digest) for name, digest in stored["images"])
        skipped = tuple((name, reason) for name, reason in stored["skipped"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Scan(images, skipped)
