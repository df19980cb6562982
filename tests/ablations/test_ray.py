"""`run --executor ray` on clusters of several nodes: the bytes of one machine, and none lost with a node."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.store import Store
from tests.ablations.conftest import TINY, TWO_ARMS, CommandLine, command_environment
from tests.ablations.ray_nodes import Cluster
from tests.conftest import make_images
from tests.core.stores import equal_part

pytest.importorskip("ray", reason="Ray is not installed: pip install 'docablate[ray]'")

_PATIENCE = 240.0
LONGER = ["run", "mine.yaml", *TINY, "--set", "optim.samples=3000", "--seeds", "1", "--no-control", "--no-report"]


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


def results(root: Path) -> dict[str, object]:
    store = Store(root)
    return {key: equal_part(store, key) for key in store.run_keys() if store.state(key) == "done"}


def test_runs_of_a_users_folder_are_those_of_one_machine_without_a_shared_disk(
    cluster: Cluster, tmp_path: Path
) -> None:
    make_images(tmp_path / "scans", 40)
    (tmp_path / "mine.yaml").write_text(TWO_ARMS)
    words = ["run", "mine.yaml", *TINY, "--set", "data.images=20", "--data", "scans", "--seeds", "2", "--no-report"]
    remote = [*words, "--executor", "ray", "--address", cluster.address, "--store", "there"]
    there = said(start(tmp_path, *remote, **cluster.access))
    assert "6 runs on a Ray cluster of 2 nodes, up to 2 at once" in there
    assert there.count("done    [") == 6
    said(start(tmp_path, *words, "--store", "here"))
    assert results(tmp_path / "there") == results(tmp_path / "here") != {}
    config = (tmp_path / "there" / next(iter(results(tmp_path / "there"))) / "config.yaml").read_text()
    assert "- scans" in config  # and not a node's place
    for node in cluster.nodes:
        assert len(list(node.cache.glob("shipped/*/scans/*"))) == 40, node.name
    assert "0 new, 6 cached" in said(start(tmp_path, *remote, **cluster.access))


def test_a_failure_keeps_its_type_and_ctrl_c_leaves_a_clean_store(cluster: Cluster, tmp_path: Path) -> None:
    wild = "  wild: {optim.lr: 1.0e+30, optim.clip: 1.0e+30, optim.warmup: 0, model.norm: none}\n"
    (tmp_path / "mine.yaml").write_text(TWO_ARMS + wild)
    words = ["run", "mine.yaml", *TINY, "--seeds", "1", "--no-control", "--no-report", "--executor", "ray"]
    told = said(start(tmp_path, *words, "--address", cluster.address, **cluster.access), code=1)
    assert "wild seed 0: diverged: " in told
    assert len(results(tmp_path / "runs")) == 2
    long = ["--set", "optim.samples=600000", "--store", "stopped", "--address", cluster.address]
    process = start(tmp_path, *words, *long, **cluster.access)
    deadline = time.monotonic() + _PATIENCE
    while not list((tmp_path / "stopped").glob("*/config.yaml")) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    assert "stopped" in said(process, code=130)
    assert Store(tmp_path / "stopped").run_keys() == []


def test_a_node_that_is_killed_costs_no_run(of_one_machine: dict[str, object], tmp_path: Path) -> None:
    nodes = Cluster(tmp_path)
    try:
        nodes.add("head")
        victim = nodes.add("victim")
        _with_a_lost_node(nodes, victim.kill, tmp_path)
    finally:
        nodes.close()
    assert results(tmp_path / "there") == of_one_machine != {}


@pytest.fixture(scope="module")
def of_one_machine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Results of the runs that a node is lost from."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "mine.yaml").write_text(TWO_ARMS)
    said(start(folder, *LONGER, "--store", "here"))
    return results(folder / "here")


def _with_a_lost_node(nodes: Cluster, kill: Callable[[], None], folder: Path, inside: tuple[str, ...] = ()) -> None:
    """A sweep of which one node goes away in mid-run ends complete; its store is `there`."""
    (folder / "mine.yaml").write_text(TWO_ARMS)
    remote = ["--executor", "ray", "--address", nodes.address, "--store", "there"]
    process = start(folder, *LONGER, *remote, inside=inside, **nodes.access)
    victim = nodes.nodes[-1]
    deadline = time.monotonic() + _PATIENCE
    while not list(victim.cache.glob("running/*/config.yaml")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.poll() is None
    time.sleep(0.5)
    kill()
    told = said(process)
    assert "lost on the cluster" in told
    assert told.count("done    [") == 2


@pytest.fixture
def namespaces() -> Iterator[dict[str, str]]:
    """Two network namespaces joined by a cable: name -> address."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces take root and iproute2")
    names = {f"dab{os.getpid()}{end}": f"10.213.7.{number}" for number, end in enumerate("ab", 1)}
    first, second = names

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    try:
        ip("netns", "add", first)
    except subprocess.CalledProcessError:
        pytest.skip("network namespaces cannot be made here")
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


def test_nodes_with_networks_of_their_own_and_one_whose_cable_is_cut(
    namespaces: dict[str, str], of_one_machine: dict[str, object], tmp_path: Path
) -> None:
    (first, host), (second, other) = namespaces.items()
    inside = {name: ["ip", "netns", "exec", name] for name in namespaces}
    nodes = Cluster(tmp_path, host=host, inside={"head": inside[first], "far": inside[second]})
    try:
        nodes.add("head")
        nodes.add("far", "--node-ip-address", other)

        def cut() -> None:
            subprocess.run(["ip", "-n", second, "link", "set", "dab0", "down"], check=True)

        _with_a_lost_node(nodes, cut, tmp_path, tuple(inside[first]))
    finally:
        nodes.close()
    assert results(tmp_path / "there") == of_one_machine != {}


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
