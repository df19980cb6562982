"""Pretraining without natural images: formula-driven patterns, each pattern a class.

The idea is that of formula-driven supervised learning (Kataoka et al. 2020; one image a class as in
OFDB, Nakamura et al. 2023): no photograph, no document, no label. The recipe is plain softmax at scale
16 with BatchNorm in the head, because margin losses at scale 64 hardly start from scratch. The same
recipe takes a folder of images instead of patterns, so that the two can be compared.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import nn

from core.config import RunConfig
from core.data import cache
from core.data.corpus import trainable
from core.data.corpus_images import captures
from core.data.folder import read, scan
from core.data.patterns import PATTERNS_VERSION, render_pattern
from core.data.rendering import Progress
from core.data.scans import ImageFile, Scan
from core.data.sources import ProceduralDocuments
from core.data.views import photographed
from core.errors import UserError
from core.evaluation import evaluate
from core.loss.partial_fc import PartialFC
from core.model.embedder import Embedder
from core.precision import matmul_precision
from core.result import code_digest, environment
from core.resumable import Training, run
from core.schedule import ClassOrder
from core.seeds import torch_stream
from core.store import write_atomic

_PATTERN_SEED = 900
_CROP_SEED = 901


@dataclass(frozen=True)
class Recipe:
    """How weights are made; written beside them."""

    backbone: str = "lcnet_050"
    classes: int = 2000
    image_size: int = 64
    samples: int = 260_000
    batch_size: int = 64
    lr: float = 2e-3
    scale: float = 16.0
    neck: str = "gap"
    seed: int = 0


@dataclass(frozen=True)
class _Pattern:
    """Draws the image of a formula-driven class."""

    size: int

    def __call__(self, index: int) -> np.ndarray:
        return render_pattern(_PATTERN_SEED, index, self.size)


@dataclass(frozen=True)
class _Crop:
    """Draws a class from natural images: each whole image once, then crops of a third to four fifths of the sides."""

    files: tuple[ImageFile, ...]
    size: int

    def __call__(self, index: int) -> np.ndarray:
        repeat, number = divmod(index, len(self.files))
        image = read(self.files[number])
        box = (0.0, 0.0, float(image.width), float(image.height))
        if repeat:
            rng = np.random.default_rng([_CROP_SEED, repeat, number])
            share = rng.uniform(0.35, 0.8)
            wide, tall = share * image.width, share * image.height
            x, y = rng.uniform(0, image.width - wide), rng.uniform(0, image.height - tall)
            box = (x, y, x + wide, y + tall)
        return np.asarray(image.resize((self.size, self.size), box=box))


def pretrain(
    recipe: Recipe,
    folder: Path,
    *,
    data: Sequence[str] = (),
    evaluation: Sequence[str] = (),
    threads: int = 1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train a backbone; write `<backbone>.safetensors` and its card `<backbone>.yaml`.

    A stopped call goes on from its checkpoint in `folder` when it is given the same recipe and images again.

    Args:
        data: folders of images to train on in place of patterns; those that runs of the same folders would be judged
            on are left out.
        evaluation: folders that runs will be judged on, with `--eval`: what is in them is left out instead.

    Returns:
        The card: recipe, seconds, and how well the pooled features of the backbone alone verify
        procedural validation documents, which it has never seen, before and after.

    Raises:
        UserError, RunFailure: as in training.
    """
    from safetensors.torch import save

    torch.set_num_threads(threads)
    store = cache.cache_dir(None)
    if evaluation and not data:
        raise UserError("--eval: it leaves images out of --data, which is not given")
    found = trainable(scan(data, store), evaluation, store) if data else None
    if found is not None and not found.images:
        raise UserError(f"--data: all images of {', '.join(data)} are judged on, as --eval has them too: name others")
    config = _config(recipe)
    embedder = Embedder(config.model, recipe.image_size, recipe.seed).to(memory_format=torch.channels_last)
    images = _images(recipe, found, store, progress)
    held_out = captures(ProceduralDocuments("validation", 100), 5, recipe.image_size, store, progress)
    pooled = nn.Sequential(embedder.backbone, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    device = torch.device("cpu")
    before = evaluate(pooled, held_out, device).metrics
    checkpoint = folder / f".{recipe.backbone}.checkpoint"
    with matmul_precision("medium"):
        trained = _train(recipe, config, embedder, images, _identity(recipe, found), checkpoint, progress)
    after = evaluate(pooled, held_out, device).metrics
    state = {name: tensor.contiguous() for name, tensor in embedder.backbone.features.state_dict().items()}
    card = {
        "made_by": _made_by(recipe, found),
        "recipe": asdict(recipe),
        "seconds": round(trained.seconds, 1),
        "final_loss": round(trained.loss, 4),
        "unseen_procedural_documents": {"untrained": _rounded(before), "pretrained": _rounded(after)},
        "environment": environment("cpu", threads),
    }
    write_atomic(folder / f"{recipe.backbone}.safetensors", save(state))
    write_atomic(folder / f"{recipe.backbone}.yaml", yaml.safe_dump(card, sort_keys=False).encode())
    checkpoint.unlink(missing_ok=True)
    return card


def _made_by(recipe: Recipe, found: Scan | None) -> str:
    command = "python -m ablations pretrain"
    if found is None:
        return f"{command}: formula-driven patterns, no natural images, no documents"
    count = len(found.images)
    images = f"the {count} images" if count <= recipe.classes else f"{recipe.classes} of the {count} images"
    return f"{command} --data: {images} of a folder that are not held out (content {found.fingerprint})"


def _identity(recipe: Recipe, found: Scan | None) -> str:
    images = found.fingerprint if found else f"patterns {PATTERNS_VERSION}"
    described = json.dumps([asdict(recipe), images, code_digest()], sort_keys=True)
    return hashlib.sha256(described.encode()).hexdigest()


def _rounded(metrics: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in metrics.items()}


def _config(recipe: Recipe) -> RunConfig:
    return RunConfig().with_overrides(
        {
            "model.backbone": recipe.backbone,
            "model.pretrained": "none",
            "model.neck": recipe.neck,
            "model.norm": "bn",
            "optim.batch_size": recipe.batch_size,
            "optim.samples": recipe.samples,
            "data.image_size": recipe.image_size,
        }
    )


def _images(recipe: Recipe, found: Scan | None, store: Path, progress: Progress | None) -> torch.Tensor:
    """One image a class, (classes, 3, S, S) uint8."""
    size, count = recipe.image_size, recipe.classes
    draw: _Pattern | _Crop
    if found is None:
        draw, source = _Pattern(size), f"patterns {PATTERNS_VERSION} {_PATTERN_SEED}"
    else:
        draw = _Crop(found.images, size)
        source = f"crops {_CROP_SEED} {found.fingerprint}"
    drawn = cache.cached_images(
        store, "pretraining", f"{source} {count} {size}", (count, size, size, 3), draw, progress
    )
    return torch.from_numpy(drawn).permute(0, 3, 1, 2).contiguous()


def _train(
    recipe: Recipe,
    config: RunConfig,
    embedder: Embedder,
    images: torch.Tensor,
    identity: str,
    checkpoint: Path,
    progress: Progress | None,
) -> Training:
    head = PartialFC(
        config.model.embed_dim, recipe.classes, "softmax", recipe.scale, 0.0, 1.0,
        init_generator=torch_stream(recipe.seed, "init.centres"),
    )  # fmt: skip
    order_stream, views = torch_stream(recipe.seed, "order"), torch_stream(recipe.seed, "augment")
    training = Training(
        identity,
        modules={"embedder": embedder, "head": head},
        optimizer=torch.optim.AdamW(
            [*embedder.parameters(), *head.parameters()],
            lr=recipe.lr, weight_decay=config.optim.weight_decay, fused=True,
        ),
        order=ClassOrder(recipe.classes, recipe.batch_size, order_stream),
        streams={"order": order_stream, "augment": views},
    )  # fmt: skip

    def loss_of(classes: torch.Tensor) -> torch.Tensor:
        batch = photographed(images[classes], views).contiguous(memory_format=torch.channels_last)
        loss: torch.Tensor = head(embedder(batch), classes)
        return loss

    embedder.train()
    run(
        training, config.optim.steps, loss_of,
        lr=recipe.lr, warmup=config.optim.warmup, clip=config.optim.clip, checkpoint=checkpoint,
        what=f"pretraining {recipe.backbone}", progress=progress,
    )  # fmt: skip
    return training
