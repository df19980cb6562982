"""Which class centres a step uses, drawn without a pass over all classes, as blocks of rows of a table of centres.

The batch's own classes are always in; negatives fill the sample up to its size. Two samplers:

* ``uniform``: every set of negatives is equally likely, as in the record's top-k of random priorities, but drawn
  by the gaps between them, which takes time in the size of the sample.
* ``windows``: the classes lie in the table in an order shuffled once, and whole runs of neighbouring rows are drawn.
  Neighbours come together, and the batch's own classes are not drawn again in place of those that a run had anyway:
  of 1,000 classes at rate 0.3 and batch 64 there are 220 negatives for 236, of 390,144 at 0.1 and 512 2 % fewer. In
  return rows are used where they lie, without gathering or scattering them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from core.device import send
from core.errors import nearest
from core.loss.table_rows import Rows, Runs, numbers
from core.ranks import Part

SAMPLERS = ("uniform", "windows")

_BLOCK = 2048  # rows gathered at once, and at most in a run: about what a core's second-level cache holds
_TOGETHER = 5120  # rows of several runs that are worked on at once, but for their products: few calls
_DEVICE_BLOCK = 32_768  # on an accelerator, where each of a block's many small kernels has its price
_IN_PLACE = 256  # shorter windows are gathered, many at once: blocks so small cost more calls than they save copies
_WINDOWS = 32  # at least so many windows in a sample, where it has so many rows: fewer would make coarse draws
_SPARE = 6.0  # standard deviations by which more negatives are drawn than needed, some of which are then dropped


@dataclass(frozen=True)
class Block:
    """Rows of negatives; `hidden` (H,) int64 are places among them of classes of the batch, which do not count here."""

    rows: Rows
    hidden: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def within(self, part: Part) -> Block:
        """The rows that are also in `part` of the table, numbered from its first."""
        if not isinstance(self.rows, Runs):
            inside = (self.rows >= part.start) & (self.rows < part.stop)
            return Block(self.rows[inside] - part.start)  # rows that are named one by one hide none
        rows = self.rows.within(part)
        if self.hidden is None:
            return Block(rows)
        own = numbers(self.rows).to(self.hidden.device)[self.hidden]
        own = own[(own >= part.start) & (own < part.stop)] - part.start
        hidden = torch.searchsorted(numbers(rows).to(own.device), own)
        return Block(rows, hidden if len(hidden) else None)


@dataclass(frozen=True)
class Sample:
    """The rows of one step.

    Attributes:
        positives: (U,) int64, rows of the batch's classes, distinct and in rising order.
        target: (B,) int64, index into `positives` for each label; -1 for one whose row is not among them.
        blocks: the negatives.
        overflow: the batch has more classes than the sample has room for, and there are no negatives.
    """

    positives: torch.Tensor
    target: torch.Tensor
    blocks: tuple[Block, ...]
    overflow: bool

    def within(self, part: Part) -> Sample:
        """Of the sample the rows that are in `part` of the table, numbered from its first."""
        first, last = part.bounds_in(self.positives)
        target = self.target - first
        target[(target < 0) | (target >= last - first)] = -1
        blocks = tuple(block for block in (block.within(part) for block in self.blocks) if len(block))
        return Sample(self.positives[first:last] - part.start, target, blocks, self.overflow)


class ClassSampler:
    """Draws samples of `size` of `num_classes` classes; one that has room for all draws nothing and takes all.

    Args:
        kind: one of `SAMPLERS`.
        generator: CPU generator that draws come from, and nothing else.

    Attributes:
        row_of: (C,) int64 on the CPU, the row of each class; None where classes lie in their own order.
        window: rows that are drawn together.
    """

    def __init__(self, kind: str, num_classes: int, size: int, generator: torch.Generator) -> None:
        if kind not in SAMPLERS:
            raise ValueError(f"unknown sampler '{kind}'{nearest(kind, SAMPLERS)}")
        self.kind, self.num_classes, self.size = kind, num_classes, size
        self.generator = generator
        self.window = max(1, min(_BLOCK, size // _WINDOWS))
        shuffled = kind == "windows" and size < num_classes
        self.row_of = torch.randperm(num_classes, generator=generator) if shuffled else None

    def draw(self, labels: torch.Tensor, device: torch.device) -> Sample:
        """The sample of one step for labels (B,) int64, its tensors on `device`."""
        labels = labels.cpu()
        rows = labels if self.row_of is None else self.row_of[labels]
        positives, target = torch.unique(rows, return_inverse=True)
        room = self.size - len(positives)
        block = _BLOCK if device.type == "cpu" else _DEVICE_BLOCK
        if self.size == self.num_classes:
            blocks = self._in_place(positives, range(-(-self.num_classes // block)), block, device)
        elif room <= 0:
            blocks = ()
        elif self.kind == "windows":
            count = -(-self.num_classes // self.window)
            chosen = torch.randperm(count, generator=self.generator)[: room // self.window].sort().values
            if self.window >= _IN_PLACE and device.type == "cpu":
                blocks = self._in_place(positives, chosen.tolist(), self.window, device)
            else:
                blocks = _split(self._gathered(positives, chosen), block, device)
        else:
            blocks = _split(self._negatives(positives, room), block, device)
        return Sample(send(positives, device), send(target, device), blocks, room < 0)

    def class_ids(self, sample: Sample) -> torch.Tensor:
        """Ids (S,) int64 on the CPU of all classes of a sample, the batch's own first."""
        used = [sample.positives.cpu()]
        for block in sample.blocks:
            rows = numbers(block.rows).cpu()
            shown = torch.ones(len(rows), dtype=torch.bool)
            if block.hidden is not None:
                shown[block.hidden.cpu()] = False
            used.append(rows[shown])
        found = torch.cat(used)
        return found if self.row_of is None else torch.argsort(self.row_of)[found]

    def state(self) -> torch.Tensor:
        """(N,) uint8: the stream, and the order of rows where there is one."""
        stream = self.generator.get_state()
        return stream if self.row_of is None else torch.cat([stream, self.row_of.view(torch.uint8)])

    def load(self, state: torch.Tensor) -> None:
        """Go on from `state`; raises `ValueError` for the state of another sampler."""
        stream = len(self.generator.get_state())
        order = state[stream:].clone().view(torch.int64) if len(state) > stream else None
        if (order is None) != (self.row_of is None) or (order is not None and len(order) != self.num_classes):
            raise ValueError(f"the state is not of a '{self.kind}' sampler of {self.num_classes} classes")
        self.generator.set_state(state[:stream].clone())
        self.row_of = order

    def _in_place(
        self, positives: torch.Tensor, chosen: Sequence[int], length: int, device: torch.device
    ) -> tuple[Block, ...]:
        """Runs of `length` neighbouring rows, by number, some in a block, with the batch's own rows hidden."""
        inside: dict[int, list[int]] = {}
        for row in positives.tolist():
            inside.setdefault(row // length, []).append(row % length)
        blocks, together = [], max(1, _TOGETHER // length)
        for first in range(0, len(chosen), together):
            runs = chosen[first : first + together]
            rows = tuple(slice(run * length, min((run + 1) * length, self.num_classes)) for run in runs)
            hidden = [place * length + row for place, run in enumerate(runs) for row in inside.get(run, ())]
            blocks.append(Block(Runs(rows), send(torch.tensor(hidden), device) if hidden else None))
        return tuple(blocks)

    def _gathered(self, positives: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """The rows of the chosen windows, one after another, without the batch's own."""
        rows = (chosen[:, None] * self.window + torch.arange(self.window)).flatten()
        if not len(rows):
            return rows
        wanted = rows < self.num_classes
        # Where they lie among the rows, found from the few positives: `isin` would sort all rows, every step.
        windows = positives // self.window
        places = torch.searchsorted(chosen, windows).clamp_(max=len(chosen) - 1)
        places, inside = places[chosen[places] == windows], positives[chosen[places] == windows]
        wanted[places * self.window + inside % self.window] = False
        return rows[wanted]

    def _negatives(self, positives: torch.Tensor, count: int) -> torch.Tensor:
        """(count,) rows in rising order, uniform among the sets of that size without the positives."""
        others = uniform_subset(self.num_classes - len(positives), count, self.generator)
        # The j-th row that is no positive lies behind as many positives as have at most j others before them.
        before = positives - torch.arange(len(positives))
        return others + torch.searchsorted(before, others, right=True)


def uniform_subset(total: int, count: int, generator: torch.Generator) -> torch.Tensor:
    """(count,) int64 in rising order: a uniformly random subset of `range(total)`, in time linear in `count`.

    Gaps between the members of a Bernoulli sample are geometric (Fan, Muller and Rezucha 1962). Given its size such a
    sample is uniform among the sets of that size, and stays so when some members are dropped at random.
    """
    if not 0 <= count <= total:
        raise ValueError(f"cannot draw {count} of {total}")
    spare = math.ceil(_SPARE * math.sqrt(count + 1))
    share = (count + spare) / total if total else 1.0
    if share > 0.7:  # then a pass over all is no more than the sample itself
        return torch.randperm(total, generator=generator)[:count].sort().values
    while True:
        gaps = torch.empty(count + 2 * spare + 1, dtype=torch.float64).geometric_(share, generator=generator)
        places = gaps.cumsum_(0).sub_(1)
        found = places[: int(torch.searchsorted(places, total))].long()
        if len(found) == len(places):  # they ended before the total did: those behind would be missing
            continue
        if len(found) >= count:
            kept = torch.ones(len(found), dtype=torch.bool)
            kept[torch.randperm(len(found), generator=generator)[: len(found) - count]] = False
            return found[kept]


def _split(rows: torch.Tensor, length: int, device: torch.device) -> tuple[Block, ...]:
    return tuple(Block(part) for part in send(rows, device).split(length)) if len(rows) else ()
