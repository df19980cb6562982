"""Files of weights from elsewhere, read as tensors and nothing else: no code in them is run."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import torch

from core.errors import RunFailure, first_line

_LONGEST_HEADER = 8_000_000  # bytes of a .safetensors header; the largest models need one


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a .safetensors file, or of a PyTorch checkpoint read by PyTorch's loader of weights only.

    Raises:
        RunFailure: `bad_weights` names the file.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            _check_header(path)
            return dict(load_file(str(path)))
        state = torch.load(path, map_location="cpu", weights_only=True)
        return _tensors(state["state_dict"] if isinstance(state, Mapping) and "state_dict" in state else state)
    except Exception as error:  # damaged files fail in many ways, none of which may pass silently
        first = first_line(error)
        if "weights only" in first.lower():  # PyTorch's own advice goes on to say how to run what is in the file
            first = "it holds more than tensors, which may be code and is not run: save its state_dict"
        raise RunFailure("bad_weights", f"{path} cannot be read as weights: {first}") from error


def _check_header(path: Path) -> None:
    """The header is parsed whole before anything is checked against the file's size: bound it first."""
    with path.open("rb") as handle:
        start = handle.read(8)
    if len(start) == 8 and struct.unpack("<Q", start)[0] > _LONGEST_HEADER:
        raise ValueError(f"its header is over {_LONGEST_HEADER:,} bytes")


def _tensors(state: object) -> dict[str, torch.Tensor]:
    if not isinstance(state, Mapping):
        raise ValueError("it holds no tensors by name")
    found = {name: value for name, value in state.items() if isinstance(name, str) and isinstance(value, torch.Tensor)}
    if not found:
        raise ValueError("it holds no tensors by name")
    return found


def require_numbers(state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Refuse tensors that a network cannot start from.

    Raises:
        RunFailure: `bad_weights` names the file and the tensor.
    """
    for name, tensor in state.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex() or tensor.is_meta:
            raise RunFailure("bad_weights", f"{path}: '{name}' is not a plain tensor of numbers")
        if tensor.is_floating_point() and not bool(tensor.float().isfinite().all()):
            raise RunFailure("bad_weights", f"{path}: '{name}' has values that are not finite")
