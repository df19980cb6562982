"""How many identities that a run is judged on look like an image to train on: a fact of its data, not of its training.

Files that are judged on are not trained on. A second scan of the same document is another file, and what is measured on
it is what was learnt by heart. `core.data.look_alikes` says what looks alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from core.config import RunConfig
from core.data import cache, folder
from core.data.alike_pairs import kept_likenesses
from core.data.corpus import RealCaptures
from core.data.scans import ImageFile, Scan
from core.data.sources import FolderDocuments
from core.inputs import corpus_of
from reports.cells import MOST_ALIKE


@dataclass(frozen=True)
class JudgedAlike:
    """Of so many identities that are judged on, those that look like an image to train on."""

    alike: int
    identities: int

    @property
    def too_many(self) -> bool:
        return self.alike > MOST_ALIKE * self.identities


@dataclass(frozen=True)
class _Parts:
    """What is compared, known by its content: paths may come to mean other files."""

    content: tuple[str, str]
    trained: tuple[ImageFile, ...] = field(compare=False)
    judged: tuple[tuple[ImageFile, int], ...] = field(compare=False)  # each with its identity
    data: tuple[str, ...] = field(compare=False)
    evaluation: tuple[str, ...] = field(compare=False)
    cache: Path = field(compare=False)


def judged_alike(config: RunConfig) -> JudgedAlike | None:
    """Of a run with such a configuration; None where documents are drawn, or are too many to look.

    Of a pool of which a run draws some images all count: which it draws is the seed's, and this is to hold for all.

    Raises:
        UserError: folders that cannot be used, a cache that cannot be written.
    """
    corpus = corpus_of(config)
    part = corpus.judged_part(config.eval.judged)
    if isinstance(part, RealCaptures):
        judged = part.files
    elif isinstance(part, FolderDocuments):
        judged = tuple((file, identity) for identity, file in enumerate(part.files))
    else:
        return None
    if not isinstance(corpus.train, FolderDocuments):
        return None
    data, evaluation = tuple(config.data.source), tuple(config.eval.source)
    return _count(
        _Parts(
            (corpus.train.fingerprint, part.fingerprint), tuple(corpus.train.files), judged, data,
            data if evaluation == ("held-out",) else evaluation, cache.cache_dir(config.runtime.cache_dir),
        )
    )  # fmt: skip


def alike_note(config: RunConfig) -> list[str]:
    """What a plan tells before hours of training from which nothing can be concluded."""
    found = judged_alike(config)
    if found is None or not found.too_many:
        return []
    return [
        f"{found.alike:,} of {found.identities:,} test identities look like an image to train on: over "
        f"{MOST_ALIKE:.0%}, and no claim on them is judged"
    ]


@lru_cache(maxsize=32)  # a plan asks for every arm of it
def _count(parts: _Parts) -> JudgedAlike | None:
    trained, judged = (_levels(folders, parts.cache) for folders in (parts.data, parts.evaluation))
    if trained is None or judged is None:
        return None
    try:
        theirs = np.array([trained[file.digest] for file in parts.trained])
        ours = np.array([judged[file.digest] for file, _ in parts.judged])
    except KeyError:  # changed since they were split, which fails the runs
        return None
    found = kept_likenesses(ours, theirs, parts.cache)
    identities = [identity for _, identity in parts.judged]
    alike = {identity for identity, other in zip(identities, found, strict=True) if other >= 0}
    return JudgedAlike(len(alike), len(set(identities)))


def _levels(folders: Iterable[str], cache_folder: Path) -> dict[str, np.ndarray] | None:
    """What is compared of the images of folders, by the digests of their bytes; None of too many."""
    found: Scan = folder.find(tuple(folders), cache_folder)
    levels = folder.levels_of(found, cache_folder)
    return None if levels is None else {image.digest: row for image, row in zip(found.images, levels, strict=True)}
