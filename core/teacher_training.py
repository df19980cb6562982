"""A small CLIP teacher trained on procedural documents and the captions that describe them.

open_clip's own model, tokenizer and loss. Besides image against caption (Radford et al. 2021), two views of a
document are told from those of others (SLIP, Mu et al. 2022): captions say what kind of document it is, views say
which one. Only documents of the train split are seen, so no validation or test identity ever is.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from core.data import cache, documents
from core.data.corpus import Captures, captures, corpus_of_folders
from core.data.rendering import Progress
from core.data.sources import ProceduralDocuments
from core.data.views import photographed
from core.evaluation import judge
from core.result import code_digest, environment
from core.resumable import Training, run
from core.seeds import global_stream, torch_stream
from core.store import write_atomic
from core.teacher import load_encoder
from core.trainer import ClassOrder

_CONTEXT_LENGTH = 32
_MERGES = 2000  # of the tokenizer's 48,894: captions need few words, and the table is most of a small model
_MOST_SCALE = float(np.log(100))  # of the logits, as CLIP has it (Radford et al. 2021, section 2.5)


@dataclass(frozen=True)
class TeacherRecipe:
    """How the teacher is made; written beside it."""

    templates: int = 4000
    holders: int = 2
    image_size: int = 64
    layers: tuple[int, ...] = (1, 1, 1, 1)
    width: int = 24
    embed_dim: int = 256
    samples: int = 200_000
    batch_size: int = 128
    lr: float = 1e-3
    weight_decay: float = 0.05
    view_weight: float = 1.0
    seed: int = 0


def model_config(recipe: TeacherRecipe, vocabulary: int) -> dict[str, Any]:
    """open_clip's model configuration: its ResNet with attention pooling, and a small text transformer."""
    return {
        "embed_dim": recipe.embed_dim,
        "vision_cfg": {
            "image_size": recipe.image_size, "layers": list(recipe.layers), "width": recipe.width, "head_width": 32,
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


@dataclass(frozen=True)
class _Document:
    """Draws a document of the train split for one of its holders, the holders of a template beside each other."""

    holders: int
    size: int

    def __call__(self, index: int) -> np.ndarray:
        template, holder = divmod(index, self.holders)
        return documents.render(ProceduralDocuments.train_seed(), template, self.size, fields=holder)


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

    torch.set_num_threads(threads)
    tokenizer = short_tokenizer()
    configuration = model_config(recipe, tokenizer.vocab_size)
    with global_stream(recipe.seed, "init.backbone"):
        model = open_clip.CLIP(**configuration).to(memory_format=torch.channels_last)
    checkpoint = folder / ".teacher.checkpoint"
    trained = _train(recipe, model, tokenizer, _images(recipe, progress), checkpoint, progress)
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
    store = cache.cache_dir(None)
    sets = {"unseen_procedural_documents": captures(ProceduralDocuments("validation", 100), 5, size, store, progress)}
    if real:
        sets["held_out_images"] = captures(corpus_of_folders(real, store).test, 5, size, store, progress)
    return {name: gate(teacher, held_out) for name, held_out in sets.items()}


def gate(teacher: str, held_out: Captures) -> dict[str, float]:
    """Verification by the teacher's own image features: what a student could learn from it."""
    encode = load_encoder(teacher)
    images = torch.from_numpy(held_out.images).permute(0, 3, 1, 2)
    features = torch.cat([encode(images[start : start + 128]) for start in range(0, len(images), 128)])
    return {name: round(value, 4) for name, value in judge(features, held_out).metrics.items()}


def _images(recipe: TeacherRecipe, progress: Progress | None) -> torch.Tensor:
    """(templates * holders, 3, S, S) uint8."""
    total, size = recipe.templates * recipe.holders, recipe.image_size
    version = f"{documents.GENERATOR_VERSION} {documents.font_digest()}"
    drawn = cache.cached_images(
        cache.cache_dir(None), "teacher documents", f"teacher documents {version} {total} {recipe.holders} {size}",
        (total, size, size, 3), _Document(recipe.holders, size), progress,
    )  # fmt: skip
    return torch.from_numpy(drawn).permute(0, 3, 1, 2).contiguous()


def _train(
    recipe: TeacherRecipe, model: Any, tokenizer: Any, images: torch.Tensor, checkpoint: Path, progress: Progress | None
) -> Training:
    import open_clip

    criterion = open_clip.ClipLoss()
    order, views, words = (torch_stream(recipe.seed, name) for name in ("order", "augment", "subset"))
    described = json.dumps([asdict(recipe), documents.GENERATOR_VERSION, documents.font_digest(), code_digest()])
    training = Training(
        hashlib.sha256(described.encode()).hexdigest(),
        modules={"model": model},
        optimizer=torch.optim.AdamW(
            model.parameters(), lr=recipe.lr, betas=(0.9, 0.98), weight_decay=recipe.weight_decay, fused=True
        ),
        order=ClassOrder(recipe.templates, recipe.batch_size, order),
        streams={"order": order, "augment": views, "words": words},
    )

    def seen(templates: torch.Tensor) -> torch.Tensor:
        holders = torch.randint(recipe.holders, (len(templates),), generator=words)
        return photographed(images[templates * recipe.holders + holders], views)

    def loss_of(templates: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            model.logit_scale.clamp_(0, _MOST_SCALE)
        pictures = torch.cat([seen(templates), seen(templates)]).sub_(0.5).div_(0.5)
        rows = model.encode_image(pictures.contiguous(memory_format=torch.channels_last), normalize=True)
        first, second = rows.chunk(2)
        text = model.encode_text(tokenizer(_captions(templates, words)), normalize=True)
        scale = model.logit_scale.exp()
        loss: torch.Tensor = criterion(first, text, scale) + recipe.view_weight * criterion(first, second, scale)
        return loss

    model.train()
    run(
        training, recipe.samples // recipe.batch_size, loss_of,
        lr=recipe.lr, warmup=0.1, clip=1.0, checkpoint=checkpoint, what="teacher", progress=progress,
    )  # fmt: skip
    return training


def _captions(templates: torch.Tensor, stream: torch.Generator) -> list[str]:
    rng = np.random.default_rng(int(torch.randint(2**62, (), generator=stream)))
    return [documents.caption(ProceduralDocuments.train_seed(), int(index), rng) for index in templates]
