"""What `torchrun` says of this process in its environment, and joining the others that it started."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from core.errors import UserError

if TYPE_CHECKING:  # torch takes seconds to import, and most commands need none
    from core.ranks import Ranks

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
_PATIENCE = timedelta(days=1)  # of ranks that wait while the leader judges, or waits for runs in other hands


def launched(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this process is one of several that torchrun started."""
    return environment.get("WORLD_SIZE", "1") != "1" and "RANK" in environment


@lru_cache(maxsize=1)
def join() -> Ranks:
    """Meet the other processes: over gloo on CPUs, over NCCL where there are GPUs.

    Raises:
        UserError: the environment is not one that torchrun makes.
    """
    if missing := [name for name in _VARIABLES if name not in os.environ]:
        raise UserError(f"WORLD_SIZE is set and {missing[0]} is not: start several processes with torchrun")
    import torch
    from torch import distributed

    from core.ranks import Ranks

    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, timeout=_PATIENCE)
    if local_rank() < torch.cuda.device_count():  # more ranks than GPUs may train on CPUs
        torch.cuda.set_device(local_rank())
    return Ranks(distributed.get_rank(), distributed.get_world_size())


def leave() -> None:
    """Part from the other processes, once all are done."""
    from torch import distributed

    distributed.destroy_process_group()


def local_rank() -> int:
    """The number of this process on its machine, which is that of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))
