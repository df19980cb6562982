"""What the CLIP teacher is shown: procedural documents with captions, and formula-driven patterns without.

Each template and each pattern is a class; templates are numbered first. Only documents of the train split are drawn, so
no validation or test identity is ever seen.
"""

from __future__ import annotations

import gzip
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.data import cache, documents
from core.data.patterns import PATTERNS_VERSION, render_pattern
from core.data.rendering import Progress
from core.data.sources import ProceduralDocuments

CONTEXT_LENGTH = 32
_MERGES = 2000  # of the tokenizer's 48,894: captions need few words, and the table is most of a small model
_PATTERN_SEED = 910  # not the backbones': student and teacher have learnt from other patterns


@dataclass(frozen=True)
class _Draw:
    """Draws the picture of a template for one of its holders, a template's holders beside each other; then patterns."""

    templates: int
    holders: int
    size: int

    def __call__(self, index: int) -> np.ndarray:
        template, holder = divmod(index, self.holders)
        if template < self.templates:
            return documents.render(ProceduralDocuments.train_seed(), template, self.size, fields=holder)
        return render_pattern(_PATTERN_SEED, index - self.templates * self.holders, self.size)


@dataclass(frozen=True)
class Pairs:
    """Pictures and captions of `templates` documents, each for several holders, and pictures of `patterns`.

    Attributes:
        pictures: (templates * holders + patterns, 3, S, S) uint8.
    """

    pictures: torch.Tensor
    templates: int
    holders: int
    patterns: int

    @classmethod
    def drawn(cls, templates: int, holders: int, patterns: int, size: int, progress: Progress | None = None) -> Pairs:
        """Draw the pictures at `size` pixels a side, or take them from the cache."""
        total = templates * holders + patterns
        rows = cache.cached_images(
            cache.cache_dir(None), "teacher pictures", f"{Pairs.content()} {templates} {holders} {patterns} {size}",
            (total, size, size, 3), _Draw(templates, holders, size), progress,
        )  # fmt: skip
        return cls(torch.from_numpy(rows).permute(0, 3, 1, 2), templates, holders, patterns)

    @staticmethod
    def content() -> str:
        """What decides the pixels, besides the numbers: for caches and checkpoints."""
        return f"{documents.GENERATOR_VERSION} {documents.font_digest()} {PATTERNS_VERSION} {_PATTERN_SEED}"

    @property
    def classes(self) -> int:
        return self.templates + self.patterns

    def seen(self, classes: torch.Tensor, stream: torch.Generator) -> torch.Tensor:
        """A picture of each class (B,), of a holder drawn from `stream`: (B, 3, S, S) uint8."""
        holder = torch.randint(self.holders, (len(classes),), generator=stream)
        patterns = classes - self.templates + self.templates * self.holders
        return self.pictures[torch.where(classes < self.templates, classes * self.holders + holder, patterns)]

    def captions(self, templates: torch.Tensor, stream: torch.Generator) -> list[str]:
        """A caption of each template, its clauses drawn from `stream`."""
        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=stream)))
        return [documents.caption(ProceduralDocuments.train_seed(), int(index), rng) for index in templates]


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
        return open_clip.SimpleTokenizer(bpe_path=str(path), context_length=CONTEXT_LENGTH)
