"""Where documents come from: drawn by the project's generator, or files in the user's folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from core.data.folder import read, squash
from core.data.scans import ImageFile, content_digest

# Templates of the three splits are drawn from seeds of their own, so no layout group is shared.
_SPLIT_SEEDS = {"train": 101, "validation": 102, "test": 103}
_SPLIT_VERSION = 2  # bumped when other templates make up a split
_PAGE_SIDE = 128  # pixels of a procedural page before it is photographed


class Documents(Protocol):
    """A sequence of documents, each an identity."""

    @property
    def fingerprint(self) -> str:
        """Changes when any pixel of any document does."""
        ...

    def __len__(self) -> int: ...

    def clean(self, index: int, size: int) -> np.ndarray:
        """The document itself, squashed to (size, size, 3) uint8."""
        ...

    def page(self, index: int, capture: int, size: int) -> np.ndarray:
        """What is photographed for a capture, (H, W, 3) uint8: fields that vary are drawn anew."""
        ...


@dataclass(frozen=True)
class ProceduralDocuments:
    """Documents drawn by `core.data.documents`."""

    split: str
    count: int

    @property
    def fingerprint(self) -> str:
        from core.data import documents

        drawn = f"{documents.GENERATOR_VERSION}:{documents.font_digest()}"
        return f"procedural:{drawn}:{self.split}:{_SPLIT_VERSION}:{self.count}"

    def __len__(self) -> int:
        return self.count

    @staticmethod
    def train_seed() -> int:
        """The generator's seed of the train split."""
        return _SPLIT_SEEDS["train"]

    def template(self, index: int) -> int:
        """The generator's template of a document.

        Training draws whole groups of siblings. Of held-out identities every fourth is a sibling of the one
        before it and the others come from groups of their own: with whole groups, a small test set's false
        positives would be siblings and nothing else.
        """
        from core.data.documents import GROUP_SIZE

        if self.split == "train":
            return index
        quad, place = divmod(index, 4)
        return GROUP_SIZE * (3 * quad + min(place, 2)) + (place == 3)

    def clean(self, index: int, size: int) -> np.ndarray:
        from core.data import documents

        return documents.render(_SPLIT_SEEDS[self.split], self.template(index), size)

    def page(self, index: int, capture: int, size: int) -> np.ndarray:
        from core.data import documents

        side = max(_PAGE_SIDE, size)
        return documents.render(_SPLIT_SEEDS[self.split], self.template(index), side, fields=1 + capture)


@dataclass(frozen=True)
class FolderDocuments:
    """Image files, each a document; nothing on them varies from capture to capture."""

    files: Sequence[ImageFile]

    @property
    def fingerprint(self) -> str:
        return f"folder:{content_digest(self.files)}"

    def __len__(self) -> int:
        return len(self.files)

    def clean(self, index: int, size: int) -> np.ndarray:
        return squash(read(self.files[index]), size)

    def page(self, index: int, capture: int, size: int) -> np.ndarray:
        return np.asarray(read(self.files[index]))
