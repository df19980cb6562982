"""timm backbones as feature extractors, with weights from this project, from timm or from a file."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from core.config_sections import ModelConfig
from core.errors import RunFailure, first_line
from core.model.depthwise import use_small_depthwise
from core.model.timm_models import why_no_model
from core.model.weight_files import MODEL_KEYS, of_backbone, read_state, require_numbers
from core.model.weights import resolve
from core.seeds import global_stream

# Their derivative takes their input: written over it, they first copy all of it to keep.
_NEED_THEIR_INPUT = (nn.Hardswish, nn.SiLU, nn.Mish)


class Backbone(nn.Module):
    """The last feature map of a timm model: images (B, 3, S, S) in [0, 1] -> (B, C, H, W).

    Some models of timm, Swin for one, give (B, H, W, C), and say so.
    """

    def __init__(self, features: nn.Module) -> None:
        super().__init__()
        self.features = features
        self.channels_last = getattr(features, "output_fmt", "NCHW") == "NHWC"

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        last: torch.Tensor = self.features(images)[-1]
        return last.permute(0, 3, 1, 2) if self.channels_last else last


def build_backbone(config: ModelConfig, seed: int) -> Backbone:
    """The backbone of a configuration, initialised from the stream `init.backbone`, then from its weights.

    Dropout and drop-path, which some of timm's models have by default, are off: arms differ in declared fields alone,
    and draws from torch's global stream would make a run depend on those before it.

    Raises:
        RunFailure: `bad_config` for a model that timm does not have or cannot take features of;
            `bad_weights` for a file that does not hold this model's weights.
        UserError: weights that cannot be had.
    """
    import timm

    if unknown := why_no_model(config.backbone):
        raise RunFailure("bad_config", unknown)
    source = resolve(config.backbone, config.pretrained)
    try:
        with global_stream(seed, "init.backbone"):
            features = timm.create_model(
                config.backbone, pretrained=config.pretrained == "imagenet", features_only=True, out_indices=(-1,)
            )
    except (RuntimeError, AttributeError, AssertionError, TypeError, LookupError) as error:
        message = first_line(error)
        raise RunFailure("bad_config", f"model.backbone: {config.backbone} has no feature maps: {message}") from error
    if source.path is not None:
        load_features(features, source.path)
    for module in features.modules():
        if isinstance(module, _NEED_THEIR_INPUT):
            module.inplace = False
        if isinstance(module, _DropoutNd):
            module.p = 0.0
        if hasattr(module, "drop_prob"):  # timm has several classes of drop-path
            module.drop_prob = 0.0  # type: ignore[assignment]
    return Backbone(use_small_depthwise(features))


def load_features(features: nn.Module, path: Path) -> None:
    """Load a backbone's weights, as training scripts save them; a classifier's in the same file are left aside.

    Raises:
        RunFailure: `bad_weights` for a file that cannot be read, a tensor that is missing or of another shape, and
            where it cannot be told which of several is meant.
    """
    wanted = features.state_dict()
    needed = [name for name in wanted if not name.endswith("num_batches_tracked")]
    state = of_backbone(read_state(path, MODEL_KEYS), needed, path)
    wrong = [name for name in wanted if name in state and state[name].shape != wanted[name].shape]
    if wrong:
        raise RunFailure("bad_weights", f"{path} does not fit the backbone: it has '{wrong[0]}' of another shape")
    taken = {name: state[name] for name in wanted if name in state}
    require_numbers(taken, path)
    features.load_state_dict(taken, strict=False)
