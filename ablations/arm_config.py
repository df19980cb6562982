"""What an arm of a study is with a preset's baseline: its configuration, or why it cannot be run here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from ablations.preset import DEFAULT_PRESET, load_preset
from ablations.registry import baseline_values
from ablations.settable import ELSEWHERE
from core import inputs
from core.config import RunConfig
from core.errors import UserError
from core.model import hub
from reports.claims import Arm, Study

# Of the images that an arm asks for. The record's 16,256 are not all to be had: of its two sets 16,226 are, and
# 14,926 where 1,300 of them are held out.
NEARLY = 0.9


def arm_config(study: Study, name: str, arm: Arm, baseline: RunConfig) -> tuple[RunConfig | None, str]:
    """The arm's configuration and what is to be told of it, or None and the reason why it cannot be run here."""
    values = baseline_values(baseline)
    overrides = arm.overrides(values)
    try:
        config = baseline.with_overrides(overrides)
    except UserError as error:
        raise UserError(f"study {study.study}, arm {name}: {error}") from None
    if reason := _missing_requirement(arm, config):
        return None, reason
    told, available = "", _images(study, name, config, overrides)
    if config.data.images > available:
        if available < NEARLY * config.data.images:
            return None, f"needs {config.data.images} images to train on, there are {available}"
        told = lowered(config, available)
        config = config.with_overrides({"data.images": available})
    if config.data.classes < 2:
        reason = f"{config.data.images} image x{config.data.expansion} makes under two classes"
        return None, f"{reason}: more images are needed"
    if config.num_sampled < 1:
        reason = f"a share of {config.loss.sample_rate:g} of {config.data.classes} classes is less than one"
        return None, f"{reason}: more images are needed"
    try:
        inputs.require(config)
    except UserError as error:
        if name == study.baseline:
            raise
        return None, str(error)
    return config, told


def _images(study: Study, name: str, config: RunConfig, overrides: Mapping[str, Any]) -> int:
    """How many there are to train on; of an arm's own folders it is said which arm's they are."""
    try:
        return len(inputs.corpus_of(config).train)
    except UserError as error:
        told = str(error)
        for field, option in ELSEWHERE.items():
            if field in overrides and told.startswith(f"{option}: "):
                told = f"study {study.study}, arm {name}: {field}: {told.removeprefix(f'{option}: ')}"
        raise UserError(told) from None


def lowered(config: RunConfig, available: int) -> str:
    """What a plan tells where there are fewer images than are asked for."""
    return f"data.images lowered from {config.data.images} to the {available} that there are"


def one_arm_by_two_names(study: Study, configs: Mapping[str, RunConfig]) -> Iterator[str]:
    """Notes on arms that are one here.

    Either the preset, or an override, gives the baseline what another arm sets: an arm that leaves the field to the
    baseline is not what its name says. Or neither sets anything; one that sets what the preset has anyway, as `pool`
    does, may differ at another.
    """
    alike = [pair for pair in combinations(configs, 2) if configs[pair[0]] == configs[pair[1]]]
    if not alike:  # as a rule; the preset is a file to read
        return
    usual = RunConfig().with_overrides(load_preset(DEFAULT_PRESET).set)
    values = baseline_values(usual)
    for first, second in alike:
        there = [usual.with_overrides(study.arms[name].overrides(values)) for name in (first, second)]
        if there[0] != there[1]:
            yield (
                f"{study.study}: '{first}' and '{second}' are one arm here, as the preset or --set gives the baseline "
                "what one of them sets: an arm's name may not say what it is"
            )
        elif not study.arms[first].set and not study.arms[second].set:
            yield f"{study.study}: '{first}' and '{second}' are one arm, as neither sets anything"


def _missing_requirement(arm: Arm, config: RunConfig) -> str | None:
    checks = {
        "imagenet_weights": lambda: hub.why_not_imagenet(config.model.backbone),
        "openai_clip": hub.why_not_openai_clip,
    }
    return next((reason for name in arm.requires if (reason := checks[name]())), None)
