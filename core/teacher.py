"""Image features of the pool from a CLIP teacher (open_clip), computed once and cached."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from core.config import RunConfig
from core.data import cache
from core.data.corpus_images import Captures
from core.data.expansion import take
from core.data.rendering import Progress
from core.errors import RunFailure, UserError, first_line
from core.evaluation import judge
from core.inputs import teacher_fingerprint, teacher_path
from core.model.weight_files import read_state, require_numbers
from core.seeds import torch_stream
from core.teacher_files import check_config

RANDOM_DIM = 256
_BATCH = 64

Encoder = Callable[[torch.Tensor], torch.Tensor]  # uint8 (B, 3, S, S) -> unit rows (B, D)


def class_features(config: RunConfig, pool: np.ndarray, progress: Progress | None = None) -> torch.Tensor:
    """Unit-norm teacher features of every class's clean image, (P * expansion, D) float32.

    Args:
        pool: all clean training images (P, S, S, 3) uint8; classes are numbered as in `core.data.expansion`.
    """
    classes = len(pool) * config.data.expansion
    if config.distill.teacher == "random":
        features = torch.randn(classes, RANDOM_DIM, generator=torch_stream(config.seed, "teacher.random"))
        return functional.normalize(features, dim=1)
    images = torch.from_numpy(pool).permute(0, 3, 1, 2)
    return _features(
        config, pool, config.data.expansion, classes, lambda ids: take(images, ids, config.data.expansion), progress
    )


def teacher_metrics(config: RunConfig, captures: Captures, progress: Progress | None = None) -> dict[str, float] | None:
    """How the teacher's own features verify held-out captures, as `core.evaluation.judge`: what can be learnt from it.

    None where nothing is distilled, or from the random teacher, which sees no image.
    """
    if not config.distill.active or config.distill.teacher == "random":
        return None
    images = torch.from_numpy(captures.images).permute(0, 3, 1, 2)
    features = _features(config, captures.images, 1, len(images), lambda ids: images[ids], progress)
    return judge(features, captures, progress).metrics


def _features(
    config: RunConfig,
    pixels: np.ndarray,
    expansion: int,
    count: int,
    batch: Callable[[torch.Tensor], torch.Tensor],
    progress: Progress | None,
) -> torch.Tensor:
    """Unit rows (count, D) of the images that `batch` gives for ids, cached by teacher, pixels and expansion."""

    def build() -> np.ndarray:
        encode = load_encoder(config.distill.teacher)
        rows = []
        for start in range(0, count, _BATCH):
            ids = torch.arange(start, min(start + _BATCH, count))
            rows.append(encode(batch(ids)).numpy())
            if progress:
                progress("teacher features", int(ids[-1]) + 1, count)
        return np.concatenate(rows).astype(np.float32)

    digest = hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()
    description = f"teacher {teacher_fingerprint(config)} {digest} {expansion}"
    folder = cache.cache_dir(config.runtime.cache_dir)
    return torch.from_numpy(cache.cached_array(folder, "teacher", description, build, progress))


def load_encoder(name: str) -> Encoder:
    """The image encoder of a teacher: `procedural`, `openai`, or a path.

    Raises:
        RunFailure: `bad_weights` for a file that open_clip cannot load.
        UserError: a teacher that cannot be had.
    """
    import open_clip

    try:
        if name == "openai":
            model, _, preprocess = open_clip.create_model_and_transforms("ViT-B-32-quickgelu", pretrained="openai")
        else:
            path = teacher_path(name)
            if path.name == "open_clip_model.safetensors":
                check_config(path.parent)
                require_numbers(read_state(path), path)
                model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{path.parent.absolute()}")
            else:  # a bare file is taken to hold OpenAI's architecture, which needs its own activation
                require_numbers(read_state(path), path)
                # An absolute path, as a bare name may be that of weights which open_clip would fetch.
                model, _, preprocess = open_clip.create_model_and_transforms(
                    "ViT-B-32-quickgelu", pretrained=str(path.absolute())
                )
    except (UserError, RunFailure):
        raise
    except Exception as error:  # damaged files fail in many ways, none of which may pass silently
        first = first_line(error)
        raise RunFailure("bad_weights", f"distill.teacher={name}: open_clip cannot load it: {first}") from error
    return _encoder(model.eval(), preprocess)


def _encoder(model: Any, preprocess: Any) -> Encoder:
    """Resize and normalise as the model's preprocessing says, on whole batches instead of PIL images."""
    size = model.visual.image_size
    side = size[0] if isinstance(size, tuple) else size
    normalise = next(step for step in preprocess.transforms if hasattr(step, "mean"))
    mean = torch.tensor(normalise.mean).view(1, 3, 1, 1)
    std = torch.tensor(normalise.std).view(1, 3, 1, 1)

    @torch.no_grad()
    def encode(images: torch.Tensor) -> torch.Tensor:
        x = images.float().div_(255)
        if x.shape[-1] != side:
            x = functional.interpolate(x, size=(side, side), mode="bicubic", align_corners=False, antialias=True)
        features = model.encode_image((x.clamp_(0, 1) - mean) / std)
        return functional.normalize(features.float(), dim=1)

    return encode
