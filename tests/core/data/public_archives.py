"""Archives like those of public sets."""

from __future__ import annotations

import dataclasses
import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from core.data.public_sets import PublicSet, RemoteFile, public_set

# A page with a red top left and a blue bottom right, photographed turned and from the side.
QUAD = [[150.0, 60.0], [250.0, 100.0], [210.0, 220.0], [90.0, 180.0]]


def page(number: int = 0) -> Image.Image:
    image = Image.new("RGB", (100, 140), "white")
    image.paste((number, 255 - number, 90), (0, 70, 50, 140))
    image.paste("red", (0, 0, 50, 70))
    image.paste("blue", (50, 70, 100, 140))
    return image


def photograph(quad: list[list[float]] = QUAD, number: int = 0) -> Image.Image:
    """The page drawn into a frame of 320 x 240 pixels at the corners, on grey."""
    rows, values = [], []
    for (u, v), (x, y) in zip([(0, 0), (100, 0), (100, 140), (0, 140)], quad, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    numbers = np.linalg.solve(np.array(rows), np.array(values, float))
    drawn = page(number).convert("RGBA").transform((320, 240), Image.Transform.PERSPECTIVE, tuple(numbers.tolist()))
    frame = Image.new("RGBA", (320, 240), (90, 90, 90, 255))
    return Image.alpha_composite(frame, drawn).convert("RGB")


def encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def write_tar(path: Path, files: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def local(name: str, files: list[str]) -> PublicSet:
    """A set with files that are in the downloads folder already, so that nothing is asked for."""
    return dataclasses.replace(public_set(name), files=tuple(RemoteFile(file, file) for file in files))
