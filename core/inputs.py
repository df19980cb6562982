"""Content fingerprints of everything that a configuration's paths point to: they enter the run's key."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from core.config import RunConfig
from core.data.cache import cache_dir
from core.data.corpus import Corpus, corpus
from core.errors import UserError
from core.model import hub, timm_models, weights

_WEIGHTS, _SETTINGS = "open_clip_model.safetensors", "open_clip_config.json"  # of an open_clip folder


@lru_cache(maxsize=32)
def _corpus(data_json: str, eval_json: str, folder: Path) -> Corpus:
    config = RunConfig.model_validate_json(f'{{"data": {data_json}, "eval": {eval_json}}}')
    return corpus(config.data, config.eval, folder)


def corpus_of(config: RunConfig) -> Corpus:
    """The run's corpus, found once a process; raises `UserError` for folders that cannot be used."""
    folder = cache_dir(config.runtime.cache_dir)
    return _corpus(config.data.model_dump_json(), config.eval.model_dump_json(), folder)


def fingerprints(config: RunConfig) -> dict[str, str]:
    """Fingerprints of the data, the pretrained weights and the teacher.

    Raises:
        UserError: folders or weights that cannot be had.
    """
    return {
        **corpus_of(config).fingerprints(),
        "pretrained": weights.resolve(config.model.backbone, config.model.pretrained).fingerprint,
        "teacher": teacher_fingerprint(config),
    }


def require(config: RunConfig) -> None:
    """Refuse what a run could not begin with, before it is begun.

    Raises:
        UserError: as `fingerprints`, and a backbone that does not take images of the run's size.
    """
    fingerprints(config)
    if why_not := timm_models.why_no_images(config.model.backbone, config.data.image_size):
        raise UserError(why_not)


def teacher_fingerprint(config: RunConfig) -> str:
    """``none`` where nothing is distilled, else what stands for the teacher's weights."""
    if not config.distill.active:
        return "none"
    name = config.distill.teacher
    if name == "random":
        return "random"
    if name == "openai":
        if why_not := hub.why_not_openai_clip():
            raise UserError(f"distill.teacher=openai: {why_not}")
        return "openai:ViT-B-32-quickgelu"
    path = teacher_path(name)
    digest = weights.short_digest(path)
    settings = path.with_name(_SETTINGS)  # the same weights under another configuration are another teacher
    if path.name == _WEIGHTS and settings.is_file():
        digest += f":{weights.short_digest(settings)}"
    return f"{'procedural' if name == 'procedural' else 'file'}:{digest}"


def teacher_path(name: str) -> Path:
    """The weights file of a local teacher: the embedded one, or an open_clip folder or file of the user's."""
    folder = Path(str(weights.EMBEDDED / "teacher")) if name == "procedural" else Path(name)
    path = folder / _WEIGHTS if os.path.isdir(folder) else folder
    if not os.path.isfile(path):
        raise UserError(
            f"distill.teacher: '{name}' is neither an open_clip folder ({_SETTINGS} and "
            f"{_WEIGHTS}) nor one of procedural, random, openai"
        )
    if path.name != _WEIGHTS and path.with_name(_SETTINGS).is_file():  # it would be taken for another architecture
        raise UserError(
            f"distill.teacher: '{name}' would be read as OpenAI's ViT-B/32, whatever the {_SETTINGS} beside it says: "
            f"save its weights there as {_WEIGHTS}, and name the folder"
        )
    return path


def run_key(config: RunConfig) -> str:
    """The run's content address."""
    return config.key(fingerprints(config))
