"""The fonts that documents are set in: discovery, robustness, order, digest, coverage."""

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from core.data.documents import render
from core.data.layouts import canvas, fonts
from core.data.layouts.sfnt import font_facts
from core.data.layouts.words import SCRIPTS, script_letters

SHIPPED = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def _renamed(source: str, target: Path, family: str) -> Path:
    """A copy of a shipped font under another family name of the same length."""
    data = (SHIPPED / source).read_bytes()
    facts = font_facts(SHIPPED / source)
    assert facts is not None
    assert len(family) == len(facts.family)
    for encoding in ("utf-16-be", "mac-roman"):
        data = data.replace(facts.family.encode(encoding), family.encode(encoding))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return target


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two typefaces, one of two faces, as the machine's only fonts."""
    folder = tmp_path / "fonts"
    _renamed("DejaVuSerif.ttf", folder / "a" / "one.ttf", "Drelmo Prose")
    _renamed("DejaVuSerif-Bold.ttf", folder / "two.ttf", "Drelmo Prose")
    _renamed("STIXGeneral.ttf", folder / "three.TTF", "OTHGeneral" + "s")
    monkeypatch.setenv(fonts.VARIABLE, str(folder))
    return folder


def _listing(folder: Path) -> tuple[fonts.Family, ...]:
    return fonts.machine_families(fonts.font_files([folder]))


def test_the_typefaces_of_a_folder_are_found_and_classed(machine: Path) -> None:
    found = {family.name: family for family in fonts.families()}
    prose, other = found["Drelmo Prose"], found["OTHGenerals"]
    assert (prose.kind, other.kind) == ("serif", "serif")
    assert [Path(face).name for face in prose.faces] == ["one.ttf", "two.ttf", "one.ttf"]
    assert prose.scripts == set(SCRIPTS)
    assert other.scripts == {"latin", "cyrillic", "greek"}
    assert "DejaVu Sans" in found


def test_every_script_has_a_typeface_without_machine_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in ("matplotlib", "/no/such/folder"):
        monkeypatch.setenv(fonts.VARIABLE, setting)
        for script in SCRIPTS:
            found = fonts.families("sans", "serif", script=script)
            assert found
            assert all(str(SHIPPED) in face for family in found for face in family.faces)
        assert fonts.families("mono")
        assert fonts.families("display", script="georgian"), "falls back to a face that has the letters"
        assert len(fonts.font_digest()) == 16
        assert int(fonts.font_digest(), 16) >= 0


def test_what_a_face_is_said_to_cover_it_draws() -> None:
    for family in fonts.bundled():
        blank = canvas._glyph(family.regular, 20, "￿")
        for script in family.scripts:
            for letter in script_letters(script):
                drawn = canvas._glyph(family.regular, 20, letter)
                assert drawn.any(), (family.name, letter)
                assert drawn.shape != blank.shape or (drawn != blank).any(), (family.name, letter)


def test_unknown_kinds_and_scripts_are_refused() -> None:
    with pytest.raises(ValueError, match="runes"):
        fonts.families("sans", script="runes")
    with pytest.raises(ValueError, match="slab"):
        fonts.families("slab")


def test_damaged_and_odd_files_are_left_out(machine: Path) -> None:
    expected = _listing(machine)
    sound = (SHIPPED / "cmr10.ttf").read_bytes()
    rng = np.random.default_rng(0)
    (machine / "empty.ttf").write_bytes(b"")
    (machine / "text.otf").write_bytes(b"not a font at all " * 200)
    (machine / "random.ttc").write_bytes(b"ttcf" + rng.bytes(5000))
    (machine / "short.ttf").write_bytes(sound[: len(sound) // 3])
    (machine / "loop.ttf").write_bytes(sound[:4] + struct.pack(">H", 60_000) + sound[6:])
    shutil.copy(SHIPPED / "STIXSizOneSymReg.ttf", machine / "symbols.ttf")
    shutil.copy(SHIPPED / "LastResortHE-Regular.ttf", machine / "boxes.ttf")
    (machine / "folder.ttf").mkdir()
    (machine / "dangling.ttf").symlink_to(machine / "nowhere")
    assert _listing(machine) == expected
    for share in np.linspace(0.05, 0.95, 12):
        torn = bytearray((machine / "three.TTF").read_bytes())
        start = int(share * len(torn))
        torn[start : start + 4000] = rng.bytes(len(torn[start : start + 4000]))
        (machine / f"torn{start}.ttf").write_bytes(torn)
    for family in _listing(machine):
        assert canvas.text_mask("Harbour 0123 <", family.regular, 14).any()


def test_a_letter_that_fails_is_drawn_in_a_bundled_face(tmp_path: Path) -> None:
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"no font")
    spare = canvas._glyph(fonts.bundled_face(), 15, "R")
    assert np.array_equal(canvas._glyph(str(broken), 15, "R"), spare)


def test_order_and_digest_follow_contents_and_not_paths(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, digest = [family.name for family in fonts.families()], fonts.font_digest()
    moved = tmp_path / "elsewhere" / "z"
    moved.mkdir(parents=True)
    for k, path in enumerate(sorted(machine.rglob("*.[tT][tT][fF]"), reverse=True)):
        shutil.copy(path, moved / f"{k}-renamed.otf")
        shutil.copy(path, tmp_path / "elsewhere" / f"again-{k}.ttf")
    monkeypatch.setenv(fonts.VARIABLE, os.pathsep.join([str(moved), str(tmp_path / "elsewhere")]))
    assert [family.name for family in fonts.families()] == before
    assert fonts.font_digest() == digest
    files = fonts.font_files([moved])
    assert fonts.machine_families(files) == fonts.machine_families(reversed(files))


def test_digest_changes_with_the_fonts(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fonts.font_digest()
    monkeypatch.setenv(fonts.VARIABLE, "matplotlib")
    assert fonts.font_digest() != first
    (machine / "three.TTF").unlink()
    monkeypatch.setenv(fonts.VARIABLE, f"{machine}{os.pathsep}")
    assert len({first, fonts.font_digest()}) == 2


def test_copies_of_the_bundled_fonts_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DejaVuSans.ttf", "DejaVuSerif-Bold.ttf"):
        shutil.copy(SHIPPED / name, tmp_path / f"copy-{name}")
    monkeypatch.setenv(fonts.VARIABLE, "matplotlib")
    expected = fonts.font_digest()
    monkeypatch.setenv(fonts.VARIABLE, str(tmp_path))
    assert fonts.font_digest() == expected


def test_at_most_twelve_typefaces_of_a_kind(tmp_path: Path) -> None:
    for k in range(14):
        _renamed("cmss10.ttf", tmp_path / f"{k}.ttf", f"face{k:02d}")
    assert len(_listing(tmp_path)) == 12


def test_documents_are_set_in_the_machine_fonts(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_machine = [render(5, index, 64) for index in range(0, 48, 4)]
    monkeypatch.setenv(fonts.VARIABLE, "matplotlib")
    bundled_only = [render(5, index, 64) for index in range(0, 48, 4)]
    same = [np.array_equal(one, other) for one, other in zip(with_machine, bundled_only, strict=True)]
    assert not all(same)


def test_drawing_needs_no_pyplot_and_says_nothing() -> None:
    program = (
        "import sys; from core.data.documents import font_digest; font_digest(); "
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("False\n", "")
