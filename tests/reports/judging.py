"""Small frames of one study, and the verdicts on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from core.config import METRICS
from reports.cells import COLUMNS, COSTS, LOSSES, PAIRS
from reports.claims import Arm, Study
from reports.contrasts import Contrast
from reports.verdicts import Verdict, judge


def study_of(*contrasts: Contrast, arms: tuple[str, ...] = ("a", "b")) -> Study:
    declared = {arm: Arm() for arm in arms}
    return Study(study="s", title="t", question="q", baseline="a", arms=declared, contrasts=contrasts)


def frame_of(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Done rows of study ``s`` with unremarkable numbers, changed by each of `rows`."""
    plain: dict[str, Any] = dict.fromkeys((*METRICS, *COSTS), 1.0) | {"tpr@1e-3": 0.7, "tpr@1e-2": 0.8}
    plain |= dict.fromkeys(PAIRS.values(), 100.0)
    plain |= dict(zip(LOSSES, (40.0, 20.0, 33.0), strict=True)) | {"identities": 1000.0}
    head = {"study": "s", "state": "done", "reason": "", "key": "0" * 16, "precision": "medium"}
    return pd.DataFrame([{**plain, **head, **row} for row in rows], columns=list(COLUMNS))


def pairs(metric: str, a: list[float], b: list[float], **rest: Any) -> list[dict[str, Any]]:
    return [
        {"arm": arm, "seed": seed, metric: value, **rest}
        for arm, values in (("a", a), ("b", b))
        for seed, value in enumerate(values)
    ]


CLAIM = Contrast(finding="4_norm_ln_vs_bn", better="a", than="b")


LOOKS = {5: 0.2, 10: 0.8}


def found(claim: Contrast | list[Contrast], rows: list[dict[str, Any]], looks: Any = None, **rest: Any) -> Verdict:
    """The verdict on the first claim's finding."""
    claims = claim if isinstance(claim, list) else [claim]
    arms = tuple(dict.fromkeys(arm for one in claims for arm in (*one.arms, "a", "b")))
    verdicts = judge([study_of(*claims, arms=arms)], frame_of(rows), looks=LOOKS if looks is None else looks, **rest)
    return next(one for one in verdicts if one.finding.id == claims[0].finding)


def shifted_by(effect: float, n: int = 5, noise: float = 2e-3, seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    base = 0.5 + rng.normal(0, 0.05, n)
    return pairs("tpr@1e-4", (base + effect + rng.normal(0, noise, n)).tolist(), base.tolist())
