"""Image features of the pool from a CLIP teacher (open_clip), computed once and cached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from core.config import RunConfig
from core.data import cache
from core.data.corpus_images import Captures
from core.data.expansion import take
from core.data.rendering import Progress, processes_for
from core.device import CPU, release, send
from core.errors import RunFailure, UserError, first_line
from core.evaluation import judge
from core.inputs import teacher_path
from core.model.weight_files import read_state, require_numbers
from core.precision import full_float32
from core.seeds import torch_stream
from core.teacher_cache import NAME, description_of
from core.teacher_files import check_config

RANDOM_DIM = 256
_BATCH = 64
_BATCH_THERE = 256  # on another device: enough to fill a GPU with ViT-B/32, in some two GB

Encoder = Callable[[torch.Tensor], torch.Tensor]  # uint8 (B, 3, S, S) -> unit rows (B, D), both on the encoder's device


def class_features(config: RunConfig, pool: np.ndarray, progress: Progress | None = None) -> torch.Tensor:
    """Unit-norm teacher features of every class's clean image, (P * expansion, D) float32, on the CPU.

    They are encoded on the run's device, which has no memory of it afterwards.

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
    return judge(features, captures, progress, torch.device(config.runtime.device)).metrics


def _features(
    config: RunConfig,
    pixels: np.ndarray,
    expansion: int,
    count: int,
    batch: Callable[[torch.Tensor], torch.Tensor],
    progress: Progress | None,
) -> torch.Tensor:
    """Unit rows (count, D) of the images that `batch` gives for ids, from the cache where they are there."""
    device = torch.device(config.runtime.device)

    def build() -> np.ndarray:
        try:
            return _encoded(load_encoder(config.distill.teacher, device), batch, count, device, progress)
        finally:
            release(device)

    folder, description = cache.cache_dir(config.runtime.cache_dir), description_of(config, pixels, expansion)
    return torch.from_numpy(cache.cached_array(folder, NAME, description, build, progress))


def _encoded(
    encode: Encoder,
    batch: Callable[[torch.Tensor], torch.Tensor],
    count: int,
    device: torch.device,
    progress: Progress | None = None,
) -> np.ndarray:
    """Unit rows (count, D) float32 of the images that `batch` gives for ids, by an encoder on `device`.

    On the CPU several batches at once, so that all cores have work. That changes no bit: a batch is computed by as many
    of PyTorch's threads as it would be alone.
    """
    size = _BATCH if device.type == "cpu" else _BATCH_THERE
    found = np.empty((0, 0), np.float32)

    def rows(start: int) -> tuple[int, np.ndarray]:
        images = batch(torch.arange(start, min(start + size, count)))
        return start, encode(send(images, device)).cpu().numpy()

    with full_float32(device), _at_once(count, device) as each:
        for start, of_batch in each(rows, range(0, count, size)):
            if not start:
                found = np.empty((count, of_batch.shape[1]), np.float32)
            stop = start + len(of_batch)
            found[start:stop] = of_batch
            if progress:
                progress("teacher features", stop, count)
    return found


@contextmanager
def _at_once(count: int, device: torch.device) -> Iterator[Any]:
    """A `map` that keeps all cores of a CPU busy with so many images; what it has not begun is dropped at the end."""
    threads = processes_for(count) // torch.get_num_threads() if device.type == "cpu" else 1
    if threads < 2:
        yield map
        return
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)


def load_encoder(name: str, device: torch.device = CPU) -> Encoder:
    """The image encoder of a teacher: `procedural`, `openai`, or a path; it computes on `device`.

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
    return _encoder(model.eval().to(device), preprocess, device)


def _encoder(model: Any, preprocess: Any, device: torch.device) -> Encoder:
    """Resize and normalise as the model's preprocessing says, on whole batches instead of PIL images."""
    size = model.visual.image_size
    side = size[0] if isinstance(size, tuple) else size
    normalise = next(step for step in preprocess.transforms if hasattr(step, "mean"))
    # `bicubic` or `bilinear`: open_clip builds no other.
    mode = next(step.interpolation.value for step in preprocess.transforms if hasattr(step, "interpolation"))
    mean = send(torch.tensor(normalise.mean).view(1, 3, 1, 1), device)
    std = send(torch.tensor(normalise.std).view(1, 3, 1, 1), device)

    @torch.no_grad()
    def encode(images: torch.Tensor) -> torch.Tensor:
        x = images.float().div_(255)
        if x.shape[-1] != side:
            x = functional.interpolate(x, size=(side, side), mode=mode, align_corners=False, antialias=True)
        features = model.encode_image((x.clamp_(0, 1) - mean) / std)
        return functional.normalize(features.float(), dim=1)

    return encode
