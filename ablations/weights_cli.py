"""`pretrain` and `teacher`: weights that are made here, where none can be had from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
import yaml

from ablations import terminal


def pretrain(
    backbone: Annotated[str, typer.Option("--backbone", help="A timm model.")] = "lcnet_050",
    samples: Annotated[int, typer.Option("--samples", min=1, help="Images seen in all.")] = 260_000,
    classes: Annotated[int, typer.Option("--classes", min=64, help="Patterns, or crops, each a class.")] = 2000,
    image_size: Annotated[int, typer.Option("--image-size", min=32, max=512, help="Pixels a side.")] = 64,
    data: Annotated[
        list[str] | None, typer.Option("--data", help="Folder of images to use in place of patterns; may be repeated.")
    ] = None,
    evaluation: Annotated[
        list[str] | None,
        typer.Option("--eval", help="Folder that runs will judge on: its images are left out; may be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of weights, views and their order.")] = 0,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Of PyTorch.")] = 1,
    out: Annotated[Path, typer.Option("--out", help="Folder of the weights.")] = Path("weights"),
) -> None:
    """Make pretrained weights from formula-driven patterns; use them with --set model.pretrained=PATH.

    Run it again after a stop to go on from its checkpoint.
    """
    from core.pretrain import Recipe
    from core.pretrain import pretrain as make

    recipe = Recipe(backbone=backbone, samples=samples, classes=classes, image_size=image_size, seed=seed)
    with terminal.bars(terminal.stderr()) as progress:
        card = make(recipe, out, data=data or (), evaluation=evaluation or (), threads=threads, progress=progress)
    print(yaml.safe_dump(card, sort_keys=False), end="")


def teacher(
    samples: Annotated[int, typer.Option("--samples", min=1, help="Documents and patterns seen in all.")] = 480_000,
    templates: Annotated[
        int, typer.Option("--templates", min=256, help="Procedural documents to learn from.")
    ] = 12_000,
    patterns: Annotated[int, typer.Option("--patterns", min=0, help="Formula-driven patterns to learn from.")] = 4000,
    real: Annotated[
        list[str] | None, typer.Option("--measure-on", help="Folder of images to measure it on as well.")
    ] = None,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Of PyTorch.")] = 1,
    out: Annotated[Path, typer.Option("--out", help="Folder of the teacher.")] = Path("weights/teacher"),
) -> None:
    """Train the small CLIP teacher on documents and captions; use it with --set distill.teacher=PATH.

    Run it again after a stop to go on from its checkpoint.
    """
    from core.teacher_training import TeacherRecipe, train_teacher

    recipe = TeacherRecipe(samples=samples, templates=templates, patterns=patterns)
    with terminal.bars(terminal.stderr()) as progress:
        card = train_teacher(recipe, out, real=real or (), threads=threads, progress=progress)
    print(yaml.safe_dump(card, sort_keys=False), end="")
