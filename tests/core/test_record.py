"""Records: what was written is read back, any other value is refused, a newer version is told from damage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core import record
from core.record import Damaged, Newer

FACTS: dict[str, Any] = {
    "key": "0123", "metrics": {"tpr@1e-3": 0.1 + 0.2, "auroc": 1.0}, "n": 3, "name": "café \ud800", "none": None,
    "curve": [{"loss": 1e-17}, {"loss": -0.0}],
}  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "result.json"
    path.write_bytes(record.seal(FACTS, 2))
    return path


def test_what_was_sealed_is_read_back_to_the_bit(path: Path) -> None:
    found = record.read(path, 2)
    assert {name: found[name] for name in FACTS} == FACTS
    assert found["schema"] == 2
    assert np.signbit(found["curve"][1]["loss"])
    assert record.seal(found, 2) == path.read_bytes()  # its checksum and schema are not content


def test_a_person_may_lay_it_out_anew_but_not_change_a_value(path: Path) -> None:
    found = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(found.items())), indent=7))
    assert record.read(path, 2)["n"] == 3
    path.write_text(json.dumps({**found, "n": 3.0}))
    with pytest.raises(Damaged, match=r"result\.json is damaged \(its checksum does not match its content\): do it"):
        record.read(path, 2, "do it")


def test_every_flipped_bit_is_harmless_or_refused(path: Path) -> None:
    data, expected = path.read_bytes(), record.read(path, 2)
    refused = 0
    for place in range(len(data)):
        for bit in (0, 1, 4, 5, 7):
            path.write_bytes(data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :])
            try:
                assert record.read(path, 2) == expected, (place, bit)
            except Damaged:
                refused += 1
    assert refused > 3 * len(data)


def test_every_cut_is_refused(path: Path) -> None:
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(Damaged):
            record.read(path, 2)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 4096, b"[1]", b"\xff\xfe", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}", b'{"schema": "2"}',
     b'{"schema": true}', b'{"schema": 2}', b'{"schema": 2, "checksum": 7}',
     b'{"schema": 2, "checksum": "x", "a": NaN}', b'{"schema": 1, "checksum": "x"}', b'{"checksum": "x"}'],
)  # fmt: skip
def test_what_no_writer_wrote_is_damaged(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(Damaged, match=r"result\.json is damaged"):
        record.read(path, 2)


def test_a_folder_and_nothing(tmp_path: Path, path: Path) -> None:
    with pytest.raises(Damaged, match="directory"):
        record.read(tmp_path, 2)
    for gone in (tmp_path / "gone.json", path / "below.json"):
        with pytest.raises(FileNotFoundError):
            record.read(gone, 2)


def test_a_newer_schema_is_no_damage(path: Path) -> None:
    path.write_bytes(record.seal({**FACTS, "new": "field"}, 3))
    with pytest.raises(
        Newer, match=r"result\.json was written by a newer version \(schema 3, this one reads up to 2\)"
    ):
        record.read(path, 2)
    path.write_text('{"schema": 3, "sha": "another way to say it"}')
    with pytest.raises(Newer):
        record.read(path, 2)


def test_one_of_ours_that_calls_itself_newer_is_damage(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"schema": 2', b'"schema": 3'))
    with pytest.raises(Damaged, match="its schema was changed"):
        record.read(path, 2)


def test_older_ones_come_as_they_are(path: Path) -> None:
    for content in ({"schema": 1, "a": 2}, {"a": 2}):
        path.write_text(json.dumps(content))
        assert record.read(path, 2) == content


def test_nan_is_never_sealed() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        record.seal({"a": float("nan")}, 2)
