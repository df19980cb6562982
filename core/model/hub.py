"""Can weights from the model hub be had? Answered in under a second, without importing torch."""

from __future__ import annotations

import os
import socket
import threading
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

_TIMEOUT = 0.7
OPENAI_CLIP = "vit_base_patch32_clip_224.openai"


def _cache_root() -> Path:
    if path := os.environ.get("HF_HUB_CACHE"):
        return Path(path)
    # As the hub's own library does; unlike Path.home it takes a user whom the system does not know.
    general = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(os.environ.get("HF_HOME") or Path(general) / "huggingface") / "hub"


def is_cached(repository: str) -> bool:
    """Whether a snapshot of `timm/<repository>*` lies in the hub's local cache."""
    pattern = f"models--timm--{repository}/snapshots/*/*"
    return any(_cache_root().glob(pattern))


@lru_cache(maxsize=1)
def is_reachable() -> bool:
    """Whether the hub (or the proxy on the way to it) takes a connection within 0.7 s."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        return False
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    proxy = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
    target = urlsplit(proxy or endpoint)
    port = target.port or (443 if target.scheme == "https" else 80)
    answered = threading.Event()

    def connect() -> None:
        try:
            socket.create_connection((target.hostname or "", port), timeout=_TIMEOUT).close()
            answered.set()
        except OSError:
            pass

    # A thread, because looking a name up has no timeout of its own.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(_TIMEOUT)
    return answered.is_set()


def why_not_imagenet(backbone: str) -> str | None:
    """None when timm's ImageNet weights of `backbone` can be had, else one line that says why not."""
    if is_cached(f"{backbone}.*") or is_reachable():
        return None
    return (
        f"ImageNet weights of {backbone} are not in the local cache and the model hub cannot be reached: "
        "use model.pretrained=procedural, none, or a path to a file"
    )


def why_not_openai_clip() -> str | None:
    """None when OpenAI's CLIP ViT-B/32 can be had, else one line that says why not."""
    if is_cached(OPENAI_CLIP) or is_reachable():
        return None
    return (
        "OpenAI's CLIP ViT-B/32 is not in the local cache and the model hub cannot be reached: "
        "use distill.teacher=procedural, or a path to a CLIP model"
    )
