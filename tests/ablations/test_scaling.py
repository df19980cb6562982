"""The model of a step: it finds what made its measurements, is judged by others, and shares out what devices share."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from ablations import scaling
from core.config import RunConfig
from core.step_cost import EmbedderStep, HeadStep

FAST = {"loss.centre_update": "row_scalar", "loss.sampler": "windows"}
TRUE = (0.8, 9.0, 1.5, 0.2)  # ms by feature of the head


def heads(noise: float = 0.0) -> list[HeadStep]:
    draws = np.random.default_rng(0)
    found = []
    for classes, rate, batch in itertools.product((2_000, 50_000, 400_000), (1.0, 0.3, 0.1), (32, 128, 512)):
        features = scaling.head_features(classes, rate * classes, batch, 256)
        ms = float(np.dot(TRUE, features)) * math.exp(noise * draws.normal())
        found.append(HeadStep(classes, int(rate * classes), batch, 256, ms))
    return found


def embedders() -> list[EmbedderStep]:
    return [EmbedderStep(images, 2 + 0.5 * images) for images in (8, 16, 32, 64, 128)]


def test_the_fit_finds_what_made_the_measurements_and_errs_by_their_noise() -> None:
    exact = scaling.head_fit(heads())
    assert exact.coefficients == pytest.approx(TRUE, abs=1e-3)
    assert exact.largest_error < 1e-3
    assert len(exact.errors) == 9
    noisy = scaling.head_fit(heads(noise=0.1))
    assert 0.02 < noisy.median_error < 0.2
    assert noisy.median_error < noisy.largest_error < 0.5


def test_errors_are_of_measurements_that_the_fit_did_not_see() -> None:
    """One that lies far off is not explained away, and the others do not make up for it."""
    steps = heads()
    steps[4] = HeadStep(**{**steps[4].__dict__, "ms": steps[4].ms * 10})  # the second of three: held out
    assert scaling.head_fit(steps).largest_error == pytest.approx(0.9, abs=0.05)


def test_the_range_of_a_prediction_has_what_was_predicted_too_low_and_too_high() -> None:
    """Where half of what was measured was predicted, twice as much as predicted is possible, not 1.5 times."""
    low, high = scaling.Fit((1.0,), (-0.5, 0.1)), scaling.Fit((1.0,), (0.0, 0.25))
    assert scaling.between(100.0, low, high) == pytest.approx((80.0, 200.0))
    assert scaling.between(100.0, high) == pytest.approx((80.0, 100.0))
    assert (low.largest_error, low.median_error) == pytest.approx((0.5, 0.3))
    steps = heads()
    for factor in (0.1, 10.0):  # of the second of three, which is held out: the range has it
        off = [*steps[:4], HeadStep(**{**steps[4].__dict__, "ms": steps[4].ms * factor}), *steps[5:]]
        least, most = scaling.between(100.0, scaling.head_fit(off))
        assert least <= 100 * factor * 1.01
        assert most >= 100 * factor * 0.99


def test_too_few_measurements_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 3"):
        scaling.embedder_fit(embedders()[:2])


def predicted(devices: int, classes: int = 10_000_000, link: float = 12.5e9, **changes: object) -> scaling.Scale:
    config = RunConfig().with_overrides({"optim.batch_size": 512, "optim.samples": 512_000, **FAST, **changes})
    return scaling.predict(
        config, classes, devices, scaling.head_fit(heads()), scaling.embedder_fit(embedders()), 500_000, link
    )


def test_devices_share_the_centres_and_the_images_but_not_the_batch_that_centres_see() -> None:
    one, eight = predicted(1), predicted(8)
    assert (one.steps, one.sampled) == (eight.steps, eight.sampled) == (1000, 3_000_000)
    assert one.embedder_ms == pytest.approx(2 + 0.5 * 512, rel=1e-3)
    assert eight.embedder_ms == pytest.approx(2 + 0.5 * 64, rel=1e-3)
    features = scaling.head_features(1_250_000, 375_000, 512, 256)
    assert eight.head_ms == pytest.approx(np.dot(TRUE, features), rel=1e-3)
    order = 10_000_000 * 8  # of windows, which every device draws whole
    whole, part = (found.memory["class centres and their state"] - order for found in (one, eight))
    assert whole == 10_000_000 * (256 * 4 + 8)
    assert part == pytest.approx(whole / 8)


def test_what_is_sent_is_that_of_rings_and_takes_the_links_time() -> None:
    assert sum(predicted(1).sent.values()) == 0
    sent = predicted(4).sent
    assert sent["gradients of the embedder"] == 2 * 0.75 * 500_000 * 4
    assert sent["embeddings"] == 0.75 * 512 * 256 * 4
    assert sent["gradients of embeddings"] == 2 * sent["embeddings"]
    slow, fast = predicted(4, link=1e9), predicted(4, link=1e10)
    assert slow.exchange_ms == pytest.approx(10 * fast.exchange_ms) == pytest.approx(sum(sent.values()) / 1e6)
    assert slow.step_ms == pytest.approx(slow.embedder_ms + slow.head_ms + slow.exchange_ms)
    assert slow.device_hours == pytest.approx(4 * slow.seconds / 3600)


def test_the_documented_head_keeps_four_values_a_value() -> None:
    dense = predicted(2, **{"loss.centre_update": "dense", "loss.sampler": "uniform"})
    assert dense.memory["class centres and their state"] == 5_000_000 * 256 * 4 * 4
    assert dense.memory["a step of the head"] > predicted(2).memory["a step of the head"]


def test_a_clean_view_doubles_the_images() -> None:
    clean = {"distill.kind": "kld", "distill.clean_view": True}
    assert predicted(8, **clean).embedder_ms == pytest.approx(2 + 0.5 * 128, rel=1e-3)
