"""Public sets made into what `--data` and `--eval` read.

A set for training is a folder of images as it is. A set for evaluation becomes
``identities/<identity>/<capture>.jpg``, each document cut out by its annotated corners, with a `manifest.csv`.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
import shutil
import tempfile
from pathlib import Path

from core.csv_cells import inert
from core.data import public_home
from core.data.archives import Limits, extract
from core.data.fetch import download
from core.data.first_digests import FirstDigests
from core.data.image_file import Unusable, open_upright
from core.data.public_home import WORK, Prepared
from core.data.public_layouts import LAYOUTS, Frame
from core.data.public_sets import PublicSet, RemoteFile
from core.data.rectify import rectify, usable_quad
from core.data.rendering import Progress
from core.errors import UserError
from core.lease import Leases
from core.lease_file import Holder, LeaseLost, Ticket
from core.store import told_to_the_user, write_atomic

MANIFEST = ("path", "identity", "group", "capture", "source")
_IMAGES = ("images",)  # what a set puts into its folder
_IDENTITIES = ("identities", "manifest.csv")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_QUALITY = 95  # of the JPEG files: high enough that the second compression is not what is measured


def fetch(
    public: PublicSet,
    out: Path,
    *,
    mirror: str | None = None,
    every: int | None = None,
    progress: Progress | None = None,
) -> Prepared:
    """Download, verify, unpack and prepare a set under ``<out>/<name>/``; what is done already is not done again.

    Of several processes that fetch one set at the same time one works, and the others wait for it.

    Args:
        mirror: an address that takes the place of the set's own.
        every: of the frames of each clip take each n-th; default the set's. A set of images has none to choose from.

    Raises:
        UserError: one line; the downloads that are complete stay and are used the next time.
    """
    home = out / public.name
    every = public.step(every)
    if (done := public_home.done(home, every)) is not None and not public_home.leftovers(home):
        return done

    def waiting(other: Holder) -> None:
        if progress:
            progress(f"{public.name}, which {other} fetches", 0, 1)

    with told_to_the_user(home), Leases(home).hold(".lease-fetch", waiting) as lease:
        public_home.remove_leftovers(home)
        if (done := public_home.done(home, every)) is not None:  # another process made it meanwhile
            return done
        files = [_download(public, file, home / "downloads", mirror, progress) for file in public.files]
        try:
            if public.layout == "images":
                return _images(public, home, files[0], lease.ticket, progress)
            return _identities(public, home, files, every, lease.ticket, progress)
        except LeaseLost:
            raise UserError(
                f"{public.name} was taken over by another process, as this one stood still for long: run again to "
                "wait for it"
            ) from None


def _download(public: PublicSet, file: RemoteFile, folder: Path, mirror: str | None, progress: Progress | None) -> Path:
    """A file that has no published digest is held to the one it had when it first came."""
    first = FirstDigests(folder)
    noted = first.of(file.name)
    wanted, origin = (file.sha256, "") if file.sha256 else (noted, first.origin)
    target = folder / file.name
    return download(
        public.url(file, mirror), target, size=file.size, sha256=wanted, sha256_from=origin, progress=progress
    )


def _images(public: PublicSet, home: Path, archive: Path, ticket: Ticket, progress: Progress | None) -> Prepared:
    public_home.check_replaceable(home, _IMAGES)
    with tempfile.TemporaryDirectory(dir=home, prefix=WORK[0]) as temporary:
        made = Path(temporary) / "images"
        endings = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff")
        limits = Limits(fold_case=public.fold_case)
        count = extract(
            archive, made, limits=limits, members=endings, inside=public.inside, hidden=False, progress=progress
        )
        FirstDigests(archive.parent).note(archive)
        prepared = Prepared(home / "images", images=count)
        public_home.put_in_place(home, Path(temporary), _IMAGES, prepared, public.every, ticket)
    return prepared


def _identities(
    public: PublicSet, home: Path, archives: list[Path], every: int, ticket: Ticket, progress: Progress | None
) -> Prepared:
    public_home.check_replaceable(home, _IDENTITIES)
    prepared = Prepared(home / "identities")
    rows: list[tuple[str, ...]] = []
    with tempfile.TemporaryDirectory(dir=home, prefix=WORK[1]) as temporary:
        made = Path(temporary) / "identities"
        made.mkdir()
        for archive in archives:
            # One archive at a time is unpacked: some sets are ten times larger unpacked than prepared.
            raw = Path(temporary) / "raw"
            extract(archive, raw, limits=Limits(max_ratio=200), hidden=False, progress=progress)
            FirstDigests(archive.parent).note(archive)
            frames = list(LAYOUTS[public.layout](raw, archive.name.split(".")[0]))
            chosen = [frame for clip in _clips(frames) for frame in clip[::every]]
            for number, frame in enumerate(chosen, 1):
                try:
                    rows.append(_cut_out(frame, raw, made))
                except Unusable as reason:
                    prepared.skipped[str(reason)] += 1
                if progress:
                    progress(f"cutting out {archive.name}", number, len(chosen))
            shutil.rmtree(raw)
        prepared.images, prepared.identities = len(rows), len({row[1] for row in rows})
        if not rows:
            reasons = ", ".join(f"{count} {reason}" for reason, count in prepared.skipped.most_common())
            raise UserError(
                f"{public.name}: no usable frame in {home / 'downloads'} ({reasons or 'no annotation found'})"
            )
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(
            [MANIFEST, *([inert(cell) for cell in row] for row in sorted(rows))]
        )
        write_atomic(Path(temporary) / "manifest.csv", text.getvalue().encode())
        public_home.put_in_place(home, Path(temporary), _IDENTITIES, prepared, every, ticket)
    return prepared


def _clips(frames: list[Frame]) -> list[list[Frame]]:
    ordered = sorted(frames, key=lambda frame: (frame.clip, frame.capture))
    return [list(group) for _, group in itertools.groupby(ordered, key=lambda frame: frame.clip)]


def _cut_out(frame: Frame, raw: Path, made: Path) -> tuple[str, ...]:
    """Write one capture; returns its line of the manifest."""
    if not (_PLAIN.fullmatch(frame.identity) and _PLAIN.fullmatch(frame.capture)):
        raise Unusable("a name that is not plain")  # annotations, too, come from elsewhere
    if not frame.image.resolve().is_relative_to(raw.resolve()) or not frame.image.is_file():
        raise Unusable("no image for an annotation")
    image = open_upright(frame.image)
    corners = usable_quad(frame.corners, *image.size)
    if corners is None:
        raise Unusable("no usable corners")
    target = made / frame.identity / f"{frame.capture}.jpg"
    target.parent.mkdir(exist_ok=True)
    rectify(image, corners, frame.aspect).save(target, quality=_QUALITY)
    path = str(Path("identities") / frame.identity / target.name)
    return (path, frame.identity, frame.group, frame.capture, str(frame.image.relative_to(raw)))
