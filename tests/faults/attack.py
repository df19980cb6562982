"""Hypothesis against a reader: valid inputs with pieces changed, taken out, doubled and put in, and random bytes."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.faults.seeds import seeds_of, tokens_of
from tests.faults.targets import TARGETS

_MOST = 200_000  # bytes of an input


@st.composite
def mutated(draw: st.DrawFn, target: str) -> bytes:
    """A valid input after one to six changes."""
    seeds = seeds_of(target)
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(["flip", "cut", "double", "token", "token", "line", "truncate", "splice"]))
        length = draw(st.integers(1, 64))
        if kind == "flip" and data:
            data[min(at, len(data) - 1)] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del data[at : at + length]
        elif kind == "double":
            data[at:at] = data[at : at + length] * draw(st.integers(1, 30))
        elif kind == "token":
            data[at : at + draw(st.integers(0, 8))] = draw(st.sampled_from(tokens_of(target)))
        elif kind == "line":
            _replace_word(data, at, draw(st.sampled_from(tokens_of(target))))
        elif kind == "truncate":
            del data[at:]
        else:
            other = draw(st.sampled_from(seeds))
            data[at:] = other[draw(st.integers(0, len(other))) :]
    return bytes(data[:_MOST])


def _replace_word(data: bytearray, at: int, token: bytes) -> None:
    """Put `token` in the place of what stands between the separators around `at`: the structure stays whole."""
    separators = b' ,:{}[]\n"'
    start, stop = at, at
    while start > 0 and data[start - 1] not in separators:
        start -= 1
    while stop < len(data) and data[stop] not in separators:
        stop += 1
    data[start:stop] = token


def attack(target: str, cases: int, room: Path) -> tuple[int, int]:
    """Read `cases` hostile inputs, the same in every call; returns how many there were and how many were refused.

    Raises:
        Exception: what the reader raised for the smallest such input that was found, which is in its notes.
    """
    tries = refused = 0

    @settings(
        max_examples=cases, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )  # fmt: skip
    @given(st.one_of(mutated(target), mutated(target), mutated(target), st.binary(max_size=400)))
    def read(data: bytes) -> None:
        nonlocal tries, refused
        tries += 1
        refused += not TARGETS[target].survive(data, room)

    for seed in seeds_of(target):
        tries += 1
        refused += not TARGETS[target].survive(seed, room)
    read()
    return tries, refused
