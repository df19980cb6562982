"""What fuzzing starts from: valid inputs of every reader, and pieces that have broken readers like them."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

import ablations
from core.config import RunConfig

_PACKAGE = Path(ablations.__path__[0])
_STUDY = """\
study: mine
title: My study
question: Is a smaller margin better?
claims: {own: half the margin is better}
baseline: documented
arms:
  documented: {}
  small: {loss.margin: 0.2, about: half the margin, published: [V4/lcnet050-f256-r128-ln-cos]}
  half: {model.embed_dim: {scale: 1/2, step: 8}, requires: [imagenet_weights]}
contrasts:
  - {finding: own, better: small, than: documented, smallest_effect: 0.02}
  - {finding: own, kind: non_inferiority, better: half, than: small, margin: 0.03, metric: auroc}
x_axis: cost.classes
"""
TOKENS: dict[str, list[bytes]] = {
    "yaml": [
        b"!!python/object/apply:os.system ['true']", b"&a", b"*a", b"<<: *a\n", b"? [a]\n: b\n", b"\t", b"\x00",
        b"{" * 40,
        b"[" * 40, b"9" * 5000, b".inf", b".nan", b"0x" + b"f" * 200, b"1e999", b"1/0", b"1e9999999", b"2024-13-45",
        b"!!binary x",
        b"!!int ''", b"!!set {a}", b"=", b"'", b'"\\ud800"', b'"\\U00110000"', b"../../x", b"/etc/passwd", b"index",
        b"x" * 5000, b"\xe2\x80\xae", b"[/red]", b"\x1b[31m", b"hf-hub:evil/x", b"imagenet", b"1:0:0",
        b"%YAML 9999.9\n---\n",
        b"--- \n", b"|99\n", b"set: 3", b"null", b"on", b"-1", b"1.0e+400", b"\xff", b"\r", b"\xc2\x85",
        b"{scale: 1e400}",
    ],
    "json": [
        b"[" * 3000, b'{"a":' * 90, b"9" * 5000, b"1e999", b"NaN", b"-Infinity", b'"\\ud800"', b"null", b"true", b"[]",
        b"{}", b'""', b"-1", b"1.5", b"\xff", b"\x00", b'"a": 1, "a": 2,', b'"x"', b"1e308", b"0", b"[null]",
        b'{"1": {}}',
    ],
    "words": [
        b"9" * 5000, b"\x00", b"\xff", b"=", b",", b"-1", b"[", b"*", b"&", b"!!python/name:os.system", b"{a: 1}",
        b"3e-4",
        b"\xd9\xa3", b"h", b"m", b"1.5", b"e", b"nan", b"inf", b".inf", b"x" * 5000, b"runtime.", b"data.source=",
        b"null",
    ],
    "bytes": [
        b"\x00", b"\xff" * 4, b"\x00" * 64, b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", b"\xff\xff\xff\x7f",
        b"PK\x01\x02",
        b"IHDR", b"../x", b"\x01\x00", b"\x00\x01", b"\xfe", b"/", b"A" * 300,
    ],
}  # fmt: skip


def _pictures() -> list[bytes]:
    ramp = np.linspace(0, 255, 24 * 16 * 3, dtype=np.uint8).reshape(16, 24, 3)
    base, made = Image.fromarray(ramp), []
    for form, mode, options in (
        ("PNG", "RGB", {}), ("PNG", "P", {}), ("PNG", "LA", {}), ("PNG", "I;16", {}), ("JPEG", "RGB", {}),
        ("JPEG", "CMYK", {}), ("JPEG", "L", {"progressive": True}), ("TIFF", "RGB", {"compression": "tiff_lzw"}),
        ("TIFF", "RGB", {"compression": "packbits"}), ("TIFF", "F", {}), ("TIFF", "RGB", {"compression": "jpeg"}),
        ("WEBP", "RGBA", {}), ("WEBP", "RGB", {"lossless": True}), ("GIF", "P", {}), ("BMP", "RGB", {}),
        ("PPM", "RGB", {}), ("PCX", "P", {}), ("JPEG2000", "RGB", {}), ("AVIF", "RGB", {}), ("QOI", "RGB", {}),
    ):  # fmt: skip
        target = io.BytesIO()
        exif = Image.Exif()
        exif[0x0112] = 6
        try:
            base.convert(mode).save(target, form, exif=exif, **options)
        except (OSError, ValueError, KeyError):  # this Pillow cannot write it
            continue
        made.append(target.getvalue())
    frames = io.BytesIO()
    base.save(frames, "GIF", save_all=True, append_images=[base.rotate(90)])
    return [*made, frames.getvalue()]


def _zips() -> list[bytes]:
    made = []
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", kind) as archive:
            archive.writestr("a/b.jpg", b"one" * 50)
            archive.writestr("c.txt", b"two")
        made.append(target.getvalue())
    return made


def _tars() -> list[bytes]:
    made = []
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        target = io.BytesIO()
        with tarfile.open(fileobj=target, mode="w", format=form) as archive:
            for name in ("a/b.jpg", "x" * 120 + "/é.txt"):
                info = tarfile.TarInfo(name)
                info.size = 150
                archive.addfile(info, io.BytesIO(b"one" * 50))
            if form == tarfile.GNU_FORMAT:
                link = tarfile.TarInfo("link")
                link.type, link.linkname = tarfile.SYMTYPE, "/etc"
                archive.addfile(link)
        made.append(target.getvalue())
    return made


def _safetensors() -> list[bytes]:
    import torch
    from safetensors.torch import save

    return [
        save({"a.weight": torch.ones(2, 3), "b": torch.zeros(4, dtype=torch.float16)}),
        save({"n": torch.tensor(1)}),
    ]


def _checkpoints() -> list[bytes]:
    import torch

    made = []
    for content in ({"a": torch.ones(2, 3)}, {"state_dict": {"a": torch.zeros(4)}}, [torch.ones(1)], 3):
        for zipped in (True, False):
            target = io.BytesIO()
            torch.save(content, target, _use_new_zipfile_serialization=zipped)
            made.append(target.getvalue())
    return [*made, b"cos\nsystem\n(S'true'\ntR.", b"\x80\x02cbuiltins\neval\n(X\x01\x00\x00\x001tR."]


def _records() -> list[bytes]:
    numbers = dict.fromkeys(("tpr@1e-4", "tpr@1e-3", "tpr@1e-2", "auroc", "top1"), 0.5)
    result = {
        "schema": 1,
        "metrics": numbers,
        "config": RunConfig().model_dump(mode="json"),
        "cost": {"seconds": 3},
        "curve": [{"samples": 1, "loss": 2.5, **numbers}],
        "environment": {"torch": "2"},
        "inputs": {"train": "x"},
    }
    failure = {"schema": 1, "kind": "diverged", "message": "the loss is nan"}
    cell = {"study": "a", "arm": "b", "seed": 0, "key": "0123456789abcdef", "state": "done"}
    report = {
        "schema": 1,
        "preset": "quick",
        "command": "run",
        "looks": {"5": 1.0},
        "code": "x",
        "studies": {"a": "b"},
        "cells": [cell],
        "store_digest": "x",
        "files": {"index.md": "00"},
    }
    steps = {
        "rows": [{"head": "fast", "classes": 10, "rate": 1.0, "ms": 2}],
        "turns": {"1.0": [1.0]},
        "environment": {"hardware": "x", "device": "cpu", "threads": 1},
    }
    scan = {"images": [["a.png", "00"]], "skipped": [["b", "not an image"]]}
    return [json.dumps(one).encode() for one in (result, failure, report, steps, scan)]


def _verdicts() -> list[bytes]:
    estimate = {
        "study": "a", "finding": "4_x", "arms": ["b", "c"], "label": "b - c on TPR@1e-4", "kind": "superiority",
        "declared": "tpr@1e-4", "metric": "tpr@1e-4", "decides": True, "ratio": False, "unit": 0.02, "estimate": 0.01,
        "low": -0.01, "high": 0.03, "seed_se": 0.004, "identity_se": 0.003, "seed_df": 4, "identity_df": None,
        "seeds": [0, 1], "settings": "00",
    }  # fmt: skip
    ratio = {**estimate, "kind": "cost_ratio", "metric": "seconds", "ratio": True, "estimate": 2, "low": 1, "high": 3}
    finding = {"finding": "4_x", "label": "4", "claim": "c", "verdict": "reproduced", "reason": "r", "look": 5}
    looser = {**estimate, "looser": {**estimate, "metric": "tpr@1e-3"}}
    summary = {"schema": 1, "preset": "quick", "findings": [{**finding, "estimates": [looser, ratio]}]}
    return [
        json.dumps({**summary, "control": control}).encode() for control in (None, {**estimate, "study": "control"})
    ]


def _presets() -> list[bytes]:
    """The package's under names of one's own, and one that rests on another."""
    there = [path.read_bytes() for path in sorted((_PACKAGE / "presets").glob("*.yaml"))]
    own = b"preset: mine\nbase: quick\nlooks: {10: 0.2, 20: 0.8}\nset: {eval.identities: 4000}\n"
    return [own, *(text.replace(b"preset: ", b"preset: my-", 1) for text in there)]


def _annotations() -> list[bytes]:
    quad = [[10, 10], [90, 10], [90, 90], [10, 90]]
    shape = {"all_points_x": [1, 2, 3, 4], "all_points_y": [1, 2, 3, 4]}
    region = {"region_attributes": {"field_name": "doc_quad"}, "shape_attributes": shape}
    via = {"_via_img_metadata": {"a": {"filename": "00.jpg", "regions": [region]}}}
    return [json.dumps(one).encode() for one in ({"quad": quad}, via)]


def _metadata() -> list[bytes]:
    corners = [f"{corner}_{axis}" for corner in ("tl", "bl", "br", "tr") for axis in "xy"]
    names = ["bg_name", "image_path", "model_name", "modeltype_name", "model_width", "model_height", *corners]
    row = ["background01", "background01/datasheet001/frame_0001.jpeg", "datasheet001", "datasheet", "2100", "2970"]
    return [f"{','.join(names)}\n{','.join([*row, *map(str, range(8))])}\n".encode()]


def _studies() -> list[bytes]:
    return [_STUDY.encode(), *(path.read_bytes() for path in sorted((_PACKAGE / "studies").glob("*.yaml")))]


_MAKERS: dict[str, tuple[str, Callable[[], list[bytes]]]] = {
    "study files": ("yaml", _studies),
    "presets": ("yaml", _presets),
    "config.yaml of runs": ("yaml", lambda: [RunConfig().to_yaml().encode()]),
    "values of --set": ("words", lambda: [b"optim.lr=3e-4", b"model.norm=bn",
    b"model.pretrained=none\x00data.images=16"]),
    "numbers of --seeds": ("words", lambda: [b"3", b"0,1,7"]),
    "times of --budget": ("words", lambda: [b"2h", b"1h30m", b"45s"]),
    "images": ("bytes", _pictures),
    "zip archives": ("bytes", _zips),
    "tar archives": ("bytes", _tars),
    "tar.gz archives": ("bytes", _tars),
    "safetensors": ("bytes", _safetensors),
    "pth weights": ("bytes", _checkpoints),
    "teachers' configurations": (
        "json", lambda: [(_PACKAGE.parent / "core/weights/teacher/open_clip_config.json").read_bytes()]
    ),
    "JSON of stores and reports": ("json", _records),
    "verdicts of reports": ("json", _verdicts),
    "JSON": ("json", lambda: [*_records(), *_annotations()]),
    "metadata.csv of public sets": ("words", _metadata),
    "annotations of public sets": ("json", _annotations),
}  # fmt: skip


@cache
def seeds_of(target: str) -> tuple[bytes, ...]:
    """Valid inputs, and some that are meant to be refused."""
    return tuple(_MAKERS[target][1]())


def tokens_of(target: str) -> list[bytes]:
    """Pieces to put into an input."""
    return TOKENS[_MAKERS[target][0]]
