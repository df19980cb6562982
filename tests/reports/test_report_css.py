"""The colours of report.html: what is text can be read, and figures follow."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from reports.claims import findings
from reports.contrasts import Contrast
from reports.decision import OUTCOMES, Outcome
from reports.estimates import Estimate
from reports.figure_files import VARIABLES
from reports.figures_style import PALETTE, PAPER
from reports.findings_plot import findings_figure
from reports.html import BADGES
from reports.stats import Interval
from reports.verdicts import Verdict


def _css() -> str:
    return resources.files("reports").joinpath("report.css").read_text(encoding="utf-8")


def _palettes() -> dict[str, dict[str, str]]:
    """The variables of each mode."""
    light, dark = re.findall(
        r":root \{(.*?)\}",
        resources.files("reports").joinpath("report.css").read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )[:2]
    return {
        mode: dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})\b", text))
        for mode, text in (("light", light), ("dark", dark))
    }


def _contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2.2, from 1 to 21."""

    def luminance(color: str) -> float:
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_contrast_ratio_is_that_of_the_standard() -> None:
    assert _contrast("#000000", "#ffffff") == pytest.approx(21)
    assert _contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_can_be_read(mode: str) -> None:
    colors = _palettes()[mode]
    pairs = [(name, ground) for name in ("ink", "muted", "link") for ground in ("paper", "wash")]
    pairs += [(name, f"{name}-wash") for name in BADGES.values()]
    assert {pair: _contrast(*(colors[name] for name in pair)) for pair in pairs if
            _contrast(*(colors[name] for name in pair)) < 4.5} == {}  # fmt: skip


def test_arms_and_marks_can_be_seen_on_dark() -> None:
    colors = _palettes()["dark"]
    for name in ("mark", *(f"c{index}" for index in range(len(PALETTE)))):
        assert _contrast(colors[name], colors["paper"]) > 4.5, name


def test_arms_have_the_colours_of_the_png_in_light_mode() -> None:
    colors = _palettes()["light"]
    assert tuple(colors[f"c{index}"] for index in range(len(PALETTE))) == tuple(color.lower() for color in PALETTE)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_every_colour_of_a_figure_has_a_value(mode: str) -> None:
    assert set(VARIABLES.values()) <= set(_palettes()[mode])


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("word", OUTCOMES)
def test_a_verdict_in_a_figure_can_be_read(word: Outcome, mode: str) -> None:
    contrast = Contrast(finding="4_norm_ln_vs_bn", better="ln", than="bn")
    seen = Estimate("norm", contrast, "tpr@1e-4", Interval(0.03, 0.02, 0.04, 0.005, 0, 2, 2, 3))
    figure = findings_figure([Verdict(findings()["4_norm_ln_vs_bn"], word, "why", (seen,))])
    (color,) = {str(text.get_color()) for text in figure.axes[0].texts if word in text.get_text()}
    colors = _palettes()[mode]
    shown = colors[VARIABLES[color]]
    assert mode == "dark" or shown in (color, colors["muted"]), "the page and the PNG have one colour"
    assert min(_contrast(shown, colors["paper"]), _contrast(color, PAPER)) >= 4.5
