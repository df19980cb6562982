"""A picture of the procedural data: templates, siblings, holders, captures, shifted captures."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from core.data import documents
from core.data.capture import capture
from core.data.layouts.fonts import bundled_face
from core.data.shifted import SHIFTS, shifted_view
from core.data.sources import ProceduralDocuments
from core.store import write_atomic

_COLUMNS = len(SHIFTS)
_GAP = 4
_TITLE = 20


def _rows(size: int) -> list[tuple[str, list[np.ndarray]]]:
    """(title, one image a column) of every row; a row without a title belongs to the one above."""
    seed, columns, group = ProceduralDocuments.train_seed(), range(_COLUMNS), documents.GROUP_SIZE
    test = ProceduralDocuments("test", _COLUMNS)
    pages = [test.page(number // 2, number % 2, size) for number in columns]
    photographs = [capture(page, np.random.default_rng([1, number]), size) for number, page in enumerate(pages)]
    hurried = [capture(page, np.random.default_rng([2, number]), size) for number, page in enumerate(pages)]
    shifted = [
        shifted_view(page, np.random.default_rng([3, number]), size, 1.0, (SHIFTS[number],))
        for number, page in enumerate(pages)
    ]
    return [
        ("Templates, one of each group of siblings", [documents.render(seed, group * k, size) for k in columns]),
        ("", [documents.render(seed, group * (k + _COLUMNS), size) for k in columns]),
        ("Near-duplicate siblings, in groups of four", [documents.render(seed, k, size) for k in columns]),
        (
            "Holders: one template, its fields drawn anew, four times",
            [documents.render(seed, group * (k // 4), size, fields=k % 4) for k in columns],
        ),
        ("Captures of test documents, two holders of each", photographs),
        ("", hurried),
        (f"Shifted captures: {', '.join(SHIFTS)}", shifted),
    ]


def draw_sheet(path: Path, size: int = 96) -> None:
    """Write the picture as PNG: `_COLUMNS` images of `size` pixels a row, with a title above each kind."""
    rows = _rows(size)
    step = size + _GAP
    height = sum(step + (_TITLE if title else 0) for title, _ in rows) + _GAP
    sheet = Image.new("RGB", (_COLUMNS * step + _GAP, height), "white")
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.truetype(bundled_face(), 12)
    y = _GAP
    for title, images in rows:
        if title:
            pen.text((_GAP, y + 2), title, fill=(30, 30, 30), font=font)
            y += _TITLE
        for column, image in enumerate(images):
            sheet.paste(Image.fromarray(image), (_GAP + column * step, y))
        y += step
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, buffer.getvalue())
