"""What a font file says about itself, read from its tables without a font library.

Only the tables that name, classify and map characters are read, so that a folder of a thousand fonts takes about a
second. Offsets and fields follow the OpenType specification, version 1.9 (learn.microsoft.com/typography/opentype).
"""

import hashlib
import re
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.data.layouts.words import SCRIPTS, script_letters

_LARGEST = 6_000_000  # bytes; larger files hold thousands of ideographs that no document uses
_LARGEST_TABLE = 1_000_000
_ODD_TABLES = frozenset({"fvar", "COLR", "CBDT", "sbix", "SVG ", "EBLC"})  # variable, coloured, bitmap
_ODD_NAMES = re.compile(
    r"symbol|dings|emoji|icon|music|ornament|braille|barcode|code ?\d|last ?resort|math|awesome|webdings|marlett|"
    r"outline|shadow|blank|redact|playing|chess|signs|fallback|nonunicode",
    re.IGNORECASE,
)
_REQUIRED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 #&'()+,-./:<=>"


@dataclass(frozen=True)
class FontFacts:
    """A text font: where it is, how it is named and classed, the scripts it covers.

    `weight` is 100..900, `width` 1..9 (5: normal); `decorative` is what handwriting and ornamental fonts declare.
    `identity` (16 hex digits) follows the contents and not the path: the tables' places, lengths and checksums, and
    the tables that were read.
    """

    path: str
    family: str
    weight: int
    width: int
    italic: bool
    decorative: bool
    scripts: frozenset[str]
    identity: str


def _tables(data: "_Reader") -> dict[str, tuple[int, int]]:
    start = 0
    if data.at(0, 4) == b"ttcf":
        start = int(struct.unpack(">I", data.at(12, 4))[0])  # the first face of a collection
    if data.at(start, 4) not in (b"\0\1\0\0", b"OTTO", b"true"):
        raise ValueError("not an outline font")
    count = struct.unpack(">H", data.at(start + 4, 2))[0]
    directory = data.at(start + 12, 16 * count)
    data.seen.update(directory)
    entries = struct.iter_unpack(">4s4xII", directory)
    return {tag.decode("latin-1"): (offset, length) for tag, offset, length in entries}


class _Reader:
    """Slices of a file, and a digest of what was read that matters."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.seen = hashlib.sha256()

    def at(self, offset: int, length: int) -> bytes:
        self._file.seek(offset)
        data = self._file.read(length)
        if len(data) < length:
            raise ValueError("the file ends early")
        return data

    def table(self, place: tuple[int, int]) -> bytes:
        data = self.at(place[0], min(place[1], _LARGEST_TABLE))
        self.seen.update(data)
        return data

    def close(self) -> None:
        self._file.close()


def _family(name: bytes) -> str:
    """The typographic family (name 16), else the family (name 1), in English or Macintosh Roman."""
    count, strings = struct.unpack(">HH", name[2:6])
    found: dict[int, str] = {}
    for platform, _, language, kind, length, offset in struct.iter_unpack(">6H", name[6 : 6 + 12 * count]):
        if kind not in (1, 16) or (platform == 3 and language & 0x3FF != 9):
            continue
        raw = name[strings + offset : strings + offset + length]
        found.setdefault(kind, raw.decode("utf-16-be" if platform in (0, 3) else "mac-roman"))
    return found.get(16) or found.get(1) or ""


def _glyphs(cmap: bytes, letters: np.ndarray) -> np.ndarray:
    """Glyph numbers of the (n,) code points, 0 where a font has none; formats 4 and 12 of a Unicode map."""
    rank = {(3, 10): 4, (0, 4): 3, (0, 6): 3, (3, 1): 2, (0, 3): 1}
    count = struct.unpack(">H", cmap[2:4])[0]
    entries = list(struct.iter_unpack(">HHI", cmap[4 : 4 + 8 * count]))
    platform, encoding, start = max(entries, key=lambda entry: rank.get(entry[:2], 0))
    if (platform, encoding) not in rank:
        return np.zeros_like(letters)
    table = cmap[start:]
    form = struct.unpack(">H", table[:2])[0]
    if form == 12:
        groups = struct.unpack(">I", table[12:16])[0]
        first, last, glyph = np.frombuffer(table, ">u4", 3 * groups, 16).reshape(-1, 3).T.astype(np.int64)
        k = np.minimum(np.searchsorted(last, letters), groups - 1)
        return np.where((first[k] <= letters) & (letters <= last[k]), glyph[k] + letters - first[k], 0)
    if form != 4:
        return np.zeros_like(letters)
    segments = struct.unpack(">H", table[6:8])[0] // 2
    words = np.frombuffer(table, ">u2", len(table) // 2).astype(np.int64)
    last, first = words[7 : 7 + segments], words[8 + segments : 8 + 2 * segments]
    delta, offset = words[8 + 2 * segments : 8 + 3 * segments], words[8 + 3 * segments : 8 + 4 * segments]
    k = np.minimum(np.searchsorted(last, letters), segments - 1)
    # An offset counts in bytes from its own place in the table to the glyph's number.
    place = 8 + 3 * segments + k + offset[k] // 2 + letters - first[k]
    listed = words[np.clip(place, 0, len(words) - 1)]
    glyph = np.where(offset[k] == 0, letters + delta[k], np.where(listed == 0, 0, listed + delta[k])) & 0xFFFF
    return np.where((first[k] <= letters) & (letters <= last[k]), glyph, 0)


def covered(mapped: np.ndarray, letters: str, wanted: str) -> bool:
    """Whether every one of `wanted` has a glyph in `mapped`, the (n,) glyph numbers of `letters`."""
    have = {letter for letter, glyph in zip(letters, mapped, strict=True) if glyph}
    return have.issuperset(wanted)


def font_facts(path: Path) -> FontFacts | None:
    """The facts of a text font; None for a file that is damaged, odd, or lacks a letter, digit or sign in use."""
    try:
        if not 1_000 < path.stat().st_size <= _LARGEST:
            return None
        data = _Reader(path)
        try:
            tables = _tables(data)
            if _ODD_TABLES & set(tables) or not {"glyf", "CFF "} & set(tables):
                return None
            os2, family = data.table(tables["OS/2"]), _family(data.table(tables["name"]))
            cmap = data.table(tables["cmap"])
        finally:
            data.close()
        letters = "".join(dict.fromkeys(_REQUIRED + "".join(script_letters(script) for script in SCRIPTS)))
        mapped = _glyphs(cmap, np.array([ord(letter) for letter in letters], np.int64))
        if not family or _ODD_NAMES.search(family) or os2[32] == 5 or not covered(mapped, letters, _REQUIRED):
            return None
        weight, width = struct.unpack(">HH", os2[4:8])
        selection = struct.unpack(">H", os2[62:64])[0]
        return FontFacts(
            path=str(path),
            family=family.strip(),
            weight=weight if weight >= 100 else 100 * weight,
            width=width,
            italic=bool(selection & 0x201),
            decorative=os2[32] in (3, 4) or os2[30] in (9, 10),
            scripts=frozenset(s for s in SCRIPTS if covered(mapped, letters, script_letters(s))),
            identity=data.seen.hexdigest()[:16],
        )
    except Exception:  # whatever a damaged file brings about, the answer is that it is no font to use
        return None
