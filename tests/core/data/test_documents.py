"""Procedural documents: determinism, what is fixed and what varies, siblings, captions."""

import hashlib
import os
import subprocess
import sys
from functools import cache

import numpy as np
import pytest

from core.data import documents
from core.data.documents import FAMILIES, GROUP_SIZE, caption, describe, render

SEED = 3


@cache
def _first_index(family: str) -> int:
    return next(g * GROUP_SIZE for g in range(400) if describe(SEED, g * GROUP_SIZE)["family"] == family)


@pytest.fixture(autouse=True)
def _fonts_that_are_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCABLATE_FONTS", "matplotlib")


def _changed_share(first: np.ndarray, second: np.ndarray) -> float:
    return float((np.abs(first.astype(int) - second.astype(int)).max(axis=2) > 24).mean())


def test_same_bytes_in_a_fresh_process_whatever_was_drawn_before() -> None:
    cases = [(SEED, 0, 64, 0), (SEED, 17, 96, 5), (SEED, 2001, 128, 1)]
    digest = hashlib.sha256()
    for case in cases:
        digest.update(render(*case).tobytes())
    program = (
        "import hashlib; from core.data.documents import render; d = hashlib.sha256(); out = {}\n"
        f"for c in reversed({cases}): out[c] = render(*c).tobytes()\n"
        f"for c in {cases}: d.update(out[c])\n"
        "print(d.hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    fresh = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert fresh.stdout.strip() == digest.hexdigest()


def test_a_render_may_be_written_to_without_spoiling_the_next() -> None:
    first = render(SEED, 4, 64)
    expected = first.copy()
    first[:] = 0
    assert np.array_equal(render(SEED, 4, 64), expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_draws_and_its_fields_change_a_part_only(family: str) -> None:
    index = _first_index(family)
    views = [render(SEED, index, 128, fields) for fields in range(4)]
    assert all(view.shape == (128, 128, 3) and view.dtype == np.uint8 for view in views)
    assert views[0].std() > 12, "a near-blank document"
    shares = [_changed_share(views[0], view) for view in views[1:]]
    assert min(shares) > 0.0005
    assert max(shares) < 0.6


def test_another_template_differs_more_than_another_holder() -> None:
    indices = range(0, 120, 7)
    holder = np.mean([_changed_share(render(SEED, i, 48, 0), render(SEED, i, 48, 1)) for i in indices])
    sibling = np.mean([_changed_share(render(SEED, i, 48, 0), render(SEED, i ^ 1, 48, 0)) for i in indices])
    stranger = np.mean([_changed_share(render(SEED, i, 48, 0), render(SEED, i + 400, 48, 0)) for i in indices])
    assert 1.3 * holder < sibling < stranger


def test_siblings_share_family_and_parts_and_differ_in_livery() -> None:
    for group in range(40):
        siblings = [describe(SEED, GROUP_SIZE * group + k) for k in range(GROUP_SIZE)]
        for shared in ("family", "parts", "tone", "script", "mirrored", "portrait_side"):
            assert len({str(one[shared]) for one in siblings}) == 1, shared
        assert len({(one["emblem"], one["colours"], one["title"], one["art"]) for one in siblings}) == GROUP_SIZE


def test_all_families_occur_about_equally() -> None:
    drawn = [describe(1, GROUP_SIZE * group)["family"] for group in range(600)]
    counts = [drawn.count(family) for family in FAMILIES]
    assert len(FAMILIES) >= 14
    assert min(counts) > 600 / len(FAMILIES) / 2


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_outside_the_fields_is_untouched_by_the_holder(family: str) -> None:
    index = _first_index(family)
    fixed, slots, _ = documents._template(SEED, index, documents.font_digest())
    free = np.ones((fixed.height, fixed.width), bool)
    for slot in slots:
        tall = {"address": 3 * slot.size + 12, "mrz": slot.h + slot.size}.get(slot.kind, slot.h + slot.size)
        wide = max(slot.w, 8) * (1.25 if slot.kind == "signature" else 1)
        left = slot.x - {"right": wide, "centre": wide / 2}.get(slot.align, wide if slot.kind == "amounts" else 0)
        top = max(0, int(slot.y) - 2 - (int(slot.h) if slot.kind == "signature" else 0))
        free[top : int(slot.y + 1.5 * tall) + 3, max(0, int(left - 0.1 * wide) - 3) : int(left + 2 * wide) + 4] = False
    assert free.any()
    views = []
    for holder in range(3):
        page = documents.Canvas(fixed.copy())
        documents.fill(page, slots, np.random.default_rng(holder))
        views.append(np.asarray(page.image))
        assert np.array_equal(views[-1][free], np.asarray(fixed)[free])
    assert any((view != views[0]).any() for view in views)


def test_the_parts_and_backgrounds_named_are_drawn() -> None:
    for group in range(80):
        told = describe(SEED, GROUP_SIZE * group)
        parts = told["parts"]
        assert isinstance(parts, tuple)
        assert bool(told["portrait_side"]) == ("portrait" in parts)
        if told["family"] in ("invoice", "receipt", "letter"):
            assert told["art"] == "plain"
        if told["family"] == "receipt":
            assert not {"barcode", "payment code"} <= set(parts)
        _, slots, rounded = documents._template(SEED, GROUP_SIZE * group, documents.font_digest())
        kinds = {slot.kind for slot in slots}
        drawn = {"portrait": "portrait", "barcode": "barcode", "signature": "signature", "payment code": "matrix code"}
        for part, kind in {**drawn, "tick boxes": "ticks", "fingerprint": "fingerprint"}.items():
            assert part not in parts or kind in kinds, (told["family"], part)
        assert rounded == ("rounded corners" in parts)


def test_seed_index_and_fields_each_matter() -> None:
    images = [render(s, i, 32, f) for s, i, f in ((1, 0, 0), (2, 0, 0), (1, 4, 0), (1, 0, 1))]
    assert len({image.tobytes() for image in images}) == 4


def test_size_changes_the_scale_and_not_the_picture() -> None:
    small, large = render(SEED, 8, 32, 2), render(SEED, 8, 128, 2)
    shrunk = large.reshape(32, 4, 32, 4, 3).mean(axis=(1, 3))
    assert np.abs(shrunk - small).mean() < 8


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((-1, 0, 64, 0), "seed"),
        ((0, -1, 64, 0), "index"),
        ((0, 0, 64, -2), "fields"),
        ((0, 0.5, 64, 0), "index"),
        ((True, 0, 64, 0), "seed"),
        ((0, 0, 8, 0), "size"),
        ((0, 0, 5000, 0), "size"),
        ((0, 0, 64.0, 0), "size"),
    ],
)
def test_invalid_arguments_are_named(arguments: tuple, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        render(*arguments)


def test_numpy_integers_are_integers() -> None:
    assert np.array_equal(render(np.int64(1), np.uint8(7), np.int32(32), np.int64(2)), render(1, 7, 32, 2))


def test_describe_and_caption_refuse_a_negative_index() -> None:
    with pytest.raises(ValueError, match="index"):
        describe(0, -4)
    with pytest.raises(ValueError, match="index"):
        caption(0, -4, np.random.default_rng(0))


def test_captions_say_what_describe_says_and_drop_clauses_at_random() -> None:
    for index in range(0, 40, 3):
        facts = describe(SEED, index)
        captions = [caption(SEED, index, np.random.default_rng(draw)) for draw in range(30)]
        assert all(str(facts["family"]) in text for text in captions)
        assert any("of one colour" in text or "of two colours" in text for text in captions)
        told = [str(facts["emblem"]) + " emblem", f"titled {facts['title']}", f"{facts['art']} background"]
        told += [f"{facts['script']} letters", f"{facts['orientation']} format"]
        told += [f"portrait on the {facts['portrait_side']}"] if facts["portrait_side"] else []
        told += [" and ".join(dict.fromkeys(facts["colours"]))]  # type: ignore[call-overload]
        for clause in told:
            assert 0 < sum(clause in text for text in captions) < 30, clause
        for text in captions:
            shown = text.partition("showing ")[2]
            assert all(part in facts["parts"] for part in shown.split(" and ") if part)  # type: ignore[operator]
        assert caption(SEED, index, np.random.default_rng(1)) == captions[1]


def test_the_version_is_an_integer() -> None:
    assert isinstance(documents.GENERATOR_VERSION, int)
