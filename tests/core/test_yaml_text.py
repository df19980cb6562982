"""YAML that is not plain data is refused in one line with source and line, whatever it is, and quickly."""

from __future__ import annotations

import time
from typing import Any

import pytest

from core import yaml_text
from core.errors import UserError


def refused(text: str) -> str:
    started = time.process_time()
    with pytest.raises(UserError) as caught:
        yaml_text.parse("x.yaml", text)
    assert time.process_time() - started < 5
    message = str(caught.value)
    assert message.startswith("x.yaml")
    assert len(message) < 300
    assert message.isprintable()
    return message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1", {"a": 1}), ("a: 1.5e+3", {"a": 1500.0}), ("a: 3e-4", {"a": "3e-4"}), ("a: 0x10", {"a": 16}),
        ("a: [x, true, null, -1]", {"a": ["x", True, None, -1]}), ("a: 2024-01-31", {"a": "2024-01-31"}),
        ("a: =", {"a": "="}), ("<<: {a: 1}", {"<<": {"a": 1}}), ("1: a", {1: "a"}), ("", None), ("- a\n- b", ["a",
        "b"]),
        ("\ufeffa: 1\r\nb: 2", {"a": 1, "b": 2}), ("a: !!str 5", {"a": "5"}), ("a: &here x", {"a": "x"}),
    ],
)  # fmt: skip
def test_plain_data(text: str, value: Any) -> None:
    assert yaml_text.parse("x", text)[0] == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: !!python/object/apply:os.system ['true']", "x.yaml:2: not valid YAML: no tag"),
        ("a: !!int ''", "no tag"), ("a: !!binary x", "no tag"), ("a: !mine x", "no tag"), ("!!set {a}", "no tag"),
        ("a: &b [1]\nc: *b", "x.yaml:2: YAML aliases are not supported"),
        ("a: 1\nb: 2\na: 3", "x.yaml:3: 'a' is given twice"), ("a: {b: 1, b: 2}", "'b' is given twice"),
        ("5: a\n0x5: b", "x.yaml:2: '0x5' is given twice"), ("1: a\n'1': b", "'1' is given twice"),
        ("? [a, b]\n: c", "x.yaml:1: a key must be plain text"), ("? {a: b}\n: c", "a key must be"),
        ("a: " + "9" * 5000, "x.yaml:1: a number of 5,000 characters"), ("a: 0x" + "f" * 100, "a number of 102"),
        ("a: 1" + ":0" * 90, "a number of"), ("9" * 500 + ": a", "a number of 500"),
        ("a: .inf", "no finite number"), ("a: -.INF", "no finite"), ("a: .nan", "no finite"), ("a: 1.0e+999",
        "no finite"),
        ("a:\n\tb: 1", "x.yaml:2: not valid YAML"), ("a: b: c", "x.yaml:1: not valid YAML"), ("a: 1\n---\nb: 2",
        "x.yaml:"),
        ("a: 1\nb: \x00", "x.yaml:2: not valid YAML: special characters"), ("a: \x1b[31m", "x.yaml:1: not valid YAML"),
        ("%YAML " + "9" * 5000 + ".1\n--- a", "x.yaml: not valid YAML"), ('a: "\\U00110000"', "x.yaml: not valid YAML"),
        ("a: " + "[" * 30, "x.yaml:1: not valid YAML: nested deeper"), ("[" * 100_000, "nested deeper"),
        ("{a: " * 50_000, "nested deeper"), ("- " * 50_000, "nested deeper"), ("? " * 50_000, "nested deeper"),
        ("a: [" + "1," * 30_000 + "]", "over 20,000 values"), ("x" * 300_000, "over 256 KiB"),
        ("a: '" + "x" * 200_000, "not valid YAML"), ("!" * 200_000, "x.yaml"),
    ],
)  # fmt: skip
def test_what_is_no_plain_data(text: str, expected: str) -> None:
    assert expected in refused(text)


def test_billions_of_laughs_are_not_expanded() -> None:
    lines = ["a0: &a0 [lol]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30))]
    assert "aliases are not supported" in refused("\n".join(lines))


def test_the_longest_text_that_is_taken_is_read_in_seconds() -> None:
    text = "a: [" + "b, " * 19_000 + "]\n" + "# " + "x" * 190_000
    started = time.process_time()
    assert len(yaml_text.parse("x", text)[0]["a"]) == 19_000
    assert time.process_time() - started < 5
