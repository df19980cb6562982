"""The fonts that documents are set in: the machine's own text fonts, after those that matplotlib ships.

Documents in many typefaces teach a model not to key on one; matplotlib's are always there, and cover every script.
`DOCABLATE_FONTS` names other folders than the usual ones, separated by `os.pathsep`; with the value `matplotlib` no
others are used, and then pixels are equal on every machine with the same matplotlib and Pillow.
"""

import hashlib
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from core.data.layouts.sfnt import FontFacts, font_facts
from core.data.layouts.words import SCRIPTS

VARIABLE = "DOCABLATE_FONTS"
KINDS = ("sans", "serif", "mono", "display")
_PER_KIND = 12  # families; each has up to three faces, and every face costs glyphs in every process
_MOST_FILES = 2_000
_MOST_ENTRIES = 20_000
_BUNDLED = (
    ("DejaVu Sans", "sans", "DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSans-Oblique.ttf"),
    ("DejaVu Serif", "serif", "DejaVuSerif.ttf", "DejaVuSerif-Bold.ttf", "DejaVuSerif-Italic.ttf"),
    ("DejaVu Sans Mono", "mono", "DejaVuSansMono.ttf", "DejaVuSansMono-Bold.ttf", "DejaVuSansMono-Oblique.ttf"),
    ("STIXGeneral", "serif", "STIXGeneral.ttf", "STIXGeneralBol.ttf", "STIXGeneralItalic.ttf"),
    ("cmr10", "serif", "cmr10.ttf", "cmb10.ttf", "cmti10.ttf"),
    ("cmss10", "sans", "cmss10.ttf", "cmss10.ttf", "cmss10.ttf"),
    ("cmtt10", "mono", "cmtt10.ttf", "cmtt10.ttf", "cmtt10.ttf"),
)


@dataclass(frozen=True)
class Family:
    """A typeface: the paths of its regular, bold and italic faces (a lacking one is the regular), and its scripts."""

    name: str
    kind: str
    regular: str
    bold: str
    italic: str
    scripts: frozenset[str]

    @property
    def faces(self) -> tuple[str, str, str]:
        return self.regular, self.bold, self.italic


def _bundled_folder() -> Path:
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def bundled_face() -> str:
    """The path of the face that has every letter in use."""
    return str(_bundled_folder() / "DejaVuSans.ttf")


def bundled() -> tuple[Family, ...]:
    """The typefaces that ship with matplotlib."""
    families = []
    for name, kind, *files in _BUNDLED:
        paths = [str(_bundled_folder() / file) for file in files]
        facts = [font_facts(Path(path)) for path in paths]
        if None in facts:
            continue  # some distributions of matplotlib ship fewer
        scripts = frozenset(SCRIPTS).intersection(*(fact.scripts for fact in facts if fact))
        families.append(Family(name, kind, paths[0], paths[1], paths[2], scripts))
    return tuple(families)


def font_folders(setting: str) -> tuple[Path, ...]:
    """The folders to look in, given the value of `DOCABLATE_FONTS`."""
    if setting == "matplotlib":
        return ()
    if setting:
        return tuple(Path(os.path.expanduser(folder)) for folder in setting.split(os.pathsep) if folder)
    home = Path(os.path.expanduser("~"))  # unlike Path.home it takes a user whom the system does not know
    if sys.platform == "darwin":
        usual = (Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts")
    elif sys.platform == "win32":
        local = Path(os.environ.get("LOCALAPPDATA", str(home)))
        usual = (Path(os.environ.get("WINDIR", "C:\\Windows")) / "Fonts", local / "Microsoft/Windows/Fonts")
    else:
        usual = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), home / ".fonts", home / ".local/share/fonts")
    return usual


def font_files(folders: Iterable[Path]) -> list[Path]:
    """The .ttf, .otf and .ttc files below `folders`; of a great many, those that come first by name and size."""
    found: list[tuple[str, int, Path]] = []
    entries = 0
    for folder in folders:
        for place, subfolders, names in os.walk(folder):
            subfolders.sort()
            entries += len(names) + 1
            if entries > _MOST_ENTRIES:
                break
            for name in names:
                if name.lower().endswith((".ttf", ".otf", ".ttc")):
                    path = Path(place, name)
                    try:
                        found.append((name, path.stat().st_size, path))
                    except OSError:
                        continue
    return [path for _, _, path in sorted(found)[:_MOST_FILES]]


def _measured_kind(path: str) -> str | None:
    """Sans, serif or mono, by the drawn shapes of some letters; None where they do not look like letters.

    Shapes are measured because many fonts leave the classification fields blank, and because a font of ornaments may
    map them to letters.
    """
    try:
        font = ImageFont.truetype(path, 48, layout_engine=ImageFont.Layout.BASIC)

        def ink(letter: str) -> np.ndarray:
            cell = Image.new("L", (160, 160))
            ImageDraw.Draw(cell).text((40, 100), letter, font=font, fill=255, anchor="ls")
            dark = np.asarray(cell) > 127
            rows, columns = np.flatnonzero(dark.any(1)), np.flatnonzero(dark.any(0))
            return dark[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if len(rows) else dark[:0]

        capital = ink("H")
        tall = len(capital)
        if not (20 <= tall <= 50 and len(ink(".")) < 0.4 * tall and len(ink("-")) < 0.4 * tall):
            return None
        if any(len(ink(letter)) < 0.3 * tall for letter in "aegnoRSW0258") or len(ink(" ")):
            return None
        wide, narrow = font.getlength("W"), font.getlength("i")
        if not 5 < narrow <= wide < 100:
            return None
        if abs(wide - narrow) < 0.5:
            return "mono"
        # A serif widens the foot of a stem; a quarter of the way up there is the stem alone.
        return "serif" if capital[-2:].sum() / 2 > 1.5 * capital[3 * tall // 4].sum() else "sans"
    except Exception:  # a damaged font must never break a run
        return None


def _nearest(faces: list[FontFacts], weight: int, low: int, high: int) -> FontFacts | None:
    usable = [face for face in faces if low <= face.weight <= high]
    return min(usable, key=lambda face: (abs(face.weight - weight), face.identity)) if usable else None


def _assemble(name: str, faces: list[FontFacts]) -> tuple[str, Family] | None:
    """A typeface from the faces of one family and width, with the identity that it is ordered by."""
    upright, slanted = [f for f in faces if not f.italic], [f for f in faces if f.italic]
    regular = _nearest(upright, 400, 300, 500) or _nearest(upright, 400, 100, 900) or _nearest(slanted, 400, 100, 900)
    kind = _measured_kind(regular.path) if regular else None
    if regular is None or kind is None or "latin" not in regular.scripts:
        return None

    def other(face: FontFacts | None) -> str:
        sound = face is not None and face.scripts >= regular.scripts and _measured_kind(face.path) is not None
        return face.path if sound and face else regular.path

    bold, italic = other(_nearest(upright, 700, 600, 900)), other(_nearest(slanted, 400, 300, 500))
    if regular.decorative or regular.italic or not 300 <= regular.weight <= 500:
        kind = "display"
    return regular.identity, Family(name, kind, regular.path, bold, italic, regular.scripts)


def machine_families(files: Iterable[Path]) -> tuple[Family, ...]:
    """The typefaces made up of `files`, at most twelve of a kind, in an order that follows from their contents."""
    known = {name.lower() for name, *_ in _BUNDLED}
    groups: dict[tuple[str, int], dict[str, FontFacts]] = {}
    for path in files:
        facts = font_facts(path)
        # A machine's own copy of a bundled typeface would only be drawn twice as often.
        if facts is not None and (facts.width != 5 or facts.family.lower() not in known):
            groups.setdefault((facts.family, facts.width), {}).setdefault(facts.identity, facts)
    made = [_assemble(name, list(faces.values())) for (name, _), faces in groups.items()]
    chosen: list[Family] = []
    for _, family in sorted((one for one in made if one is not None), key=lambda one: (one[0], one[1].name)):
        if sum(other.kind == family.kind for other in chosen) < _PER_KIND:
            chosen.append(family)
    return tuple(chosen)


@lru_cache(maxsize=4)
def _families(setting: str) -> tuple[Family, ...]:
    return bundled() + machine_families(font_files(font_folders(setting)))


@lru_cache(maxsize=64)
def _choice(setting: str, kinds: tuple[str, ...], script: str) -> tuple[Family, ...]:
    found = tuple(family for family in _families(setting) if family.kind in kinds and script in family.scripts)
    return found or tuple(family for family in bundled() if family.name == "DejaVu Sans")


def families(*kinds: str, script: str = "latin") -> tuple[Family, ...]:
    """The typefaces in use of the given kinds (all, if none is given) that cover `script`; never empty.

    Raises ValueError for an unknown kind or script.
    """
    if script not in SCRIPTS or not set(kinds) <= set(KINDS):
        raise ValueError(f"no such kind or script: {kinds}, {script!r}; known are {KINDS} and {SCRIPTS}")
    return _choice(os.environ.get(VARIABLE, ""), kinds or KINDS, script)


@lru_cache(maxsize=4)
def _digest(setting: str) -> str:
    digest = hashlib.sha256()
    contents: dict[str, bytes] = {}
    for family in _families(setting):
        digest.update(f"{family.kind} {' '.join(sorted(family.scripts))}".encode())
        for path in family.faces:
            if path not in contents:
                contents[path] = hashlib.sha256(Path(path).read_bytes()).digest()
            digest.update(contents[path])
    return digest.hexdigest()[:16]


def font_digest() -> str:
    """First 16 hex digits of the SHA-256 over kind, scripts and contents of the faces in use, in their order.

    It does not depend on where the files lie or what they are called. Computed once a process.
    """
    return _digest(os.environ.get(VARIABLE, ""))
