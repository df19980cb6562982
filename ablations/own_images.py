"""What the user's own folders are taken for: a layout that can mean two things is refused, what is left out is told."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path

from ablations import terminal
from core import inputs
from core.config import RunConfig
from core.data import folder
from core.data.alike_pairs import Pair, between, within
from core.data.cache import cache_dir
from core.data.enough import why_no_verdict
from core.data.image_file import MASTER_SIDE
from core.data.scans import ImageFile, Scan
from core.errors import UserError


def folder_notes(config: RunConfig) -> list[str]:
    """What a plan tells of `--data` and `--eval`; nothing of procedural documents.

    Raises:
        UserError: folders that cannot be used, or an `--eval` whose layout can mean two things.
    """
    data = () if config.data.source == ("procedural",) else tuple(config.data.source)
    evaluation = () if config.eval.source == ("held-out",) else tuple(config.eval.source)
    notes = list(_notes(data, evaluation, config.data.strict, cache_dir(config.runtime.cache_dir)))
    if (data or evaluation) and (size := config.data.image_size) > MASTER_SIDE:
        notes.append(f"images are read at {MASTER_SIDE} pixels a side at most: data.image_size={size} shows no more")
    return notes


def verdict_notes(config: RunConfig) -> list[str]:
    """What a plan tells where the user's own images are too few for any verdict; else nothing.

    Raises:
        UserError: folders that cannot be used.
    """
    why = why_no_verdict(inputs.corpus_of(config), config.eval)
    return [f"{'--data' if config.eval.source == ('held-out',) else '--eval'}: {why}"] if why else []


@lru_cache(maxsize=32)  # as corpora: a command plans more than once
def _notes(data: Sequence[str], evaluation: Sequence[str], strict: bool, cache: Path) -> Sequence[str]:
    notes = []
    # Here a command reads the folders for the first time, which takes long where there are a million images.
    with terminal.bars(terminal.stderr()) as progress:
        look = partial(folder.scan, cache=cache, strict=strict, progress=progress)
        judged = look(evaluation, option="--eval") if evaluation else None
        trained = look(data) if data else None
    if judged:
        if why := two_meanings(judged.images, evaluation):
            raise UserError(f"--eval: {why}")
        if judged.skipped:
            notes.append(f"--eval: {judged.skipped_note()}")
        notes += _two_identities(judged)
        notes += _alike("--eval", within(judged, evaluation)[0])
    if trained:
        apart, together = within(trained, data)
        notes += _alike("--data", sorted(apart + together))
    if trained and (several := len(_of_captures(trained.images, data))):
        notes.append(
            f"--data: every image is a class of its own, and {several} sub-folder{'s' * (several > 1)} "
            f"ha{'ve' if several > 1 else 's'} several: where those are captures of one document, they are trained "
            "apart, and held out as different documents"
        )
    if judged and trained:
        notes.append(
            "--eval: the images that it judges on are left out of --data; another capture of the same document in "
            "--data is trained on"
        )
        notes += _trained_on(between(judged, trained, cache) or [])
    return notes


def _two_identities(judged: Scan) -> list[str]:
    """One picture as a capture of two identities."""
    homes = [(name, judged.images[place].path) for name, place in judged.doubles]
    apart = [(name, str(kept)) for name, kept in homes if os.path.dirname(name) != os.path.dirname(kept)]
    if not apart:
        return []
    (left_out, kept), many = min(apart), len(apart)
    some = f"{many:,} pictures lie in two folders, such as" if many > 1 else "one picture lies in two folders:"
    return [
        f"--eval: {some} '{left_out}', which is left out, and '{kept}': where these are the folders of two identities, "
        "they may be one document"
    ]


def _alike(option: str, pairs: Sequence[Pair]) -> list[str]:
    if not pairs:
        return []
    (one, other), many = pairs[0], len(pairs)
    some = f"{many:,} pairs of images look alike, such as" if many > 1 else "two images look alike:"
    return [
        f"{option}: {some} '{one}' and '{other}'. They may be one document saved twice, but count as different ones: "
        "`data check` lists them"
    ]


def _trained_on(pairs: Sequence[Pair]) -> list[str]:
    if not pairs:
        return []
    (one, other), many = pairs[0], len(pairs)
    some = f"{many:,} images look like one of --data, such as '{one}' like '{other}'"
    some = some if many > 1 else f"'{one}' looks like '{other}' of --data"
    return [
        f"--eval: {some}. They may be one document saved twice, which is trained on and judged: "
        "`data check EVAL --against DATA` lists them"
    ]


def two_meanings(images: Sequence[ImageFile], sources: Sequence[str]) -> str:
    """Why identities cannot be told from where images lie, and what to do; empty where they can.

    With an image at the top of a folder each image is an identity (`core.data.corpus`), else each folder of images is.

    Args:
        sources: the folders in which the images were found.
    """
    roots = [Path(os.path.abspath(source)) for source in sources]
    for inner in roots:
        if outer := next((root for root in roots if root in inner.parents), None):
            return f"'{inner}' lies in '{outer}', which is given as well: name one of them"
    top = next((image.path for image in images if _home(image) in roots), None)
    folders = _of_captures(images, sources)
    if top is not None:
        beside = next(iter(folders), None)
        if beside is None:
            return ""
        return (
            f"'{top}' lies at the top, which makes each image an identity, and '{beside}' has several images, as the "
            "captures of one identity: move the image away, or give flat documents and folders of captures apart"
        )
    homes: dict[str, list[Path]] = {}
    for root in roots:
        for name, inside in _identities(images, root).items():
            homes.setdefault(name, []).extend(inside)
    for name, inside in homes.items():
        if len(inside) > 1:
            return (
                f"identity '{name}' has captures in '{inside[0]}' and in '{inside[1]}': put those of one identity into "
                "one folder, give others another name, and name the folders in which the identities' folders lie"
            )
    return ""


def _home(image: ImageFile) -> Path:
    return Path(os.path.abspath(image.path)).parent


def _of_captures(images: Sequence[ImageFile], sources: Sequence[str]) -> list[Path]:
    """Folders below `sources` with several images."""
    roots = {Path(os.path.abspath(source)) for source in sources}
    counts: dict[Path, int] = defaultdict(int)
    for image in images:
        counts[_home(image)] += 1
    return sorted(parent for parent, count in counts.items() if count > 1 and parent not in roots)


def _identities(images: Sequence[ImageFile], root: Path) -> Mapping[str, list[Path]]:
    """The folders with images below a root, by the first name under what all of them have in common."""
    parents = sorted({home for home in map(_home, images) if root in home.parents})
    if not parents:
        return {}
    common = Path(os.path.commonpath([one.parent for one in parents]))
    found: dict[str, list[Path]] = {}
    for parent in parents:
        found.setdefault(parent.relative_to(common).parts[0], []).append(parent)
    return found
