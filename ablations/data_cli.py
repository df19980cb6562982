"""`data`: draw the procedural documents, fetch public sets of images, check a folder before it is used."""

from __future__ import annotations

import hashlib
import shlex
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from ablations import terminal
from ablations.folder_views import print_check
from ablations.options import AsJson
from ablations.own_images import two_meanings
from ablations.views import print_json
from ablations.words import words_of
from core.config_sections import DataConfig, EvalConfig
from core.data import cache
from core.data.corpus import corpus
from core.data.corpus_images import pool_images
from core.data.folder import find
from core.data.folder_check import FolderReport, Use, check_folder, overlap
from core.data.prepare_public import fetch as fetch_set
from core.data.public_sets import PublicSet, public_set, public_sets
from core.errors import UserError, shown

app = typer.Typer(
    help="Procedural documents, public sets of images, and checks of your own folders.",
    no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None,
)  # fmt: skip


@app.command(short_help="Draw the pool of procedural documents now, for the cache.")
def render(
    templates: Annotated[int, typer.Option("--templates", min=1, help="How many documents.")] = 16_384,
    size: Annotated[int, typer.Option("--image-size", min=32, max=512, help="Pixels a side.")] = 128,
    as_json: AsJson = False,
) -> None:
    """Draw the pool of procedural documents now, one process a core; runs find it in the cache."""
    store = cache.cache_dir(None)
    source = corpus(DataConfig(pool=templates, images=templates), EvalConfig(), store)
    started = time.perf_counter()
    with terminal.bars(terminal.stderr()) as progress:
        images = pool_images(source, size, store, progress)
    seconds = time.perf_counter() - started
    facts = {
        "documents": templates, "image_size": size, "bytes": images.nbytes, "seconds": round(seconds, 1),
        "sha256": hashlib.sha256(images.data).hexdigest(), "fingerprint": source.train.fingerprint, "cache": str(store),
    }  # fmt: skip
    if as_json:
        print_json(facts)
        return
    print(f"{templates:,} documents at {size} px, {images.nbytes / 1e6:,.0f} MB in {shown(str(store))}")
    print(f"{seconds:.1f} s ({templates / max(seconds, 1e-9):,.0f}/s); content sha256 {facts['sha256']}")


@app.command(short_help="A picture of documents, captures and shifted captures.")
def sheet(
    out: Annotated[Path, typer.Option("--out", help="The picture to write.")] = Path("documents.png"),
    size: Annotated[int, typer.Option("--image-size", min=32, max=256, help="Pixels of each image.")] = 96,
) -> None:
    """Write a picture of templates, siblings, holders, captures and shifted captures."""
    from core.data.sheet import draw_sheet  # matplotlib, which other commands need not import

    if out.is_dir():
        raise UserError(f"--out: '{out}' is a folder: name the picture to write")
    draw_sheet(out, size)
    print(shown(str(out)))


@app.command(short_help="Download, verify and unpack a public set of images.")
def fetch(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="A set; without one, the known sets.")] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of all sets.")] = Path("data"),
    accept_licence: Annotated[bool, typer.Option("--accept-licence", help="You accept the set's licence.")] = False,
    mirror: Annotated[str | None, typer.Option("--mirror", help="Address in place of the set's own.")] = None,
    every: Annotated[
        int | None,
        typer.Option("--every", min=1, help="Take each n-th frame of a clip.", show_default="10 for videos, else 1"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Download a public set, verify it, and make it into what --data or --eval reads."""
    if name is None:
        known = [_set_facts(one) for one in public_sets().values()]
        print_json(known) if as_json else _print_sets(known)
        return
    chosen = public_set(name)
    chosen.step(every)  # before the licence: what is refused then would be refused after it, too
    if not accept_licence:
        facts = _set_facts(chosen)
        print_json(facts) if as_json else _print_set(facts)
        words = words_of(
            ("--out", str(out), "data"),
            ("--mirror", mirror, None),
            ("--every", every, None),
            ("--json", as_json, False),
        )
        again = shlex.join(["data", "fetch", name, *words])
        raise UserError(
            f"{name} has a licence ({chosen.licence}): if you accept it, type "
            f"`python -m ablations {again} --accept-licence`"
        )
    with terminal.bars(terminal.stderr()) as progress:
        prepared = fetch_set(chosen, out, mirror=mirror, every=every, progress=progress)
    command = f"python -m ablations run all {chosen.use} {shlex.quote(str(prepared.folder))}"
    facts = {
        "set": name, "folder": str(prepared.folder), "images": prepared.images, "identities": prepared.identities,
        "skipped": dict(prepared.skipped), "licence": chosen.licence, "command": command,
    }  # fmt: skip
    if as_json:
        print_json(facts)
        return
    identities = f" of {prepared.identities:,} identities" if prepared.identities else ""
    print(f"{prepared.images:,} images{identities} in {shown(str(prepared.folder))}")
    for reason, count in prepared.skipped.most_common():
        print(f"left out: {count:,} with {reason}")
    print(f"to use it: {shown(command)}")


@app.command(short_help="What is in a folder, and what is it good for?")
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of images.")],
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="DIR", help="A folder to train on: which images of DIR are in it, too?"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what is in a folder and what it is good for: --data, --eval, and at which false positive rates."""
    with terminal.bars(terminal.stderr()) as progress:
        report = _as_planned(check_folder(folder, progress=progress))
        shared = overlap(folder, against, progress=progress) if against else None
    if as_json:
        rates = {f"{fpr:g}": ok for fpr, ok in report.rates.items()}
        facts = {**asdict(report), "rates": rates, "pairs": report.pairs}
        print_json(facts | ({"against": asdict(shared)} if shared else {}))
    else:
        print_check(report, shared)
    if not (report.data.usable or report.evaluation.usable):
        raise UserError(f"'{folder}' can be used for neither --data nor --eval: {report.data.note}")


def _as_planned(report: FolderReport) -> FolderReport:
    """The report, without `--eval` where a plan would refuse the folder for it."""
    if not report.evaluation.usable:
        return report
    found = find([str(report.folder)], cache.cache_dir(None), option="DIR")
    if not (why := two_meanings(found.images, [str(report.folder)])):
        return report
    return replace(report, evaluation=Use(False, why), identities=0, rates=dict.fromkeys(report.rates, False))


def _set_facts(known: PublicSet) -> dict[str, Any]:
    sources, published = [known.url(file) for file in known.files], all(file.sha256 for file in known.files)
    return {
        "set": known.name, "title": known.title, "use": known.use, "licence": known.licence, "permits": known.permits,
        "homepage": known.homepage, "bytes": known.size, "files": sources,
        "verified": "a published digest" if published else "the digest of the first download",
    }  # fmt: skip


def _megabytes(size: int | None) -> str:
    return "not stated" if size is None else f"about {size / 1e6:,.0f} MB"


def _print_sets(known: list[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("set", "for", "download", "licence", "what"):
        table.add_column(heading, no_wrap=heading in ("set", "for"))
    for one in known:
        table.add_row(one["set"], one["use"], _megabytes(one["bytes"]), one["licence"], one["title"])
    terminal.stdout().print(table)
    print("fetch one with: python -m ablations data fetch NAME")


def _print_set(facts: dict[str, Any]) -> None:
    files = facts["files"]
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    for label, text in (
        ("set", f"{facts['set']}: {facts['title']}"), ("licence", facts["licence"]), ("permits", facts["permits"]),
        ("homepage", facts["homepage"]), ("source", files[0] + more), ("download", _megabytes(facts["bytes"])),
        ("verified by", facts["verified"]), ("for", facts["use"]),
    ):  # fmt: skip
        print(f"{label:<12}{text}")
