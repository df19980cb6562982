"""Verification over all pairs against scikit-learn's roc_curve: seconds and peak memory; prints one JSON line.

Usage: python tests/bench/verification.py --embeddings 6000 --by ours|scikit-learn [--threads 1]

Every contender runs in a process of its own, so that its peak is its own.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
import torch

from core.head_cost import status_mb

DIM, CAPTURES = 256, 5
FPRS = (1e-4, 1e-3, 1e-2)


def embeddings(count: int) -> tuple[np.ndarray, np.ndarray]:
    """(count, 256) float32 around one centre an identity, and identities (count,)."""
    rng = np.random.default_rng(0)
    identities = np.repeat(np.arange(-(-count // CAPTURES)), CAPTURES)[:count]
    centres = rng.standard_normal((identities[-1] + 1, DIM), np.float32)
    return centres[identities] + 4 * rng.standard_normal((count, DIM), np.float32), identities


def ours(rows: np.ndarray, identities: np.ndarray) -> list[float]:
    from core.verification import verify

    found = verify(torch.from_numpy(rows), identities, FPRS)
    return [*found.tpr.values(), found.auroc]


def scikit_learn(rows: np.ndarray, identities: np.ndarray) -> list[float]:
    from sklearn.metrics import auc, roc_curve

    unit = torch.nn.functional.normalize(torch.from_numpy(rows))
    upper = np.triu_indices(len(rows), 1)
    scores = (unit @ unit.T).numpy()[upper]
    fpr, tpr, _ = roc_curve(identities[upper[0]] == identities[upper[1]], scores, drop_intermediate=False)
    return [*(float(tpr[np.searchsorted(fpr, rate, "right") - 1]) for rate in FPRS), float(auc(fpr, tpr))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--embeddings", type=int, default=6000)
    parser.add_argument("--by", choices=["ours", "scikit-learn"], default="ours")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows, identities = embeddings(options.embeddings)
    judge = ours if options.by == "ours" else scikit_learn
    judge(rows[:200], identities[:200])  # imports and first calls
    before, started = status_mb("VmRSS"), time.perf_counter()
    found = judge(rows, identities)
    seconds = time.perf_counter() - started
    print(json.dumps({
        "embeddings": options.embeddings, "by": options.by, "threads": options.threads, "seconds": round(seconds, 2),
        "memory_mb": round(status_mb("VmHWM") - before), "found": found,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
