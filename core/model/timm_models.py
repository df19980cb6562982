"""What timm says of a backbone's name and of images for it: asked where runs are planned, before one of them fails."""

from __future__ import annotations

from functools import lru_cache

from core.errors import did_you_mean, first_line

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


def why_no_images(backbone: str, image_size: int) -> str | None:
    """None where a model of timm's may take images of this size, else one line that says why it does not.

    Only what the model itself refuses is told: whatever else goes wrong without weights and pixels may not in a run.
    """
    return None if backbone in SHIPPED else _refusal(backbone, image_size)


@lru_cache(maxsize=64)
def _refusal(backbone: str, image_size: int) -> str | None:
    import timm
    import torch

    try:
        # On the meta device nothing is computed or drawn: it is shapes that models refuse.
        with torch.device("meta"), torch.no_grad():
            model = timm.create_model(backbone, pretrained=False, features_only=True, out_indices=(-1,)).eval()
            model(torch.zeros(1, 3, image_size, image_size))
    except AssertionError as error:
        return cannot_take(backbone, image_size, error)
    except Exception:  # the run builds it whole, and says what it meets
        return None
    return None


def cannot_take(backbone: str, image_size: int, error: Exception) -> str:
    """What is said of a backbone that failed on one image of `image_size` pixels a side."""
    told = f"model.backbone: {backbone} cannot take images of {image_size} x {image_size} pixels"
    return f"{told} ({first_line(error).rstrip('.')}): give another backbone, or another data.image_size"
