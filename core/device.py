"""Tensors on their way to an accelerator, which is not waited for."""

from __future__ import annotations

from functools import cache

import torch

CPU = torch.device("cpu")
# Bytes up to which a copy from plain memory returns at once: CUDA stages what is larger piece by piece, and its caller
# waits. Memory that is locked for the copy is kept by PyTorch for the next one.
_STAGED = 64 * 1024


def send(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The tensor on a device: itself where it is there, else a copy that an accelerator's host does not wait for.

    A plain `to` waits until everything that was asked of the device before is done, however small the tensor. The copy
    that is on its way keeps its own: the source may be changed at once. What comes back to the CPU is waited for.
    """
    if device.type == "cuda" and tensor.device.type == "cpu" and tensor.nbytes > _STAGED:
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=device.type != "cpu")


def wait(device: torch.device) -> None:
    """Until all that was asked of the device is done, as a clock needs it; on the CPU it is."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def release(device: torch.device) -> None:
    """Give a GPU's memory that no tensor holds back to it; PyTorch would keep it for later tensors of this process."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


@cache
def constant(values: tuple[tuple[float, ...], ...], device: torch.device) -> torch.Tensor:
    """Nested tuples as a float32 tensor that is made once; not to be written to."""
    return send(torch.tensor(values, dtype=torch.float32), device)
