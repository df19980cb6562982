"""A small CLIP teacher trained on procedural documents and the captions that describe them.

open_clip's own model, tokenizer and loss. Besides image against caption (Radford et al. 2021), two views of a picture
are told from those of others (SLIP, Mu et al. 2022): captions say what kind of document it is, views say which one.
Patterns, which have no caption, are among the pictures, because features of documents alone fit other images less.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch.nn import functional

from core.config_sections import EvalConfig
from core.data import cache, documents
from core.data.corpus import corpus_of_folders
from core.data.corpus_images import Captures, captures
from core.data.rendering import Progress
from core.data.sources import ProceduralDocuments
from core.data.views import photographed
from core.evaluation import judge
from core.precision import autocast
from core.result import code_digest, environment
from core.resumable import Training, run
from core.schedule import ClassOrder
from core.seeds import global_stream, torch_stream
from core.store import write_atomic
from core.teacher import load_encoder
from core.teacher_pairs import CONTEXT_LENGTH, Pairs, short_tokenizer

_MOST_SCALE = float(np.log(100))  # of the logits, as CLIP has it (Radford et al. 2021, section 2.5)


@dataclass(frozen=True)
class TeacherRecipe:
    """How the teacher is made; written beside it."""

    templates: int = 12_000
    holders: int = 3
    patterns: int = 4000
    image_size: int = 64
    layers: tuple[int, ...] = (1, 2, 2, 1)
    width: int = 24
    embed_dim: int = 256
    samples: int = 480_000  # documents and patterns, each seen in two views
    batch_size: int = 128
    lr: float = 2e-3
    weight_decay: float = 0.05
    view_weight: float = 1.0
    precision: str = "bf16"  # of the towers: a mode of `core.precision`
    seed: int = 0


def model_config(recipe: TeacherRecipe, vocabulary: int) -> dict[str, Any]:
    """open_clip's model configuration: its ResNet with attention pooling, and a small text transformer."""
    return {
        "embed_dim": recipe.embed_dim,
        "vision_cfg": {
            "image_size": recipe.image_size, "layers": list(recipe.layers), "width": recipe.width, "head_width": 32,
        },
        "text_cfg": {
            "context_length": CONTEXT_LENGTH, "vocab_size": vocabulary, "width": 128, "heads": 4, "layers": 2,
        },
    }  # fmt: skip


def train_teacher(
    recipe: TeacherRecipe,
    folder: Path,
    *,
    real: Sequence[str] = (),
    threads: int = 1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train the teacher; write an open_clip folder (`open_clip_config.json`, weights) and `card.yaml`.

    A stopped call goes on from its checkpoint in `folder` when it is given the same recipe again.

    Args:
        real: folders of images; the teacher is measured on those that runs would hold out for test.

    Returns:
        The card: recipe, seconds, and how the teacher's own features verify documents that it has not seen.
    """
    import open_clip
    from safetensors.torch import save

    if real:  # what cannot be read is told now, and not when hours of training are done
        corpus_of_folders(real, cache.cache_dir(None))
    torch.set_num_threads(threads)
    tokenizer = short_tokenizer()
    configuration = model_config(recipe, tokenizer.vocab_size)
    with global_stream(recipe.seed, "init.backbone"):
        model = open_clip.CLIP(**configuration).to(memory_format=torch.channels_last)
    checkpoint = folder / ".teacher.checkpoint"
    pairs = Pairs.drawn(recipe.templates, recipe.holders, recipe.patterns, recipe.image_size, progress)
    trained = _train(recipe, model, tokenizer, pairs, checkpoint, progress)
    preprocess = {"size": recipe.image_size, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
    described = {"model_cfg": configuration, "preprocess_cfg": preprocess}
    # Half precision halves the file; open_clip's loader brings it back to float32.
    state = {name: _stored(tensor) for name, tensor in model.state_dict().items()}
    write_atomic(folder / "open_clip_model.safetensors", save(state))
    write_atomic(folder / "open_clip_config.json", json.dumps(described, indent=1).encode())
    card = {
        "made_by": "python -m ablations teacher: open_clip, procedural documents of the train split with captions",
        "recipe": {**asdict(recipe), "layers": list(recipe.layers)},
        "fonts": documents.font_digest(),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "seconds": round(trained.seconds, 1),
        "final_loss": round(trained.loss, 4),
        **_measured(str(folder), recipe.image_size, real, progress),
        "environment": environment("cpu", threads),
    }
    write_atomic(folder / "card.yaml", yaml.safe_dump(card, sort_keys=False).encode())
    checkpoint.unlink(missing_ok=True)
    return card


def _stored(tensor: torch.Tensor) -> torch.Tensor:
    return (tensor.half() if tensor.is_floating_point() else tensor).contiguous()


def _measured(teacher: str, size: int, real: Sequence[str], progress: Progress | None) -> dict[str, dict[str, float]]:
    """On validation documents and on the images that a run with `--data` holds out for test, captured as runs do."""
    store, usual = cache.cache_dir(None), EvalConfig()
    sets = {"unseen_procedural_documents": ProceduralDocuments("validation", usual.validation_identities)}
    held_out = sets | ({"held_out_images": corpus_of_folders(real, store).test} if real else {})
    return {
        name: gate(teacher, captures(source, usual.captures, size, store, progress, usual.severity))
        for name, source in held_out.items()
    }


def gate(teacher: str, held_out: Captures) -> dict[str, float]:
    """Verification by the teacher's own image features: what a student could learn from it."""
    encode = load_encoder(teacher)
    images = torch.from_numpy(held_out.images).permute(0, 3, 1, 2)
    features = torch.cat([encode(images[start : start + 128]) for start in range(0, len(images), 128)])
    return {name: round(value, 4) for name, value in judge(features, held_out).metrics.items()}


def _train(
    recipe: TeacherRecipe, model: Any, tokenizer: Any, pairs: Pairs, checkpoint: Path, progress: Progress | None
) -> Training:
    import open_clip

    criterion = open_clip.ClipLoss()
    order, views, words = (torch_stream(recipe.seed, name) for name in ("order", "augment", "subset"))
    described = json.dumps([asdict(recipe), Pairs.content(), code_digest()])
    training = Training(
        hashlib.sha256(described.encode()).hexdigest(),
        modules={"model": model},
        optimizer=torch.optim.AdamW(
            model.parameters(), lr=recipe.lr, betas=(0.9, 0.98), weight_decay=recipe.weight_decay, fused=True
        ),
        order=ClassOrder(pairs.classes, recipe.batch_size, order),
        streams={"order": order, "augment": views, "words": words},
    )  # fmt: skip

    def loss_of(classes: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            model.logit_scale.clamp_(0, _MOST_SCALE)
        shown = torch.cat([pairs.seen(classes, words), pairs.seen(classes, words)])
        pictures = photographed(shown, views, varied=True).sub_(0.5).div_(0.5)
        captioned = classes < pairs.templates
        with autocast(recipe.precision, torch.device("cpu")):
            rows = model.encode_image(pictures.contiguous(memory_format=torch.channels_last))
            text = model.encode_text(tokenizer(pairs.captions(classes[captioned], words))) if captioned.any() else None
        first, second = functional.normalize(rows.float(), dim=1).chunk(2)
        text = None if text is None else functional.normalize(text.float(), dim=1)
        return teacher_loss(criterion, first, second, text, captioned, model.logit_scale.exp(), recipe.view_weight)

    model.train()
    run(
        training, max(1, recipe.samples // recipe.batch_size), loss_of,
        lr=recipe.lr, warmup=0.1, clip=1.0, checkpoint=checkpoint, what="teacher", progress=progress,
    )  # fmt: skip
    return training


def teacher_loss(
    criterion: Callable[..., torch.Tensor],
    first: torch.Tensor,
    second: torch.Tensor,
    text: torch.Tensor | None,
    captioned: torch.Tensor,
    scale: torch.Tensor,
    view_weight: float,
) -> torch.Tensor:
    """Image against caption, over those of the batch that have one, plus `view_weight` times view against view.

    Args:
        criterion: open_clip's `ClipLoss`.
        first, second: (B, D) unit rows of two views of each picture.
        text: (N, D) unit rows of the captions, None where nothing in the batch has one.
        captioned: (B,) bool, N of them true.
        scale: of the cosines.
    """
    loss = first.new_zeros(()) if text is None else criterion(first[captioned], text, scale)
    return loss + view_weight * criterion(first, second, scale) if view_weight else loss
