"""The A/A control's declaration and its seeds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reports.control import AGAIN, CLAIM, CONTROL_SEEDS, control_offset, control_study


def test_neither_arm_changes_anything() -> None:
    study = control_study()
    assert study.baseline == "baseline"
    assert {name: arm.set for name, arm in study.arms.items()} == {"baseline": {}, AGAIN: {}}
    assert [(one.finding, one.better, one.than, one.metric) for one in study.contrasts] == [
        (CLAIM, AGAIN, "baseline", "tpr@1e-4")
    ]


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=20))
def test_control_seeds_never_meet_those_asked_for(seeds: list[int]) -> None:
    offset = control_offset(seeds)
    assert offset % CONTROL_SEEDS == 0
    assert not {seed + offset for seed in seeds} & set(seeds)


def test_more_seeds_keep_the_controls_runs() -> None:
    assert control_offset(range(5)) == control_offset(range(10)) == control_offset(range(1000)) == CONTROL_SEEDS
    assert control_offset([0, 1000]) == 2 * CONTROL_SEEDS
