"""Which pretrained weights a configuration means, and the content fingerprint that stands for them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

from core import store
from core.errors import UserError
from core.model import hub
from core.model.timm_models import why_no_model

EMBEDDED = resources.files("core") / "weights"


@dataclass(frozen=True)
class WeightsSource:
    """`path` is a local file, or None for random initialisation (`none`) and for timm's own (`imagenet`)."""

    fingerprint: str
    path: Path | None = None


@lru_cache(maxsize=64)
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    return store.file_digest(path)[:16]


def short_digest(path: Path) -> str:
    """The first 16 hex digits of a file's SHA-256, remembered until its size or time changes."""
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns)


def embedded_backbones() -> list[str]:
    """Backbones whose procedurally pretrained weights are in the package."""
    names = (entry.name for entry in EMBEDDED.iterdir())
    return sorted(name.removesuffix(".safetensors") for name in names if name.endswith(".safetensors"))


def resolve(backbone: str, pretrained: str) -> WeightsSource:
    """Resolve `none | procedural | imagenet | PATH`.

    Raises:
        UserError: a backbone that timm does not have; weights that cannot be had, with what to use instead. It takes
            under a second, or a few where timm has to be asked for the name.
    """
    # Before the weights: there are none of a name that timm does not have, and none can be made.
    if unknown := why_no_model(backbone):
        raise UserError(unknown)
    if pretrained == "none":
        return WeightsSource("none")
    if pretrained == "procedural":
        path = Path(str(EMBEDDED / f"{backbone}.safetensors"))
        if not path.is_file():
            raise UserError(
                f"model.pretrained=procedural: no embedded weights for {backbone} (there are: "
                f"{', '.join(embedded_backbones()) or 'none'}): make some with `pretrain --backbone {backbone}`, "
                "or use model.pretrained=none"
            )
        return WeightsSource(f"procedural:{short_digest(path)}", path)
    if pretrained == "imagenet":
        if why_not := hub.why_not_imagenet(backbone):
            raise UserError(f"model.pretrained=imagenet: {why_not}")
        return WeightsSource(f"imagenet:{backbone}")
    path = Path(pretrained)
    if not os.path.isfile(path):  # unlike Path.is_file it takes any text
        raise UserError(f"model.pretrained: '{pretrained}' is neither a file nor one of none, procedural, imagenet")
    return WeightsSource(f"file:{short_digest(path)}", path)
