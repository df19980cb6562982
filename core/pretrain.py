"""Pretraining without natural images: formula-driven patterns, each pattern a class.

The idea is that of formula-driven supervised learning (Kataoka et al. 2020; one image a class as in
OFDB, Nakamura et al. 2023): no photograph, no document, no label. The recipe is plain softmax at scale
16 with BatchNorm in the head, because margin losses at scale 64 hardly start from scratch.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import nn
from torch.nn import functional

from core.config import RunConfig
from core.data import cache
from core.data.corpus import Progress, captures
from core.data.sources import ProceduralDocuments
from core.evaluation import evaluate
from core.loss.partial_fc import PartialFC
from core.model.embedder import Embedder
from core.precision import matmul_precision
from core.result import environment
from core.seeds import torch_stream
from core.store import write_atomic
from core.trainer import ClassOrder, learning_rate_factor

_PATTERN_SEED = 900
_CORNER_SHIFT = 0.12  # of a side: more than the captures' own, so that theirs are inside


@dataclass(frozen=True)
class Recipe:
    """How weights are made; written beside them."""

    backbone: str = "lcnet_050"
    patterns: int = 2000
    image_size: int = 64
    samples: int = 200_000
    batch_size: int = 64
    lr: float = 2e-3
    scale: float = 16.0
    seed: int = 0


def pretrain(recipe: Recipe, folder: Path, *, threads: int = 1, progress: Progress | None = None) -> dict[str, Any]:
    """Train a backbone on patterns; write `<backbone>.safetensors` and its card `<backbone>.yaml`.

    Returns:
        The card: recipe, seconds, and how well the pooled features of the backbone alone verify
        procedural validation documents, which it has never seen, before and after.

    Raises:
        UserError, RunFailure: as in training.
    """
    from safetensors.torch import save

    torch.set_num_threads(threads)
    config = _config(recipe)
    store = cache.cache_dir(None)
    held_out = captures(ProceduralDocuments("validation", 100), 5, recipe.image_size, store, progress)
    patterns = torch.from_numpy(_patterns(recipe, store, progress)).permute(0, 3, 1, 2).contiguous()
    embedder = Embedder(config.model, recipe.image_size, recipe.seed).to(memory_format=torch.channels_last)
    device = torch.device("cpu")
    started = time.perf_counter()
    pooled = nn.Sequential(embedder.backbone, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    before = evaluate(pooled, held_out, device).metrics
    with matmul_precision("medium"):
        final_loss = _train(recipe, config, embedder, patterns, progress)
    after = evaluate(pooled, held_out, device).metrics
    state = {name: tensor.contiguous() for name, tensor in embedder.backbone.features.state_dict().items()}
    card = {
        "made_by": "python -m ablations pretrain: formula-driven patterns, no natural images, no documents",
        "recipe": asdict(recipe),
        "seconds": round(time.perf_counter() - started, 1),
        "final_loss": round(final_loss, 4),
        "unseen_procedural_documents": {"untrained": _rounded(before), "pretrained": _rounded(after)},
        "environment": environment("cpu", threads),
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / f"{recipe.backbone}.safetensors", save(state))
    write_atomic(folder / f"{recipe.backbone}.yaml", yaml.safe_dump(card, sort_keys=False).encode())
    return card


def _rounded(metrics: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in metrics.items()}


def _config(recipe: Recipe) -> RunConfig:
    return RunConfig().with_overrides(
        {
            "model.backbone": recipe.backbone,
            "model.pretrained": "none",
            "model.norm": "bn",
            "optim.batch_size": recipe.batch_size,
            "optim.samples": recipe.samples,
            "data.image_size": recipe.image_size,
        }
    )


def _patterns(recipe: Recipe, store: Path, progress: Progress | None) -> np.ndarray:
    from core.data.patterns import PATTERNS_VERSION, render_pattern

    def build() -> np.ndarray:
        out = np.empty((recipe.patterns, recipe.image_size, recipe.image_size, 3), np.uint8)
        for index in range(recipe.patterns):
            out[index] = render_pattern(_PATTERN_SEED, index, recipe.image_size)
            if progress and index % 64 == 63:
                progress("patterns", index + 1, recipe.patterns)
        return out

    description = f"patterns {PATTERNS_VERSION} {_PATTERN_SEED} {recipe.patterns} {recipe.image_size}"
    return cache.cached_array(store, "patterns", description, build)


def _train(
    recipe: Recipe, config: RunConfig, embedder: Embedder, patterns: torch.Tensor, progress: Progress | None
) -> float:
    """The loop; returns the running mean of the loss."""
    optim, seed = config.optim, recipe.seed
    head = PartialFC(
        config.model.embed_dim, recipe.patterns, "softmax", recipe.scale, 0.0, 1.0,
        init_generator=torch_stream(seed, "init.centres"),
    )  # fmt: skip
    parameters = [*embedder.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=recipe.lr, weight_decay=optim.weight_decay, fused=True)
    order = ClassOrder(recipe.patterns, recipe.batch_size, torch_stream(seed, "order"))
    stream = torch_stream(seed, "augment")
    mean = float("nan")
    embedder.train()
    for step in range(optim.steps):
        classes = order.next()
        images = photographed(patterns[classes], stream)
        loss = head(embedder(images.contiguous(memory_format=torch.channels_last)), classes)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, optim.clip)
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr * learning_rate_factor(step, optim.steps, optim.warmup)
        optimizer.step()
        mean = loss.item() if step == 0 else mean + 0.01 * (loss.item() - mean)
        if progress and step % 16 == 15:
            progress(f"pretraining {recipe.backbone}, loss {mean:.2f}", (step + 1) * recipe.batch_size, recipe.samples)
    return mean


def photographed(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Mild views as of photographs: (B, 3, S, S) uint8 -> float32 in [0, 1].

    Corners move by up to 12 % of a side; brightness, colour balance, softness and noise vary. The
    record's augmentation (inversion, channel shuffles, heavy noise) is left to fine-tuning: from scratch
    it hides what there is to learn, and features end below those of an untrained network.
    """
    batch, _, size, _ = images.shape
    square = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    shift = (torch.rand(batch, 4, 2, generator=generator) * 2 - 1) * (2 * _CORNER_SHIFT)
    matrix = _homography(square.expand(batch, 4, 2), square + shift)
    axis = torch.linspace(-1 + 1 / size, 1 - 1 / size, size)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    points = torch.stack([x, y, torch.ones_like(x)], dim=-1).view(1, -1, 3)
    mapped = points @ matrix.transpose(1, 2)
    grid = (mapped[..., :2] / mapped[..., 2:]).view(batch, size, size, 2)
    moved = functional.grid_sample(images.float(), grid, align_corners=False, padding_mode="border")
    level = torch.rand(batch, 6, 1, 1, generator=generator)
    gain = (0.75 + 0.5 * level[:, :1]) * (0.9 + 0.2 * level[:, 1:4])
    softened = functional.avg_pool2d(moved, 3, stride=1, padding=1, count_include_pad=False)
    moved = torch.lerp(moved, softened, level[:, 4:5]).mul_(gain / 255)
    noise = torch.randint(-128, 128, moved.shape, generator=generator, dtype=torch.int8)
    return moved.addcmul_(noise.float(), level[:, 5:6] * (0.08 / 128)).clamp_(0, 1)


def _homography(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """(B, 3, 3) maps that take four points (B, 4, 2) to four others: the direct linear transform."""
    x, y = source[..., 0], source[..., 1]
    u, v = target[..., 0], target[..., 1]
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    rows_u = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], dim=-1)
    rows_v = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], dim=-1)
    system = torch.cat([rows_u, rows_v], dim=1)
    solved = torch.linalg.solve(system, torch.cat([u, v], dim=1))
    return torch.cat([solved, torch.ones(len(solved), 1)], dim=1).view(-1, 3, 3)
