"""A small CLIP teacher trained on procedural documents and the captions that describe them.

open_clip's own model, tokenizer and loss; only documents of the train split are seen, so no validation
or test identity ever is.
"""

from __future__ import annotations

import gzip
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from core.config import FPRS
from core.data import cache, documents
from core.data.corpus import Captures, Progress, captures
from core.data.sources import ProceduralDocuments
from core.evaluation import fpr_name
from core.pretrain import photographed
from core.result import environment
from core.seeds import global_stream, numpy_stream, torch_stream
from core.store import write_atomic
from core.teacher import load_encoder
from core.trainer import ClassOrder, learning_rate_factor
from core.verification import verify

_TRAIN_SEED = 101  # the procedural train split
_CONTEXT_LENGTH = 32
_MERGES = 2000  # of the tokenizer's 48,894: captions need few words, and the table is most of a small model


@dataclass(frozen=True)
class TeacherRecipe:
    """How the teacher is made; written beside it."""

    templates: int = 2000
    holders: int = 2
    image_size: int = 64
    patch_size: int = 16
    width: int = 128
    layers: int = 6
    embed_dim: int = 256
    samples: int = 48_000
    batch_size: int = 128
    lr: float = 1e-3
    weight_decay: float = 0.05
    seed: int = 0


def model_config(recipe: TeacherRecipe, vocabulary: int) -> dict[str, Any]:
    """open_clip's model configuration."""
    return {
        "embed_dim": recipe.embed_dim,
        "vision_cfg": {
            "image_size": recipe.image_size, "layers": recipe.layers, "width": recipe.width, "head_width": 32,
            "patch_size": recipe.patch_size,
        },
        "text_cfg": {
            "context_length": _CONTEXT_LENGTH, "vocab_size": vocabulary, "width": 128, "heads": 4, "layers": 2,
        },
    }  # fmt: skip


def short_tokenizer() -> Any:
    """open_clip's tokenizer with its first 2,000 merges."""
    import open_clip
    from open_clip import tokenizer as module

    with gzip.open(Path(module.__file__).with_name("bpe_simple_vocab_16e6.txt.gz"), "rt", encoding="utf-8") as source:
        lines = [next(source) for _ in range(_MERGES + 1)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "merges.txt.gz"
        with gzip.open(path, "wt", encoding="utf-8") as target:
            target.writelines(lines)
        return open_clip.SimpleTokenizer(bpe_path=str(path), context_length=_CONTEXT_LENGTH)


def train_teacher(
    recipe: TeacherRecipe, folder: Path, *, threads: int = 1, progress: Progress | None = None
) -> dict[str, Any]:
    """Train the teacher; write an open_clip folder (`open_clip_config.json`, weights) and `card.yaml`.

    Returns:
        The card: recipe, seconds, and how the teacher's own features verify unseen procedural documents.
    """
    import open_clip
    from safetensors.torch import save

    torch.set_num_threads(threads)
    tokenizer = short_tokenizer()
    configuration = model_config(recipe, tokenizer.vocab_size)
    with global_stream(recipe.seed, "init.backbone"):
        model = open_clip.CLIP(**configuration)
    started = time.perf_counter()
    loss = _train(recipe, model, tokenizer, _images(recipe, progress), progress)
    folder.mkdir(parents=True, exist_ok=True)
    preprocess = {"size": recipe.image_size, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
    described = {"model_cfg": configuration, "preprocess_cfg": preprocess}
    write_atomic(
        folder / "open_clip_model.safetensors", save({k: v.contiguous() for k, v in model.state_dict().items()})
    )
    write_atomic(folder / "open_clip_config.json", json.dumps(described, indent=1).encode())
    held_out = captures(ProceduralDocuments("validation", 100), 5, recipe.image_size, cache.cache_dir(None), progress)
    card = {
        "made_by": "python -m ablations teacher: open_clip, procedural documents of the train split with captions",
        "recipe": asdict(recipe),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "seconds": round(time.perf_counter() - started, 1),
        "final_loss": round(loss, 4),
        "unseen_procedural_documents": gate(str(folder), held_out),
        "environment": environment("cpu", threads),
    }
    write_atomic(folder / "card.yaml", yaml.safe_dump(card, sort_keys=False).encode())
    return card


def gate(teacher: str, held_out: Captures) -> dict[str, float]:
    """Verification by the teacher's own image features: what a student could learn from it."""
    encode = load_encoder(teacher)
    images = torch.from_numpy(held_out.images).permute(0, 3, 1, 2)
    features = torch.cat([encode(images[start : start + 128]) for start in range(0, len(images), 128)])
    verification = verify(features, held_out.identities, FPRS)
    shown = {f"tpr@{fpr_name(fpr)}": round(verification.tpr[fpr], 4) for fpr in FPRS}
    return {**shown, "auroc": round(verification.auroc, 4)}


def _images(recipe: TeacherRecipe, progress: Progress | None) -> torch.Tensor:
    """(templates * holders, 3, S, S) uint8, the holders of a template beside each other."""
    total = recipe.templates * recipe.holders

    def build() -> np.ndarray:
        out = np.empty((total, recipe.image_size, recipe.image_size, 3), np.uint8)
        for index in range(total):
            template, holder = divmod(index, recipe.holders)
            out[index] = documents.render(_TRAIN_SEED, template, recipe.image_size, fields=holder)
            if progress and index % 32 == 31:
                progress("documents", index + 1, total)
        return out

    description = f"teacher images {documents.GENERATOR_VERSION} {documents.font_digest()} {asdict(recipe)}"
    array = cache.cached_array(cache.cache_dir(None), "teacher-images", description, build)
    return torch.from_numpy(array).permute(0, 3, 1, 2).contiguous()


def _train(recipe: TeacherRecipe, model: Any, tokenizer: Any, images: torch.Tensor, progress: Progress | None) -> float:
    import open_clip

    criterion = open_clip.ClipLoss()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.lr, betas=(0.9, 0.98), weight_decay=recipe.weight_decay, fused=True
    )
    order = ClassOrder(recipe.templates, recipe.batch_size, torch_stream(recipe.seed, "order"))
    stream, rng = torch_stream(recipe.seed, "augment"), numpy_stream(recipe.seed, "subset")
    steps = recipe.samples // recipe.batch_size
    mean = float("nan")
    model.train()
    for step in range(steps):
        templates = order.next()
        holders = torch.from_numpy(rng.integers(recipe.holders, size=len(templates)))
        batch = photographed(images[templates * recipe.holders + holders], stream)
        text = tokenizer([documents.caption(_TRAIN_SEED, int(index), rng) for index in templates])
        loss = criterion(*model((batch - 0.5) / 0.5, text))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr * learning_rate_factor(step, steps, 0.1)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, float(np.log(100)))  # as CLIP does (Radford et al. 2021, section 2.5)
        mean = loss.item() if step == 0 else mean + 0.02 * (loss.item() - mean)
        if progress and step % 4 == 3:
            progress(f"teacher, loss {mean:.2f}", (step + 1) * recipe.batch_size, recipe.samples)
    return mean
