"""`run --executor ray` on clusters of several nodes: the bytes of one machine, and none lost with a node."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.store import Store
from tests.ablations.conftest import TINY, TWO_ARMS, WILD, CommandLine, command_environment
from tests.ablations.ray_nodes import Cluster, Node
from tests.conftest import make_images
from tests.core.stores import equal_part

pytest.importorskip("ray", reason="Ray is not installed: pip install 'docablate[ray]'")

_PATIENCE = 240.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    found = Cluster(tmp_path_factory.mktemp("cluster"), token=uuid.uuid4().hex * 2)
    try:
        found.add("first")
        found.add("second")
        yield found
    finally:
        found.close()


def start(folder: Path, *words: str, inside: tuple[str, ...] = (), **access: str) -> subprocess.Popen[str]:
    environment = command_environment(DOCABLATE_CACHE=str(folder / "cache"), **access)
    return subprocess.Popen(
        [*inside, sys.executable, "-m", "ablations", *words], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


def said(process: subprocess.Popen[str], code: int = 0) -> str:
    try:
        told, _ = process.communicate(timeout=_PATIENCE)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == code, told
    return told


def of_this_machine(cli: CommandLine, words: list[str], code: int = 0) -> dict[str, object]:
    """Results of the same command without a cluster."""
    assert cli(*words, "--store", "here") == code, cli.err
    return results(Path("here"))


def results(root: Path) -> dict[str, object]:
    store = Store(root)
    return {key: equal_part(store, key) for key in store.run_keys() if store.state(key) == "done"}


def test_runs_of_a_users_folder_are_those_of_one_machine_without_a_shared_disk(
    cluster: Cluster, tmp_path: Path, cli: CommandLine
) -> None:
    make_images(tmp_path / "scans", 40)
    (tmp_path / "mine.yaml").write_text(TWO_ARMS + WILD)
    words = ["run", "mine.yaml", *TINY, "--set", "data.images=20", "--data", "scans", "--seeds", "2", "--no-report"]
    remote = [*words, "--executor", "ray", "--address", cluster.address, "--store", "there"]
    there = said(start(tmp_path, *remote, **cluster.access), code=1)
    assert "8 runs on a Ray cluster of 2 nodes, up to 2 at once" in there
    assert there.count("done    [") == 6
    assert all(f"wild seed {seed}: diverged: " in there for seed in (0, 1))  # a failure keeps its type
    assert results(tmp_path / "there") == of_this_machine(cli, words, code=1) != {}
    config = (tmp_path / "there" / next(iter(results(tmp_path / "there"))) / "config.yaml").read_text()
    assert "- scans" in config  # and not a node's place
    for node in cluster.nodes:
        assert len(list(node.cache.glob("shipped/*/scans/*"))) == 40, node.name
    assert "0 new, 6 cached" in said(start(tmp_path, *remote, **cluster.access), code=1)


def test_ctrl_c_leaves_a_clean_store(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(TWO_ARMS)
    words = ["run", "mine.yaml", *TINY, "--set", "optim.samples=600000", "--seeds", "1", "--no-control", "--no-report"]
    where = ["--executor", "ray", "--address", cluster.address, "--store", "stopped"]
    process = start(tmp_path, *words, *where, **cluster.access)
    deadline = time.monotonic() + _PATIENCE
    while not list((tmp_path / "stopped").glob("*/config.yaml")) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    told = said(process, code=130)
    assert "stopped" in told
    assert "measuring how many processes" not in told  # of this machine, where nothing is trained
    assert Store(tmp_path / "stopped").run_keys() == []


@pytest.fixture
def namespaces() -> Iterator[dict[str, str]]:
    """Two network namespaces joined by a cable: name -> address; empty where they cannot be made."""
    names = {f"dab{os.getpid()}{end}": f"10.213.7.{number}" for number, end in enumerate("ab", 1)}
    first, second = names

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    try:
        ip("netns", "add", first)
    except (OSError, subprocess.CalledProcessError):  # it takes root and iproute2
        yield {}
        return
    try:
        ip("netns", "add", second)
        ip("link", "add", "dab0", "netns", first, "type", "veth", "peer", "name", "dab0", "netns", second)
        for name, address in names.items():
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "dab0")
            ip("-n", name, "link", "set", "dab0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def test_neither_a_node_that_is_killed_nor_one_whose_cable_is_cut_costs_a_run(
    namespaces: dict[str, str], tmp_path: Path, cli: CommandLine
) -> None:
    (tmp_path / "mine.yaml").write_text(TWO_ARMS + ("  none: {model.norm: none}\n" if namespaces else ""))
    words = ["run", "mine.yaml", *TINY, "--set", "optim.samples=640", "--seeds", "1", "--no-control", "--no-report"]
    host, other = namespaces.values() if namespaces else ("127.0.0.1", "")
    near, far = (["ip", "netns", "exec", name] for name in namespaces) if namespaces else ([], [])
    nodes = Cluster(tmp_path, host=host, inside={"head": near, "victim": near, "far": far})
    try:
        nodes.add("head")
        ways: dict[Node, Callable[[], object]] = {victim: victim.kill for victim in [nodes.add("victim")]}
        if namespaces:
            cut = ["ip", "-n", far[-1], "link", "set", "dab0", "down"]
            ways[nodes.add("far", "--node-ip-address", other)] = lambda: subprocess.run(cut, check=True)
        where = ["--executor", "ray", "--address", nodes.address, "--store", "there"]
        process = start(tmp_path, *words, *where, inside=tuple(near), **nodes.access)
        waiting, deadline = dict(ways), time.monotonic() + _PATIENCE
        while waiting and time.monotonic() < deadline:
            for node in [node for node in waiting if list(node.cache.glob("running/*/config.yaml"))]:
                waiting.pop(node)()
            time.sleep(0.05)
        told = said(process)
    finally:
        nodes.close()
    assert told.count("lost on the cluster") == len(ways)
    assert told.count("done    [") == 1 + len(ways)
    assert results(tmp_path / "there") == of_this_machine(cli, words) != {}


def test_mistakes_are_one_line(cli: CommandLine) -> None:
    assert "did you mean 'ray'" in cli.refuses("run", "norm", "--executor", "rya")
    assert "add --executor ray" in cli.refuses("run", "norm", "--address", "127.0.0.1:1")


def test_a_cluster_that_lets_nobody_in_is_one_line(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    def refuse(**how: object) -> None:
        raise ConnectionError("Failed to connect to Ray cluster at 127.0.0.1:1\n  and more")

    monkeypatch.setattr(ray, "init", refuse)
    (tmp_path / "mine.yaml").write_text(TWO_ARMS)
    assert cli("run", "mine.yaml", *TINY, "--executor", "ray", "--address", "127.0.0.1:1") == 2
    told = cli.err.splitlines()[-1]
    assert "the cluster at 127.0.0.1:1 cannot be reached (Failed to connect to Ray cluster at 127.0.0.1:1)" in told
    assert "token of RAY_AUTH_TOKEN" in told
