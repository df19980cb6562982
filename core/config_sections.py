"""The sections of a run's configuration: every field with its range, and whether it is part of the run's identity.

Fields that only change where or how fast a run happens (paths, devices, threads) are made with `_runtime` and are left
out of the key. A field that is added later is made with `_added`, at a neutral value that leaves the keys of older runs
as they were.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MOST = 10**9  # of anything that is counted: more is a slip of the keyboard, and would overflow further on


def _runtime(default: Any, **kwargs: Any) -> Any:
    return Field(default, json_schema_extra={"identity": False}, **kwargs)


def _added(neutral: Any, **kwargs: Any) -> Any:
    """A field added after runs were stored: left out of the key while at its neutral value."""
    return Field(neutral, json_schema_extra={"neutral": neutral}, **kwargs)


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


_LONGEST_PATH = 4096  # characters; no file system takes more, and many calls raise where it does not
PathText = Annotated[str, Field(min_length=1, max_length=_LONGEST_PATH, pattern=r"^[^\x00]+$")]
Sources = Annotated[tuple[PathText, ...], BeforeValidator(_as_tuple), Field(min_length=1, max_length=1000)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def section_identity(section: Section) -> dict[str, Any]:
    """The fields of a section that decide the result, without those added later that are at their neutral value."""
    fields: dict[str, Any] = {}
    for name, info in type(section).model_fields.items():
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        value = getattr(section, name)
        if extra.get("identity", True) and not ("neutral" in extra and value == extra["neutral"]):
            fields[name] = value
    return fields


class DataConfig(Section):
    """What is trained on."""

    source: Sources = _runtime(("procedural",), description="'procedural', or folders of images")
    pool: int = Field(2000, ge=1, le=MOST, description="procedural templates to draw from (folders: all their images)")
    images: int = Field(1000, ge=1, le=MOST, description="source images trained on, drawn from the pool by the seed")
    expansion: Literal[1, 8, 24] = Field(1, description="classes per image: rotations, flips, halves")
    image_size: int = Field(64, ge=32, le=512, multiple_of=2, description="pixels; images are squashed to squares")
    augment: Literal["documented", "geometric", "photographed", "none"] = "photographed"
    strict: bool = _runtime(False, description="refuse unreadable files instead of skipping them")

    @property
    def classes(self) -> int:
        return self.images * self.expansion


class ModelConfig(Section):
    """The embedder: backbone, neck, head norms."""

    backbone: str = Field("lcnet_050", max_length=128, pattern=r"^[A-Za-z0-9_.]+$", description="a timm model's name")
    pretrained: PathText = _runtime("procedural", description="none | procedural | imagenet | path to weights")
    neck: Literal["flatten", "gap", "squeeze"] = "flatten"
    norm: Literal["none", "bn", "ln", "ln_bn", "bn_ln", "ln_centre"] = Field(
        "ln", description="after both linear layers; ln_centre: LayerNorm, then the batch mean taken off"
    )
    embed_dim: int = Field(256, ge=2, le=8192)


class LossConfig(Section):
    """The margin loss over class centres."""

    kind: Literal["softmax", "cosface", "arcface", "arcface_straight_through"] = "cosface"
    scale: float = Field(64.0, gt=0)
    margin: float = Field(0.4, ge=0, le=3.14159, description="cosine units (cosface) or radians (arcface)")
    sample_rate: float = Field(0.3, gt=0, le=1, description="share of class centres a step; 1 = full softmax")
    sampler: Literal["uniform", "windows"] = _added("uniform", description="negatives one by one, or in windows")
    centre_update: Literal["dense", "rows", "row_scalar"] = _added(
        "dense", description="AdamW on all centres (documented), on used rows, or with one moment a used row"
    )


class DistillConfig(Section):
    """Distillation from image features of a CLIP teacher."""

    kind: Literal["none", "kld", "cosine", "similarity"] = "none"
    weight: float = Field(1.0, ge=0)
    temperature: float = Field(1.0, gt=0)
    clean_view: bool = Field(
        False, description="the student also embeds the clean image, as documented: batch statistics see it"
    )
    teacher: PathText = _runtime("procedural", description="procedural | random | openai | path to a CLIP model")

    @property
    def active(self) -> bool:
        return self.kind != "none" and self.weight > 0

    @property
    def views(self) -> int:
        """Of a sample, that the embedder sees."""
        return 2 if self.clean_view else 1


class PrecisionConfig(Section):
    """Arithmetic: float32 matmul precision, or autocast."""

    mode: Literal["highest", "high", "medium", "bf16", "fp16"] = "medium"


class OptimConfig(Section):
    """AdamW, linear warm-up, then linear decay to zero (the record's polynomial of power 1)."""

    lr: float = Field(1e-3, gt=0)
    centre_lr_ratio: float = Field(10.0, gt=0, description="learning rate of the class centres over `lr`")
    weight_decay: float = Field(1e-3, ge=0)
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    batch_size: int = Field(64, ge=2, le=MOST)
    samples: int = Field(48_000, ge=1, le=1000 * MOST, description="images seen in all")
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the steps")
    clip: float = Field(5.0, gt=0, description="norm that gradients are clipped to")

    @property
    def steps(self) -> int:
        return max(1, self.samples // self.batch_size)


class EvalConfig(Section):
    """Held-out identities and their captures."""

    source: Sources = _runtime(("held-out",), description="'held-out' (of the data), or folders")
    identities: int = Field(1000, ge=2, le=MOST, description="test identities")
    validation_identities: int = Field(300, ge=2, le=MOST)
    captures: int = Field(5, ge=2, le=MOST, description="simulated captures of each identity")
    severity: float = Field(1.0, gt=0, le=1, description="of simulated captures: 1 is a hurried photograph")
    points: int = Field(8, ge=1, le=MOST, description="validations during training, the last at the end")
    shifted: bool = Field(
        True,
        json_schema_extra={"neutral": False},
        description="also judge on captures with corruptions never trained on",
    )
    judged: Literal["test", "validation"] = _added(
        "test", description="which identities the finished run is judged on: tuning never sees the test's"
    )


def device_kind(device: str) -> str:
    """`cuda:1` -> `cuda`: which of equal devices it is decides nothing."""
    return device.partition(":")[0]


class RuntimeConfig(Section):
    """Where and how fast, never what: no field here is part of the identity."""

    device: str = _runtime("cpu", pattern=r"^(cpu|cuda(:\d+)?)$")
    threads: int = _runtime(1, ge=1, le=4096)
    cache_dir: PathText | None = _runtime(None, description="default: $DOCABLATE_CACHE or ~/.cache/docablate")
