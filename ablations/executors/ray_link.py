"""What of Ray itself is used: connecting, what a run asks for, and the function that Ray calls on a node."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ablations.executors import ray_node
from ablations.executors.layout import ALLOCATOR
from ablations.executors.worker import Task
from core.errors import UserError, first_line

_PASSED_ON = ("DOCABLATE_FONTS", "HF_HUB_OFFLINE")


@dataclass(frozen=True)
class Needs:
    """What one run takes of a node: threads, a share of a GPU, memory in MB (10^6 bytes)."""

    threads: int
    gpus: float
    memory_mb: float


def connect(address: str | None) -> Any:
    """The module `ray`, connected to a cluster; None is that of RAY_ADDRESS, else starts one on this machine.

    Raises:
        UserError: Ray is not installed, or the cluster cannot be reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise UserError("--executor ray: Ray is not installed: pip install 'docablate[ray]'") from None
    # Unless told otherwise Ray would join whatever cluster was started last on this machine.
    where = address or os.environ.get("RAY_ADDRESS") or "local"
    own: dict[str, Any] = {"include_dashboard": False} if where == "local" else {}
    try:
        ray.init(address=where, log_to_driver=False, configure_logging=False, **own)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        reason = first_line(error)
        raise UserError(
            f"--executor ray: the cluster at {where} cannot be reached ({reason}): it must run, with the same Ray "
            "and, where it asks for one, the token of RAY_AUTH_TOKEN or ~/.ray/auth_token"
        ) from None
    return ray


def environment_there(threads: int) -> dict[str, str]:
    """Environment variables of the processes that train."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {"OMP_NUM_THREADS": str(threads), **ALLOCATOR, **passed}


def run_there(
    task: Task, versions: dict[str, str], paths: list[str], packed: list[Any], arrays: list[Any]
) -> Iterator[Any]:
    """On a node: says which, then fetches what came as references in lists, which a node does once, and trains."""
    import ray

    yield ray.get_runtime_context().get_node_id(), None
    shipped = dict(zip(paths, ray.get(packed), strict=True))
    yield from ray_node.run(task, versions, shipped, ray.get(arrays))
