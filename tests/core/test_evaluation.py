"""What is judged is the embedder as it is, one image apart from the others, on captures that were not registered."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from core.data.corpus_images import Captures
from core.errors import RunFailure
from core.evaluation import embed, evaluate, judge
from reports.replicates import tpr_replicates

CPU = torch.device("cpu")


def test_so_many_negatives_are_kept_that_any_draw_of_few_identities_has_its_threshold() -> None:
    """A draw that has some look-alikes several times has its threshold far beyond the share that its rate takes."""
    rng = np.random.default_rng(0)
    layouts = rng.normal(size=(5, 16)).repeat(20, 0)  # 20 documents each
    identities = np.arange(100).repeat(5)
    rows = (layouts + 0.5 * rng.normal(size=layouts.shape))[identities] + 0.5 * rng.normal(size=(500, 16))
    judged = judge(
        torch.tensor(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=torch.float32),
        Captures(np.zeros((500, 1, 1, 3), np.uint8), identities),
    )
    found = tpr_replicates(judged.scores(), 1e-2)
    assert found is not None
    assert found.std() > 0


@pytest.mark.parametrize("training", [True, False])
def test_an_image_is_embedded_apart_from_its_batch_and_leaves_no_trace(training: bool) -> None:
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(12)).train(training)
    before = deepcopy(model.state_dict())
    images = np.random.default_rng(0).integers(0, 255, (200, 2, 2, 3), np.uint8)  # more than are embedded at once
    torch.testing.assert_close(embed(model, images, CPU)[[0, 199]], embed(model, images[[0, 199]], CPU))
    assert model.training == training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_images_come_to_the_embedder_by_channel_and_from_zero_to_one() -> None:
    images = np.random.default_rng(0).integers(0, 255, (3, 2, 2, 3), np.uint8)
    expected = torch.from_numpy(images).permute(0, 3, 1, 2).flatten(1) / 255
    torch.testing.assert_close(embed(nn.Flatten(), images, CPU), expected)


@pytest.mark.parametrize("scale", [0.0, float("inf"), float("nan")])
def test_an_embedder_that_gives_no_directions_has_diverged(scale: float) -> None:
    """Its last step may have done that, after which no loss is looked at."""

    class Lost(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.flatten(1) * torch.tensor([scale] + [1.0] * (len(images) - 1))[:, None]

    images = np.random.default_rng(0).integers(1, 255, (4, 2, 2, 3), np.uint8)
    with pytest.raises(RunFailure, match="1 of 4 captures have embeddings") as raised:
        evaluate(Lost(), Captures(images, np.array([0, 0, 1, 1])), CPU)
    assert raised.value.kind == "diverged"


def test_the_first_capture_of_each_identity_is_registered_and_the_others_are_looked_up() -> None:
    identities = np.array([7, 7, 3, 3, 3])
    embeddings = torch.tensor([[1, 0], [1, 0.1], [0.1, 1], [0.2, 1], [1, 0.05]])  # the last one looks like a 7
    captures = Captures(np.zeros((5, 1, 1, 3), np.uint8), identities)
    assert judge(embeddings, captures).metrics["top1"] == pytest.approx(2 / 3)
