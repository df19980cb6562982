"""What a run leaves behind: its result, and the circumstances it was made in."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from core.config import RunConfig

_PAGE = os.sysconf("SC_PAGE_SIZE")
_SOURCE = Path(__file__).resolve().parent
_LIBRARIES = ("timm", "numpy", "pillow")  # beside PyTorch; Pillow draws and reads the images


@dataclass(frozen=True)
class RunResult:
    """One finished run; `scores` holds the arrays of scores.npz, all else goes into result.json.

    `metrics` are of the test identities, read once at the end from the last weights; `shifted` are of the
    same identities under corruptions that training never sees, None where the run was not judged on them;
    `validation`, `curve` and `untrained`, the embedder before its first step, are of the validation identities.
    """

    key: str
    config: RunConfig
    metrics: dict[str, float]
    validation: dict[str, float]
    untrained: dict[str, float]
    shifted: dict[str, float] | None
    cost: dict[str, Any]
    curve: list[dict[str, float]]
    test: dict[str, Any]
    manipulation: dict[str, Any]
    inputs: dict[str, str]
    data: dict[str, Any]
    environment: dict[str, Any]
    scores: dict[str, np.ndarray]

    def to_json(self) -> dict[str, Any]:
        """The content of result.json, without arrays."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "scores"}
        fields["config"] = self.config.model_dump(mode="json")
        return {"key": fields.pop("key"), "seed": self.config.seed, **fields}


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Digest of the sources of `core`: results of other code can be told apart."""
    sources = sorted(_SOURCE.rglob("*.py"))
    joined = b"\0".join(str(path.relative_to(_SOURCE)).encode() + b"\0" + path.read_bytes() for path in sources)
    return hashlib.sha256(joined).hexdigest()[:12]


@lru_cache(maxsize=1)
def code_versions() -> dict[str, str]:
    """What decides, beside a configuration and its data, how a run ends: this code and what it is built on."""
    return {"core": code_digest(), **{name: metadata.version(name) for name in ("torch", *_LIBRARIES)}}


@lru_cache(maxsize=1)
def _git_commit() -> str | None:
    try:
        asked = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"],
            cwd=_SOURCE,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return asked.stdout.strip() or None


@lru_cache(maxsize=1)
def cpu_name() -> str:
    """The processor as the system names it, e.g. ``AMD EPYC 7763``; else its kind, e.g. ``x86_64``."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def environment(device: str, threads: int, ranks: int = 1) -> dict[str, Any]:
    """Versions, hardware and code of this process; `ranks` are the processes that train a run together."""
    import torch

    hardware = torch.cuda.get_device_name(device) if device.startswith("cuda") else cpu_name()
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),  # a subclass of str that YAML cannot write
        **{name: metadata.version(name) for name in _LIBRARIES},
        "device": device,
        "hardware": hardware,
        "threads": threads,
        **({"ranks": ranks} if ranks > 1 else {}),
        "system": f"{platform.system()} {platform.machine()}",
        "git": _git_commit(),
        "code": code_digest(),
    }


def resident_mb() -> float:
    """Resident memory of this process in MB (10^6 bytes), now; the peak since start where `/proc` is missing.

    What was read of files that are mapped into memory is counted, such as libraries and captures of the cache, though
    the system takes it back when it needs it and several processes share it.
    """
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * _PAGE / 1e6
    except (OSError, ValueError, IndexError):
        pass
    import resource

    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes * 1024 / 1e6
