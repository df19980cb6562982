"""Files are loaded in one way each, the safe one: a new use of another has to be thought about here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import core

ROOT = Path(core.__path__[0]).parent
SOURCES = [path for package in ("core", "reports", "ablations") for path in sorted((ROOT / package).rglob("*.py"))]
# Calls by their dotted end, and the only files that may make them.
ALONE = {
    "yaml.load": (), "yaml.safe_load": (), "yaml.full_load": (), "yaml.unsafe_load": (), "yaml.compose": (),
    # Beside the reader of what comes from outside: this project's own records, which carry checksums or are leases.
    "json.loads": (
        "core/json_text.py", "core/record.py", "core/lease_file.py",
        "ablations/tuning_journal.py",
    ), "json.load": (),
    "pickle.loads": ("core/data/rendering.py",),  # over a pipe, from a process that this one has started
    "pickle.load": (), "marshal.loads": (), "eval": (), "exec": (), "os.system": (), "os.popen": (), "jit.load": (),
    "extractall": (), "tarfile.extract": (), "np.fromfile": (), "joblib.load": (), "cloudpickle.loads": (),
}  # fmt: skip


def calls() -> Iterator[tuple[str, ast.Call, str]]:
    """(file, call, its dotted name)."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield path.relative_to(ROOT).as_posix(), node, ast.unparse(node.func)


def keyword(call: ast.Call, name: str) -> object:
    return next((ast.unparse(one.value) for one in call.keywords if one.arg == name), None)


def test_nothing_is_loaded_in_an_unsafe_way() -> None:
    found = list(calls())
    assert len(found) > 1000
    for file, call, name in found:
        where = f"{file}:{call.lineno}: {name}"
        for forbidden, files in ALONE.items():
            if name == forbidden or name.endswith(f".{forbidden}"):
                # `model.eval()` puts a network into evaluation mode.
                assert file in files or (forbidden == "eval" and name != "eval"), where
        if name.endswith("torch.load"):
            assert keyword(call, "weights_only") == "True", where
        if name.endswith("np.load"):
            assert keyword(call, "allow_pickle") == "False", where
        assert keyword(call, "shell") is None, where
        assert keyword(call, "trust_remote_code") is None, where
