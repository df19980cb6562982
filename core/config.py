"""RunConfig: everything that decides the result of one run, frozen and validated, and its key.

The fields are those of the sections in `core.config_sections`; what a path points to enters the key through a content
fingerprint (`core.inputs`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import Field, ValidationError

from core.config_sections import (
    DataConfig,
    DistillConfig,
    EvalConfig,
    LossConfig,
    ModelConfig,
    OptimConfig,
    PrecisionConfig,
    RuntimeConfig,
    Section,
    section_identity,
)
from core.errors import UserError, nearest

KEY_DIGITS = 16
SEEDS_BELOW = 2**31
KEY_SCHEMA = 1  # bumped when the meaning of stored results changes, so that old ones are not reused
FPRS = (1e-4, 1e-3, 1e-2)
METRICS = ("tpr@1e-4", "tpr@1e-3", "tpr@1e-2", "auroc", "top1")


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
    seed: int = Field(0, ge=0, lt=SEEDS_BELOW)

    @property
    def num_sampled(self) -> int:
        """Class centres of a step that does not overflow; where the rate leaves none it is 0, which no head takes."""
        return int(self.loss.sample_rate * self.data.classes)

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
            if isinstance(value, Section) and (fields := section_identity(value)):
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


def namesakes(path: str) -> list[str]:
    """Dotted fields with the last name of `path`, in whatever section: a right name may be in the wrong one."""
    leaf = path.rpartition(".")[2]
    return [field for field in field_names() if field.rpartition(".")[2] == leaf]


def nearest_field(path: str) -> str:
    """The suggestion for an unknown dotted field."""
    alike = namesakes(path)
    return f" (did you mean '{alike[0]}'?)" if alike else nearest(path, field_names())


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
