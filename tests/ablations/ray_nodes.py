"""A Ray cluster for tests: nodes are processes of their own, with caches of their own, and can be killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.ablations.conftest import command_environment
from tests.faults.kills import descendants

_PATIENCE = 90.0
_RAY = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus", "1", "--memory", "3000000000",
        "--object-store-memory", "100000000"]  # fmt: skip


@dataclass(eq=False)
class Node:
    """A node that was started."""

    name: str
    process: subprocess.Popen[bytes]
    cache: Path

    def kill(self) -> None:
        """End it as a power cut would: raylet, workers and all, some of which are leaders of groups of their own."""
        if self.process.poll() is None:
            for pid in (self.process.pid, *descendants(self.process.pid)):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()


@dataclass
class Cluster:
    """Nodes below a folder, at an address of this machine.

    Args:
        host: where the head listens.
        inside: words that start a process in a node's network namespace, by the node's name.
        token: that the cluster asks for.
    """

    folder: Path
    host: str = "127.0.0.1"
    inside: dict[str, list[str]] = field(default_factory=dict)
    token: str = ""
    nodes: list[Node] = field(default_factory=list)
    port: int = 0

    @property
    def access(self) -> dict[str, str]:
        """What lets a process in, said in every case: Ray goes by a file in the user's home otherwise."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token} if self.token else {"RAY_AUTH_MODE": "disabled"}

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def add(self, name: str, *more: str) -> Node:
        """Start a node, the first one as the head, and wait until it is there."""
        if not self.nodes:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
            role = ["--head", "--port", str(self.port), "--include-dashboard", "false", "--node-ip-address", self.host]
        else:
            role = ["--address", self.address]
        cache = self.folder / f"cache-{name}"
        environment = command_environment(
            DOCABLATE_CACHE=str(cache), RAY_USAGE_STATS_ENABLED="0", RAY_health_check_period_ms="1000",
            RAY_health_check_timeout_ms="2000", RAY_health_check_failure_threshold="3", **self.access,
        )  # fmt: skip
        log = self.folder / f"{name}.log"
        process = subprocess.Popen(
            [*self.inside.get(name, []), *_RAY, *role, *more], env=environment, start_new_session=True,
            stdout=log.open("wb"), stderr=subprocess.STDOUT, cwd=self.folder,
        )  # fmt: skip
        self.nodes.append(Node(name, process, cache))
        deadline = time.monotonic() + _PATIENCE
        while b"Ray runtime started" not in log.read_bytes():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        return self.nodes[-1]

    def close(self) -> None:
        for node in reversed(self.nodes):
            node.kill()
