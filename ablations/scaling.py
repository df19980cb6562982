"""What a run would take on several devices: a model of a step, fitted to measured ones. Pure functions.

A step of a device that has 1/G of the class centres and of the batch:

* embedder: a + b n for its n images;
* class head: a + b S B D + c S D + d C D for its C centres, S of them sampled, and all B embeddings of width D: for
  products, for rows read and written, for passes over all centres (the dense optimiser's, the draw of a sample);
* exchange: what ranks send one another, over the links' bandwidth, not overlapped with anything.

Coefficients are not negative and are fitted to relative errors. Every third measurement is held out to judge the fit
by, and used with the others for the prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ablations import memory
from core.config import RunConfig

if TYPE_CHECKING:
    from core.step_cost import EmbedderStep, HeadStep

_BYTES = 4  # of a float32


@dataclass(frozen=True)
class Fit:
    """Coefficients of the features, in ms, and relative errors of predictions of what was held out, below 0 if low."""

    coefficients: tuple[float, ...]
    errors: tuple[float, ...]

    @property
    def median_error(self) -> float:
        return float(np.median(np.abs(self.errors))) if self.errors else float("nan")

    @property
    def largest_error(self) -> float:
        return max(map(abs, self.errors), default=float("nan"))

    def predict(self, features: Sequence[float]) -> float:
        return float(np.dot(self.coefficients, features))


def head_features(classes: float, sampled: float, batch: float, embed_dim: float) -> tuple[float, ...]:
    """Of a step of the class head, in thousands and millions so that coefficients are of one order."""
    return 1.0, sampled * batch * embed_dim / 1e9, sampled * embed_dim / 1e6, classes * embed_dim / 1e6


def embedder_features(images: float) -> tuple[float, ...]:
    return 1.0, images


def fit(features: Sequence[Sequence[float]], ms: Sequence[float]) -> Fit:
    """Fit by relative error.

    Args:
        features: (N, F), N at least 3 so that one can be held out.
        ms: (N,) measured.

    Raises:
        ValueError: fewer than 3 measurements, or another number of them than of features.
    """
    matrix, measured = np.asarray(features, float), np.asarray(ms, float)
    if len(matrix) < 3 or len(matrix) != len(measured):
        raise ValueError(f"a fit needs at least 3 measurements, not {len(matrix)}")
    held_out = np.arange(len(measured)) % 3 == 1
    judged = _solve(matrix[~held_out], measured[~held_out])
    errors = matrix[held_out] @ judged / measured[held_out] - 1
    return Fit(tuple(_solve(matrix, measured)), tuple(errors))


def _solve(matrix: np.ndarray, measured: np.ndarray) -> np.ndarray:
    from scipy.optimize import nnls  # SciPy, which other commands need not import

    solved: np.ndarray = nnls(matrix / measured[:, None], np.ones(len(measured)))[0]
    return solved


def between(predicted: float, *fits: Fit) -> tuple[float, float]:
    """The least and the most that would be measured, if the prediction errs as the fits did at most to either side."""
    errors = [0.0, *(error for one in fits for error in one.errors)]
    return predicted / (1 + max(errors)), predicted / (1 + min(errors))


def head_fit(steps: Sequence[HeadStep]) -> Fit:
    return fit([head_features(one.classes, one.sampled, one.batch, one.embed_dim) for one in steps], _ms(steps))


def embedder_fit(steps: Sequence[EmbedderStep]) -> Fit:
    return fit([embedder_features(one.images) for one in steps], _ms(steps))


def _ms(steps: Sequence[HeadStep] | Sequence[EmbedderStep]) -> list[float]:
    return [one.ms for one in steps]


@dataclass(frozen=True)
class Scale:
    """One run on `devices`: milliseconds of a step, bytes on each device, bytes that each sends in a step."""

    classes: int
    devices: int
    batch: int
    steps: int
    sampled: int
    embedder_ms: float
    head_ms: float
    exchange_ms: float
    memory: dict[str, float]
    sent: dict[str, float]

    @property
    def step_ms(self) -> float:
        return self.embedder_ms + self.head_ms + self.exchange_ms

    @property
    def seconds(self) -> float:
        return self.step_ms * self.steps / 1e3

    @property
    def device_hours(self) -> float:
        return self.seconds * self.devices / 3600


def predict(
    config: RunConfig, classes: int, devices: int, head: Fit, embedder: Fit, parameters: int, link: float
) -> Scale:
    """The run of a configuration with another number of classes, on several devices like the measured one.

    Args:
        parameters: of the embedder.
        link: bytes per second that a device sends, and receives at the same time.
    """
    loss, optim, dim = config.loss, config.optim, config.model.embed_dim
    batch, part = optim.batch_size, classes / devices
    sampled = loss.sample_rate * classes
    images = config.distill.views * -(-batch // devices)
    sent = _sent(batch, dim, parameters, devices)
    held = memory.on_device(config, classes, devices, images)
    held["embedder and its state"] = memory.of_embedder(parameters)
    return Scale(
        classes, devices, batch, optim.steps, round(sampled),
        embedder_ms=embedder.predict(embedder_features(images)),
        head_ms=head.predict(head_features(part, sampled / devices, batch, dim)),
        exchange_ms=sum(sent.values()) / link * 1e3,
        memory=held, sent=sent,
    )  # fmt: skip


def _sent(batch: int, dim: int, parameters: int, devices: int) -> dict[str, float]:
    """Bytes that a device sends in a step, by rings: a sum over ranks passes everything twice, a gathering once."""
    share = (devices - 1) / devices
    return {
        "gradients of the embedder": 2 * share * parameters * _BYTES,
        "embeddings": share * batch * dim * _BYTES,
        "gradients of embeddings": 2 * share * batch * dim * _BYTES,
        "softmax": 2 * share * 3 * batch * _BYTES,
    }
