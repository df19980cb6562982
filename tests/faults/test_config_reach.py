"""What a configuration can name reaches files that can be read, and nothing else: no network, no program, no write."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from core.config import RunConfig
from core.errors import RunFailure, UserError
from core.inputs import fingerprints
from core.model.backbone import build_backbone
from core.teacher import load_encoder
from tests.faults.sealed import sealed

ADDRESSES = [
    "hf-hub:evil/model", "hf_hub:evil/model", "local-dir:/etc", "https://evil.test/w.pth", "//evil.test/share/w.pth",
    "s3://evil/w", "file:///etc/passwd", "/dev/zero", "/dev/stdin", "/etc/passwd", "/etc", "../../../etc/passwd",
    "~root/x",
    "$(touch ran)", "`touch ran`", "| touch ran", "laion400m_e32", "timm/lcnet_050.ra2_in1k", "imagenet/", "openai ",
    "-rf",
    "FIFO", "many", "con", "x" * 4000, "a\tb", " ", "%s%n", "\u202ex",
]  # fmt: skip
FIELDS = ["data.source", "eval.source", "model.backbone", "model.pretrained", "distill.teacher"]


@pytest.fixture(autouse=True, scope="module")
def _imported() -> None:
    """What libraries do while they are imported is not what is watched."""
    fingerprints(RunConfig())
    build_backbone(RunConfig().model, 0)
    load_encoder("procedural")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("field", FIELDS)
def test_no_text_field_leads_out(field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")  # else the hub would not be asked anyway
    monkeypatch.setenv("DOCABLATE_CACHE", str(tmp_path / "cache"))
    # A large folder is read by more processes, of this project's own, into which the watch does not see: in one here.
    monkeypatch.setattr("core.data.folder.processes_for", lambda count: 1)
    os.mkfifo("FIFO")
    Path("many").mkdir()
    for number in range(1000):
        (Path("many") / f"{number}.png").write_bytes(b"no image")
    Path("laion400m_e32").write_bytes(b"weights of no known kind")
    before = sorted(tmp_path.iterdir())
    started = time.process_time()
    for text in ADDRESSES:
        with sealed(tmp_path):
            try:
                config = RunConfig().with_overrides({field: text, "distill.kind": "kld", "data.images": 16})
                fingerprints(config)
                if field == "distill.teacher":
                    load_encoder(text)
                build_backbone(config.model, 0)
            except (UserError, RunFailure) as refused:
                message = str(refused)
                assert message.isprintable()
            else:
                pytest.fail(f"{field}={text} was taken")
    assert time.process_time() - started < 30
    assert sorted(path for path in tmp_path.iterdir() if path.name != "cache") == before
