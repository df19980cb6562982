"""A GPU that is pretended: tensors that say they are on it and compute on the CPU, and a count of the host's waits.

Code for an accelerator can be wrong in ways that a CPU does not show: a tensor is left on the other device, or the
host waits in every step for a number of the device's, which then has nothing to do meanwhile. Here every tensor of the
device holds one of the CPU, so that a step runs for real and gives the CPU's numbers; a mixture of devices is refused
as PyTorch refuses it; and whatever would make the host wait is kept with the line of ours that did it.

PyTorch lets a backend be written in Python (`torch.utils.backend_registration`), since 2.10 or so, as an experiment.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Any, Self

import pytest
import torch
from torch import nn
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

NAME = "pretended"
_kept: list[torch.library.Library] = []  # what it registers is gone with it
_aten = torch.ops.aten
_MOVES = (_aten._to_copy, _aten.copy_)
_INDEXING = (_aten.index, _aten.index_put, _aten.index_put_)
# Of CUDA's kernels those that ask the device for a number: a value, a count of rows, or whether they succeeded.
_WAITING = (
    _aten._local_scalar_dense, _aten.nonzero, _aten.masked_select, _aten.bincount, _aten._unique2, _aten.unique_dim,
    _aten.unique_consecutive, _aten._linalg_check_errors, _aten.equal, _aten.is_nonzero,
)  # fmt: skip


class _Backend:
    """What PyTorch asks of a device's module."""

    def is_initialized(self) -> bool:
        return True

    def is_available(self) -> bool:
        return True

    def current_device(self) -> int:
        return 0

    def device_count(self) -> int:
        return 1

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        pass

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16, torch.float32]


def device() -> torch.device:
    """The pretended GPU, made known to PyTorch at the first call; skips the test where PyTorch is too old for that."""
    if not hasattr(torch, NAME):
        register = getattr(backend_registration, "_setup_privateuseone_for_python_backend", None)
        if register is None:
            pytest.skip("this PyTorch takes no backend that is written in Python")
        register(NAME, _Backend())
        # Autocast chooses types, which a CPU's kernels may not have; here it chooses none.
        library = torch.library.Library("_", "IMPL", "AutocastPrivateUse1")
        library.fallback(torch.library.fallthrough_kernel)
        _kept.append(library)
    return torch.device(NAME, 0)


class Pretended(torch.Tensor):
    """A tensor that says it is on the GPU; `held` is the one on the CPU."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> Self:
        found: Any = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            device=device(),
        )  # fmt: skip
        found.held = held
        return found

    def __init__(self, held: torch.Tensor) -> None:
        pass

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"{func} was called outside of the pretended GPU")

    def tolist(self) -> Any:
        """PyTorch's own refuses every subclass."""
        return [one.item() for one in self.flatten().unbind()]


class Generator(torch.Generator):
    """A generator that says it is on the GPU."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return device()


class PretendedGPU(TorchDispatchMode):
    """While it is active, the pretended GPU computes.

    Attributes:
        waits: operation and line, for every time that the host would have waited for the device.
    """

    def __init__(self) -> None:
        super().__init__()
        device()
        self.waits: list[str] = []

    def __enter__(self) -> Self:
        self._lifted = torch._C._only_lift_cpu_tensors()
        torch._C._set_only_lift_cpu_tensors(True)  # else `torch.tensor(.., device=..)` does not come by here
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        torch._C._set_only_lift_cpu_tensors(self._lifted)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        there = any(isinstance(one, Pretended) for one in tensors)
        wanted = kwargs.get("device")
        on_device = there if wanted is None else torch.device(wanted).type == NAME
        if not there and not on_device:
            return func(*args, **kwargs)
        self._examine(func, args, kwargs, tensors, on_device)
        if wanted is not None:
            kwargs["device"] = torch.device("cpu")
        plain_args, plain_kwargs = tree_map(lambda one: getattr(one, "held", one), (args, kwargs))
        found = func(*plain_args, **plain_kwargs)
        if func.overloadpacket is _aten.copy_ and not isinstance(args[0], Pretended):
            return args[0]
        if not on_device:
            return found
        made = tree_map(lambda one: Pretended(one) if type(one) is torch.Tensor else one, found)
        return return_and_correct_aliasing(func, args, kwargs, made)

    def _examine(self, func: Any, args: Any, kwargs: Any, tensors: Sequence[torch.Tensor], on_device: bool) -> None:
        """Refuse a mixture of devices, and take down a wait."""
        packet = func.overloadpacket
        # A number may be on the CPU, and so may places, which are sent over.
        apart = [one for one in tensors if not isinstance(one, Pretended) and one.ndim]
        if apart and packet not in _MOVES and packet not in _INDEXING:
            shape = tuple(apart[0].shape)
            raise RuntimeError(f"Expected all tensors to be on the same device: {func} has one on the CPU, {shape}")
        if packet in _WAITING or _copies(packet, args, kwargs, on_device) or _counts_first(packet, args):
            self.waits.append(f"{packet} at {_our_line()}")


def _copies(packet: Any, args: Any, kwargs: Any, on_device: bool) -> bool:
    """Whether a tensor is copied between the two and waited for: all but what is sent with `non_blocking`."""
    if packet is _aten._to_copy:
        there, non_blocking = isinstance(args[0], Pretended), kwargs.get("non_blocking", False)
        return there != on_device and not (on_device and non_blocking)
    if packet is not _aten.copy_:
        return False
    to, source = (isinstance(one, Pretended) for one in args[:2])
    non_blocking = kwargs.get("non_blocking", args[2] if len(args) > 2 else False)
    return to != source and bool(args[1].ndim) and not (to and non_blocking)


def _counts_first(packet: Any, args: Any) -> bool:
    """Whether the size of the result is known to the device alone, or places have to be sent to it first."""
    if packet in _INDEXING:
        return any(
            one is not None and (one.dtype in (torch.bool, torch.uint8) or not isinstance(one, Pretended))
            for one in args[1]
        )
    return packet is _aten.repeat_interleave and isinstance(args[0], Pretended) and len(args) == 1


def _our_line() -> str:
    places = [(frame.filename, frame.lineno) for frame in traceback.extract_stack()]
    ours = [(file, line) for file, line in places if "/core/" in file and "/tests/" not in file]
    return f"{ours[-1][0].rpartition('/core/')[2]}:{ours[-1][1]}" if ours else "a test"


def move(module: nn.Module) -> None:
    """Put a module's parameters and buffers on the pretended GPU, as `module.to` does on a real one."""
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                there = nn.Parameter(Pretended(parameter.detach().clone()), parameter.requires_grad)
                part._parameters[name] = there
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = Pretended(buffer.clone())
