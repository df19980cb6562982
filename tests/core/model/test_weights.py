"""Weights that cannot be had are refused in under a second, with what to use instead."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from core.config import ModelConfig, RunConfig
from core.errors import RunFailure, UserError
from core.model import hub
from core.model.backbone import build_backbone
from core.model.weights import resolve
from tests.faults.sealed import sealed


@pytest.fixture(autouse=True)
def _fresh() -> None:
    hub.is_reachable.cache_clear()


def test_imagenet_offline_is_one_quick_line() -> None:
    started = time.perf_counter()
    with pytest.raises(UserError, match=r"model\.pretrained=procedural"):
        resolve("lcnet_050", "imagenet")
    assert time.perf_counter() - started < 2.5


def test_openai_clip_offline_is_one_line() -> None:
    assert "distill.teacher=procedural" in str(hub.why_not_openai_clip())


def test_unreachable_hub_is_noticed_within_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.invalid")

    def hang(*_: object, **__: object) -> None:
        time.sleep(3)
        raise OSError("timed out")

    monkeypatch.setattr(socket, "create_connection", hang)
    started = time.perf_counter()
    assert not hub.is_reachable()
    assert time.perf_counter() - started < 2.5  # a second, on a machine with other work


def test_a_hub_that_answers_is_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.delenv("HF_HUB_OFFLINE")
        monkeypatch.delenv("HTTPS_PROXY", raising=False)
        monkeypatch.delenv("https_proxy", raising=False)
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert hub.is_reachable()


def test_local_cache_counts_as_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--timm--lcnet_050.ra2_in1k" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    assert hub.why_not_imagenet("lcnet_050")
    (snapshot / "model.safetensors").touch()
    assert hub.why_not_imagenet("lcnet_050") is None


def test_unknown_path_and_backbone() -> None:
    with pytest.raises(UserError, match="neither a file"):
        resolve("lcnet_050", "nowhere.safetensors")
    with pytest.raises(UserError, match="no embedded weights for resnet18"):
        resolve("resnet18", "procedural")
    with pytest.raises(RunFailure, match=r"timm has no 'lcnet_05' \(did you mean 'lcnet_\d+'"):
        build_backbone(ModelConfig(backbone="lcnet_05", pretrained="none"), 0)


def state() -> dict[str, torch.Tensor]:
    return build_backbone(ModelConfig(pretrained="none"), 1).features.state_dict()


@pytest.mark.parametrize("form", ["safetensors", "pth", "nested"])
def test_weights_from_a_file(tmp_path: Path, form: str) -> None:
    from safetensors.torch import save_file

    wanted = {**state(), "classifier.weight": torch.zeros(3, 3)}
    path = tmp_path / f"w.{'safetensors' if form == 'safetensors' else 'pth'}"
    if form == "safetensors":
        save_file(wanted, str(path))
    else:
        torch.save({"state_dict": wanted} if form == "nested" else wanted, path)
    loaded = build_backbone(ModelConfig(pretrained=str(path)), 2).features.state_dict()
    assert all(torch.equal(loaded[name], wanted[name]) for name in loaded)


HEADER_OF_GIGABYTES = (2**33).to_bytes(8, "little") + b"{}"


@pytest.mark.parametrize(
    ("damage", "expected"),
    [("garbage", "cannot be read"), ("missing", "has no"), ("shape", "of another shape"), ("code", "may be code"),
     ("nan", "not finite"), ("sparse", "not a plain tensor"), ("list", "no tensors by name"), ("number", "has no"),
     ("header", "its header is over"), ("torn", "cannot be read")],
)  # fmt: skip
def test_files_that_do_not_fit_are_refused(tmp_path: Path, damage: str, expected: str) -> None:
    path = tmp_path / ("w.safetensors" if damage in ("header", "torn") else "w.pth")
    content: dict[str, Any] = dict(state())
    name = next(iter(content))
    if damage == "garbage":
        path.write_bytes(b"not weights")
    elif damage == "code":
        path.write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")  # a pickle that would run a command
    elif damage == "header":
        path.write_bytes(HEADER_OF_GIGABYTES)
    elif damage == "torn":
        path.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{}")
    else:
        first = content.pop(name)
        changed = {"shape": first[:1], "nan": first * torch.nan, "sparse": first.to_sparse(), "number": 3}
        if damage in changed:
            content[name] = changed[damage]
        torch.save([first] if damage == "list" else content, path)
    with pytest.raises(RunFailure) as caught:
        build_backbone(ModelConfig(pretrained=str(path)), 0)
    assert caught.value.kind == "bad_weights"
    assert str(path) in caught.value.message
    assert expected in caught.value.message


@pytest.mark.parametrize(
    "name", ["a" * 4000, "a/../" * 700, "no\nfile", "hf-hub:evil/model", "https://evil.test/w.pth"]
)
def test_names_that_are_no_files_are_refused(name: str) -> None:
    with sealed(Path("/nowhere")), pytest.raises(UserError, match="neither a file"):
        resolve("lcnet_050", name)


@pytest.mark.parametrize(
    "name", ["hf-hub:evil/model", "local-dir:/etc", "hf_hub:x", "a/b", "../x", "x" * 129, "", "a\n"]
)
def test_a_backbone_is_a_name_and_no_address(name: str) -> None:
    with pytest.raises(UserError, match=r"model\.backbone"):
        RunConfig().with_overrides({"model.backbone": name})
