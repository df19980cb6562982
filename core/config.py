"""RunConfig: everything that decides the result of one run, frozen and validated, and its key.

Every field says whether it is part of the run's identity. Fields that only change where or how fast a
run happens (paths, devices, threads) are made with `_runtime` and are left out of the key; what a path
points to enters the key through a content fingerprint instead (`core.inputs`). A field that is added
later is made with `_added`, at a neutral value that leaves the keys of older runs as they were.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from core.errors import UserError, nearest

KEY_DIGITS = 16
KEY_SCHEMA = 1  # bumped when the meaning of stored results changes, so that old ones are not reused
FPRS = (1e-4, 1e-3, 1e-2)
MOST = 10**9  # of anything that is counted: more is a slip of the keyboard, and would overflow further on
METRICS = ("tpr@1e-4", "tpr@1e-3", "tpr@1e-2", "auroc", "top1")


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


class RuntimeConfig(Section):
    """Where and how fast, never what: no field here is part of the identity."""

    device: str = _runtime("cpu", pattern=r"^(cpu|cuda(:\d+)?)$")
    threads: int = _runtime(1, ge=1, le=4096)
    cache_dir: PathText | None = _runtime(None, description="default: $DOCABLATE_CACHE or ~/.cache/docablate")


class RunConfig(Section):
    """One arm with one seed. `RunConfig()` is the baseline of the quick preset."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    distill: DistillConfig = DistillConfig()
    precision: PrecisionConfig = PrecisionConfig()
    optim: OptimConfig = OptimConfig()
    eval: EvalConfig = EvalConfig()
    runtime: RuntimeConfig = RuntimeConfig()
    seed: int = Field(0, ge=0, lt=2**31)

    def with_overrides(self, overrides: Mapping[str, Any]) -> RunConfig:
        """A new configuration with dotted fields changed, e.g. ``{"model.norm": "bn"}``.

        Raises:
            UserError: an unknown field (the nearest known one is named) or a value out of range.
        """
        nested: dict[str, Any] = self.model_dump()
        known = field_names()
        for path, value in overrides.items():
            if path not in known:
                raise UserError(f"unknown field '{path}'{nearest_field(path)}")
            *sections, leaf = path.split(".")
            target = nested
            for section in sections:
                target = target[section]
            target[leaf] = value
        try:
            return RunConfig.model_validate(nested)
        except ValidationError as error:
            raise UserError(one_line(error)) from None

    def identity(self) -> dict[str, Any]:
        """The fields that decide the result, nested by section, with neutral additions left out."""
        identity: dict[str, Any] = {"seed": self.seed}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Section) and (fields := _section_identity(value)):
                identity[name] = fields
        return identity

    def key(self, fingerprints: Mapping[str, str]) -> str:
        """The run's content address: hex digits of a SHA-256 over identity, seed and input fingerprints.

        Args:
            fingerprints: content digests of what the paths point to, from `core.inputs.fingerprints`.
        """
        payload = {"schema": KEY_SCHEMA, "config": self.identity(), "inputs": dict(fingerprints)}
        canonical = json.dumps(payload, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()[:KEY_DIGITS]

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def _section_identity(section: Section) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, info in type(section).model_fields.items():
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        value = getattr(section, name)
        if extra.get("identity", True) and not ("neutral" in extra and value == extra["neutral"]):
            fields[name] = value
    return fields


def field_names() -> dict[str, str]:
    """Every dotted field with its description, in the order of declaration."""
    names: dict[str, str] = {}
    for section, info in RunConfig.model_fields.items():
        annotation = info.annotation
        if isinstance(annotation, type) and issubclass(annotation, Section):
            for name, field in annotation.model_fields.items():
                names[f"{section}.{name}"] = field.description or ""
        else:
            names[section] = info.description or ""
    return names


def nearest_field(path: str) -> str:
    """The suggestion for an unknown dotted field; a right name in the wrong section is found too."""
    known = field_names()
    leaf = path.rsplit(".", 1)[-1]
    same_leaf = [name for name in known if name.rsplit(".", 1)[-1] == leaf]
    return f" (did you mean '{same_leaf[0]}'?)" if same_leaf else nearest(path, known)


def one_line(error: ValidationError) -> str:
    """A pydantic error as one line that names the field, what is wrong and what came in."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if not where:
        return message
    if first["type"] == "extra_forbidden":
        return f"unknown field '{where}'{nearest_field(where)}"
    return f"{where}: {message[:1].lower()}{message[1:]}{_got(first.get('input'))}"


def _got(value: Any) -> str:
    """What came in, unless it is too much to show."""
    if isinstance(value, dict | list | tuple):
        return ""
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        return ""
    return f", got {text if len(text) <= 200 else text[:200] + '…'}"
