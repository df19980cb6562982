"""Where runs happen: on this machine, on all ranks that torchrun started, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ablations.executors.layout import Layout
from ablations.executors.local import STALL, LocalExecutor
from ablations.executors.together import TogetherExecutor
from ablations.executors.turns import Executor
from core import torchrun
from core.errors import UserError, nearest
from core.store import Store

if TYPE_CHECKING:
    from ablations.planner import Run

EXECUTORS = ("local", "ray")


@dataclass(frozen=True)
class Where:
    """Where runs are to happen.

    Args:
        name: one of `EXECUTORS`.
        address: of a Ray cluster; None starts one on this machine.
        gpus: share of a GPU that a run takes of the cluster, on `cuda`.
        jobs: worker processes that were asked for, of this machine.
        stall: seconds without any progress after which a run is taken to hang.

    Raises:
        UserError: an unknown executor, or options of another one.
    """

    name: str = "local"
    address: str | None = None
    gpus: float = 1.0
    jobs: int | None = None
    stall: float = STALL

    def __post_init__(self) -> None:
        if self.name not in EXECUTORS:
            raise UserError(f"--executor: unknown executor '{self.name}'{nearest(self.name, EXECUTORS)}")
        if self.address is not None and self.name != "ray":
            raise UserError("--address is of a Ray cluster: add --executor ray")
        if self.gpus != 1.0 and self.name != "ray":
            raise UserError("--gpus-per-run is of a Ray cluster: add --executor ray")
        if self.name == "ray" and torchrun.launched():
            raise UserError("--executor ray: start the command without torchrun, which trains one run on many devices")
        if self.jobs is not None and self.name == "ray":
            raise UserError("--jobs is of this machine: a Ray cluster does as many runs at once as it has room for")
        if self.jobs is not None and torchrun.launched():
            raise UserError("--jobs: under torchrun each run is on all ranks, and one at a time: leave it out")
        if self.stall != STALL and torchrun.launched():
            raise UserError("--stall-timeout: under torchrun no process is watched for a hang: leave it out")

    @property
    def here(self) -> bool:
        """Whether this machine trains, and not others."""
        return self.name == "local"


def executor_for(where: Where, store: Store, layout: Layout, runs: Sequence[Run]) -> tuple[Executor, str]:
    """The executor of `runs`, and a line on where they will be."""
    count, device = len(runs), runs[0].config.runtime.device
    if torchrun.launched():
        ranks = torchrun.join()
        return TogetherExecutor(store, ranks), f"{count} runs, one after another, each on all {ranks.count} ranks"
    if where.name == "ray":
        from ablations.executors.ray_cluster import RayExecutor
        from ablations.executors.ray_link import Needs

        memory = max(run.estimate.memory_mb for run in runs)
        gpus = where.gpus if device.startswith("cuda") else 0.0
        ray = RayExecutor(store, where.address, Needs(layout.threads, gpus, memory), where.stall)
        return ray, f"{count} runs on a Ray cluster of {ray.nodes} nodes, up to {ray.room()} at once"
    faster = "; more threads than one were measured to be faster here" if layout.threads > 1 and device == "cpu" else ""
    told = f"{count} runs on {layout.jobs} x {layout.threads} (processes x threads{faster})"
    return LocalExecutor(store, layout, where.stall), told
