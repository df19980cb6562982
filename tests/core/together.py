"""Functions run by several processes that make up one group, as torchrun would start them."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from core.ranks import Ranks
from tests.core.forked import FORKSERVER

_PATIENCE = 900.0  # seconds


def together(count: int, function: Callable[..., Any], *arguments: Any, threads: int = 1) -> list[Any]:
    """What `function(ranks, *arguments)` returns on each of `count` ranks, in processes of their own.

    Args:
        function: must be importable; so must the caller be.
        threads: of each rank.
    """
    work = pickle.dumps((function, arguments))  # bytes: left to itself, every tensor would be sent as an open file
    with tempfile.TemporaryDirectory() as folder:
        processes = [
            FORKSERVER.Process(target=_rank, args=(folder, index, count, threads, work), daemon=True)
            for index in range(count)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(_PATIENCE)
        codes = [process.exitcode for process in processes]
        for process in processes:
            process.kill()
        assert codes == [0] * count, f"the ranks ended with {codes}"
        return [pickle.loads((Path(folder) / f"{index}.pickle").read_bytes()) for index in range(count)]


def _rank(folder: str, index: int, count: int, threads: int, work: bytes) -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"
    torch.set_num_threads(threads)
    if count > 1:
        distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=index, world_size=count)
    function, arguments = pickle.loads(work)
    returned = function(Ranks(index, count), *arguments)
    (Path(folder) / f"{index}.pickle").write_bytes(pickle.dumps(returned))
    if count > 1:
        distributed.barrier()
        distributed.destroy_process_group()
