"""What timm says of a backbone's name and of images for it: asked where runs are planned, before one of them fails."""

from __future__ import annotations

from functools import lru_cache

from core.errors import did_you_mean

# Importing timm takes seconds, which plans of the shipped studies need not. Their backbones take images of any size.
SHIPPED = frozenset({"lcnet_050", "lcnet_100", "efficientnet_b0"})


@lru_cache(maxsize=64)
def why_no_model(backbone: str) -> str | None:
    """None where timm has a model of this name, else one line that says so, with the nearest name."""
    if backbone in SHIPPED:
        return None
    import timm

    if timm.is_model(backbone):
        return None
    models = timm.list_models()
    near = did_you_mean(backbone, models) or f": timm.list_models() gives the names of its {len(models):,} models"
    return f"model.backbone: timm has no '{backbone}'{near}"
