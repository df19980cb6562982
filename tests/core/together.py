"""Functions run by several processes that make up one group, as torchrun would start them."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from core.ranks import Ranks

_PATIENCE = 900.0  # seconds


def together(count: int, function: Callable[..., Any], *arguments: Any, threads: int = 1) -> list[Any]:
    """What `function(ranks, *arguments)` returns on each of `count` ranks, in processes of their own.

    Args:
        function: must be importable; so must the caller be.
        threads: of each rank.
    """
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        processes = [
            context.Process(target=_rank, args=(folder, index, count, threads, function, arguments), daemon=True)
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


def _rank(
    folder: str, index: int, count: int, threads: int, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"
    torch.set_num_threads(threads)
    if count > 1:
        distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=index, world_size=count)
    returned = function(Ranks(index, count), *arguments)
    (Path(folder) / f"{index}.pickle").write_bytes(pickle.dumps(returned))
    if count > 1:
        distributed.barrier()
        distributed.destroy_process_group()
