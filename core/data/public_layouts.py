"""How public sets lay out their photographs and the corners of the documents in them."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from core import json_text
from core.errors import UserError


@dataclass(frozen=True)
class Frame:
    """One annotated photograph: `corners` clockwise from the document's top left, in pixels, not yet checked."""

    image: Path
    identity: str
    group: str
    clip: str
    capture: str
    corners: object
    aspect: float | None = None


def _smartdoc15(raw: Path, archive: str) -> Iterator[Frame]:
    """`metadata.csv.gz`: a line for each frame, with corners and the page's size."""
    for metadata in sorted(raw.rglob("metadata.csv.gz")):
        try:
            with gzip.open(metadata, "rt", encoding="utf-8", newline="") as handle:
                for row in csv.DictReader(handle):
                    yield Frame(
                        image=metadata.parent / row["image_path"],
                        identity=row["model_name"],
                        group=row["modeltype_name"],
                        clip=f"{row['bg_name']} {row['model_name']}",
                        capture=f"{row['bg_name']}_{Path(row['image_path']).stem}",
                        corners=[[row[f"{corner}_x"], row[f"{corner}_y"]] for corner in ("tl", "tr", "br", "bl")],
                        aspect=float(row["model_width"]) / float(row["model_height"]),
                    )
        except (OSError, EOFError, ValueError, KeyError, TypeError, ZeroDivisionError, csv.Error) as error:
            raise UserError(
                f"smartdoc15: metadata.csv.gz cannot be read ({error!r}): fetch the archive again"
            ) from None


def _midv500(raw: Path, archive: str) -> Iterator[Frame]:
    """`NN_name/ground_truth/XX/XXNN_MM.json` beside `NN_name/images/XX/XXNN_MM.tif`; XX is the kind of clip.

    An identity is `name`, as MIDV-2020 has it, which shows documents of the same kinds again.
    """
    kind = archive.partition("_")[2] or archive
    for annotation in sorted(raw.rglob("ground_truth/*/*.json")):
        home = annotation.parents[2]
        image = home / "images" / annotation.parent.name / f"{annotation.stem}.tif"
        content = _json(annotation)
        yield Frame(
            image=image,
            identity=kind,
            group=_family(kind),
            clip=f"{archive} {annotation.parent.name}",
            capture=annotation.stem,
            corners=content.get("quad") if isinstance(content, dict) else None,
        )


def _midv2020(raw: Path, archive: str) -> Iterator[Frame]:
    """`annotations/<type>.json` of the VGG Image Annotator beside `images/<type>/NN.jpg`."""
    for annotation in sorted(raw.rglob("annotations/*.json")):
        content = _json(annotation)
        listed = content.get("_via_img_metadata") if isinstance(content, dict) else None
        for entry in listed.values() if isinstance(listed, dict) else ():
            name = entry.get("filename") if isinstance(entry, dict) else None
            if not isinstance(name, str):
                continue
            kind, stem = annotation.stem, Path(name).stem
            yield Frame(
                image=annotation.parents[1] / "images" / kind / name,
                identity=kind,
                group=_family(kind),
                clip=f"{archive} {kind}",
                capture=f"{archive}_{stem}",
                corners=_via_quad(entry),
            )


def _via_quad(entry: dict[str, object]) -> object:
    regions = entry.get("regions")
    for region in regions if isinstance(regions, list) else ():
        try:
            if region["region_attributes"].get("field_name") == "doc_quad":
                shape = region["shape_attributes"]
                return list(zip(shape["all_points_x"], shape["all_points_y"], strict=True))
        except (TypeError, KeyError, AttributeError, ValueError):
            continue
    return None


def _json(path: Path) -> object:
    try:
        return json_text.read(path)
    except (OSError, ValueError):
        return None


def _family(name: str) -> str:
    """`aut_drvlic_new` -> `drvlic`: what kind of document it is, whatever the country."""
    parts = name.split("_")
    return parts[1] if len(parts) > 1 else name


# Each takes the unpacked archive and its name without endings, and gives its frames.
LAYOUTS: dict[str, Callable[[Path, str], Iterator[Frame]]] = {
    "smartdoc15": _smartdoc15, "midv500": _midv500, "midv2020": _midv2020,
}  # fmt: skip
