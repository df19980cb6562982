"""Every reader of something from outside, as a function of bytes that returns or refuses, and does nothing else."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ablations import declarations, options
from ablations.budget import parse_duration
from ablations.preset import load_preset
from ablations.registry import baseline_values, load_study
from ablations.words import parse_seeds, parse_sets
from core import json_text
from core.config import RunConfig
from core.data import archives
from core.data.image_file import Unusable, decode, header
from core.data.public_layouts import LAYOUTS
from core.data.scans import recall
from core.errors import RunFailure, UserError
from core.store import Store
from reports import head_cost, head_turns
from reports.comparison import compare_summaries
from reports.comparison_page import estimate_table, finding_table, told
from reports.provenance_check import verify
from reports.runs import read_run
from reports.summary import read_summary
from tests.faults.sealed import Escaped, sealed

KEY = "0123456789abcdef"
_SMALL = archives.Limits(max_bytes=2_000_000, max_files=200)


@dataclass(frozen=True)
class Target:
    """A reader: `read` takes the bytes and an empty folder of its own."""

    name: str
    read: Callable[[bytes, Path], object]

    def survive(self, data: bytes, room: Path) -> bool:
        """True where the input was taken, False where it was refused in a line.

        Raises:
            Exception: anything else that the reader raised, or `Escaped`.
        """
        with _emptied(room), sealed(room):
            try:
                self.read(data, room)
                return True
            except (UserError, RunFailure, Unusable) as refused:
                message = str(refused)
        if not message.isprintable():
            raise Escaped(f"a message that is not one line of plain text: {message!r}")
        return False


@contextmanager
def _emptied(room: Path) -> Iterator[None]:
    room.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for path in room.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _file(name: str, data: bytes, room: Path) -> Path:
    path = room / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _study(data: bytes, room: Path) -> None:
    study = load_study.__wrapped__(str(_file("mine.yaml", data, room))).study
    baseline = baseline_values(RunConfig())
    for arm in study.arms.values():  # as a plan does, with another baseline
        RunConfig().with_overrides(arm.overrides(baseline)).identity()


def _preset(data: bytes, room: Path) -> None:
    preset = load_preset(str(_file("preset.yaml", data, room)))
    RunConfig().with_overrides(preset.set)


def _config(data: bytes, room: Path) -> None:
    path = str(_file("config.yaml", data, room))
    config = options._single_config([path], {"runtime.device": "cpu"})
    if config is not None:
        assert config.runtime.cache_dir is None
        assert RunConfig.model_validate(declarations.parse("config", config.to_yaml())[0]) == config
        config.key({"train": "x"})


def _set(data: bytes, room: Path) -> None:
    words = data.decode("utf-8", "surrogateescape").split("\x00")  # as the operating system gives them
    RunConfig().with_overrides(parse_sets(words)).identity()


def _seeds(data: bytes, room: Path) -> None:
    for seed in parse_seeds(data.decode("utf-8", "surrogateescape"), 3)[:5]:
        RunConfig().with_overrides({"seed": seed})


def _image(data: bytes, room: Path) -> None:
    path = _file("image", data, room)
    image = decode(path)
    assert image.mode == "RGB"
    assert max(image.size) <= 256
    header(path)


def _archive(name: str) -> Callable[[bytes, Path], object]:
    def read(data: bytes, room: Path) -> None:
        before = {path.name for path in room.iterdir()} | {name}
        # Changed bytes of a .gz rarely get past its checksum: what is inside is changed instead.
        path = _file(name, gzip.compress(data, 1) if name.endswith(".gz") else data, room)
        try:
            archives.extract(path, room / "out", limits=_SMALL)
        finally:
            assert {one.name for one in room.iterdir()} <= before | {"out"}
        assert all(one.is_dir() or (one.is_file() and not one.is_symlink()) for one in (room / "out").rglob("*"))

    return read


def _weights(name: str) -> Callable[[bytes, Path], object]:
    def read(data: bytes, room: Path) -> None:
        from core.model.weight_files import read_state, require_numbers

        path = _file(name, data, room)
        require_numbers(read_state(path), path)

    return read


def _teacher(data: bytes, room: Path) -> None:
    from core.teacher_files import check_config

    check_config(_file("open_clip_config.json", data, room).parent)


def _records(data: bytes, room: Path) -> None:
    """The files of a store and of a report that hold JSON: what was found is read as a report reads it."""
    store = Store(room / "store")
    for name in (f"{KEY}/result.json", f"{KEY}/failure.json", "head_cost.json"):
        _file(f"store/{name}", data, room)
    read_run(KEY, store)
    _file(f"store/{KEY}/result.json", data, room).unlink()
    read_run(KEY, store)
    head_cost.read(store)
    head_turns.head_turns(store)
    recall(_file("scan.json", data, room))
    verify(_file("report.json", data, room).parent, store, {}, resolve=lambda config: {})


def _verdicts(data: bytes, room: Path) -> None:
    """The verdicts of two reports, compared as `compare` prints them."""
    summary = read_summary(_file("report/verdicts.json", data, room).parent)
    found = compare_summaries(summary, summary.model_copy(), ("first", "second"))
    told(found)
    finding_table(found)
    estimate_table(found)


def _json(data: bytes, room: Path) -> None:
    json.dumps(json_text.parse("x", data), allow_nan=False)


def _csv(data: bytes, room: Path) -> None:
    _file("raw/metadata.csv.gz", gzip.compress(data, 1), room)
    list(LAYOUTS["smartdoc15"](room / "raw", "frames"))


def _annotations(data: bytes, room: Path) -> None:
    from core.data.rectify import usable_quad

    _file("raw/01_x/ground_truth/CA/CA01_01.json", data, room)
    _file("raw/annotations/alb_id.json", data, room)
    for layout in ("midv500", "midv2020"):
        for frame in LAYOUTS[layout](room / "raw", "01_alb_id"):
            usable_quad(frame.corners, 100, 100)


TARGETS = {
    target.name: target
    for target in (
        Target("study files", _study), Target("presets", _preset), Target("config.yaml of runs", _config),
        Target("values of --set", _set), Target("numbers of --seeds", _seeds),
        Target("times of --budget", lambda data, room: parse_duration(data.decode("utf-8", "surrogateescape"))),
        Target("images", _image), Target("zip archives", _archive("x.zip")), Target("tar archives", _archive("x.tar")),
        Target("tar.gz archives", _archive("x.tar.gz")), Target("safetensors", _weights("w.safetensors")),
        Target("pth weights", _weights("w.pth")), Target("teachers' configurations", _teacher),
        Target("JSON of stores and reports", _records), Target("verdicts of reports", _verdicts),
        Target("JSON", _json),
        Target("metadata.csv of public sets", _csv), Target("annotations of public sets", _annotations),
    )
}  # fmt: skip
