"""Files of weights from elsewhere, read as tensors and nothing else: no code in them is run."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from core.errors import RunFailure, first_line

# Under which training scripts save a model beside other things; averages of its weights go by other names.
MODEL_KEYS = ("state_dict", "model", "model_state_dict")
_EXAMPLES, _LONGEST_NAME = 3, 100  # names of a file that are told, and characters of one
_MOST_BEGINNINGS = 32  # that are looked under: each takes a pass over the file's names
_LONGEST_HEADER = 8_000_000  # bytes of a .safetensors header; the largest models need one


def read_state(path: Path, keys: Sequence[str] = ("state_dict",)) -> dict[str, torch.Tensor]:
    """Tensors of a .safetensors file, or of a PyTorch checkpoint read by PyTorch's loader of weights only.

    Args:
        keys: under which a checkpoint may have them, `state_dict` before others; else those at its top are taken.

    Raises:
        RunFailure: `bad_weights` names the file.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            _check_header(path)
            return dict(load_file(str(path)))
        return _tensors(_unwrapped(torch.load(path, map_location="cpu", weights_only=True), keys))
    except Exception as error:  # damaged files fail in many ways, none of which may pass silently
        raise RunFailure("bad_weights", f"{path} cannot be read as weights: {_why(error)}") from error


def _why(error: Exception) -> str:
    # PyTorch takes any file for a pickle: of one that is none it says what its bytes would mean, or where it stumbled.
    if "Unsupported operand" in str(error) or isinstance(error, LookupError | EOFError | AttributeError | TypeError):
        return "it is no checkpoint of PyTorch's, or a damaged one"
    first = first_line(error)
    if "weights only" in first.lower():  # PyTorch's own advice goes on to say how to run what is in the file
        return "it holds more than tensors, which may be code and is not run: save its state_dict"
    return first


def _unwrapped(state: object, keys: Sequence[str]) -> object:
    if not isinstance(state, Mapping):
        return state
    if "state_dict" in state:
        return state["state_dict"]
    found = [key for key in keys if isinstance(state.get(key), Mapping) and _tensors_of(state[key])]
    if len(found) > 1:
        raise ValueError(f"it holds weights under {' and '.join(map(repr, found))}: save those that are meant alone")
    return state[found[0]] if found else state


def _check_header(path: Path) -> None:
    """The header is parsed whole before anything is checked against the file's size: bound it first."""
    with path.open("rb") as handle:
        start = handle.read(8)
    if len(start) == 8 and struct.unpack("<Q", start)[0] > _LONGEST_HEADER:
        raise ValueError(f"its header is over {_LONGEST_HEADER:,} bytes")


def _tensors(state: object) -> dict[str, torch.Tensor]:
    if not isinstance(state, Mapping):
        raise ValueError("it holds no tensors by name")
    found = _tensors_of(state)
    if not found:
        names = f" but {_some(state)}" if state else ""
        raise ValueError(f"it holds no tensors by name{names}: save the model's state_dict")
    return found


def _tensors_of(state: Mapping[Any, Any]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in state.items() if isinstance(name, str) and isinstance(value, torch.Tensor)}


def _some(names: Iterable[object]) -> str:
    """The first of a file's names in quotes, none of them longer than a line takes."""
    told = [repr(name)[:_LONGEST_NAME] for name in islice(names, _EXAMPLES + 1)]
    return ", ".join(told[:_EXAMPLES]) + (", ..." if len(told) > _EXAMPLES else "")


def of_backbone(state: Mapping[str, torch.Tensor], wanted: Sequence[str], path: Path) -> Mapping[str, torch.Tensor]:
    """Tensors by the names that a backbone has for them, and whatever else there is.

    Names may begin with what a model that contains the backbone calls it (`module.`, `model.backbone.`): such a
    beginning is left out where all that is wanted is found under it.

    Args:
        wanted: names in the backbone.

    Raises:
        RunFailure: `bad_weights` where names are missing, or found under several beginnings.
    """
    plain = _by_both_names(state)
    if all(name in plain for name in wanted):
        return plain
    first = wanted[0]
    ends = (f".{first}", f".{first.replace('_', '.', 1)}")
    found = {name.removesuffix(end) + "." for name in state for end in ends if name.endswith(end)}
    beginnings = sorted(found, key=lambda one: (len(one), one))[:_MOST_BEGINNINGS]
    inside = {one: _by_both_names(_after(state, one)) for one in beginnings}
    fitting = [one for one, tensors in inside.items() if all(name in tensors for name in wanted)]
    if len(fitting) == 1:
        return inside[fitting[0]]
    if fitting:
        what = f"has the backbone several times, as {_some(fitting)}: save the one that is meant alone"
    else:
        # Of a backbone of another size the first names may well be there.
        tensors = max([plain, *inside.values()], key=lambda one: sum(name in one for name in wanted))
        missing = next(name for name in wanted if name not in tensors)
        what = f"has no '{missing}'" + (f", but {_some(state)}" if state else "")
    raise RunFailure("bad_weights", f"{path} does not fit the backbone: it {what}")


def _after(state: Mapping[str, torch.Tensor], beginning: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(beginning): value for name, value in state.items() if name.startswith(beginning)}


def _by_both_names(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Where timm takes a model apart into stages, a sequence's name and its member's are one: stages.0, stages_0."""
    return {**{name.replace(".", "_", 1): tensor for name, tensor in state.items()}, **state}


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
