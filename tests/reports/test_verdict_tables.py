"""The statistics behind every interval, as a report shows them, against the same worked out from the seeds."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from reports.contrasts import Contrast
from reports.estimates import study_estimates
from reports.markdown import NONE, brief
from reports.replicates import Replicates
from reports.verdict_tables import contrasts_table, statistics_table
from tests.reports.judging import CLAIM, frame_of, pairs, study_of

A, B = [0.52, 0.61, 0.50, 0.66, 0.57], [0.45, 0.55, 0.53, 0.60, 0.49]  # B is ahead in one seed of five
NOT_WORSE = CLAIM.model_copy(update={"kind": "non_inferiority", "margin": 0.04})
CHEAPER = Contrast(finding="1_partial_fc", kind="cost_ratio", better="a", than="b", metric="cost.seconds")


def statistics(claim: Contrast, rows: list[dict[str, Any]], replicates: Replicates | None = None) -> dict[str, str]:
    """The one row of the table, by its header."""
    study = study_of(claim)
    table = statistics_table(study, study_estimates(study, frame_of(rows), replicates))
    (row,) = table.rows
    return dict(zip(table.header, row, strict=True))


@pytest.mark.parametrize(
    ("claim", "rows", "label", "differences", "null"),
    [
        (CLAIM, pairs("tpr@1e-4", A, B), "`a` − `b` on TPR@1e-4", np.subtract(A, B), 0.0),
        (NOT_WORSE, pairs("tpr@1e-4", A, B), "`a` − `b` on TPR@1e-4", np.subtract(A, B), -0.04),
        # Of a cost less is better, and its ratio is tested on the scale of logarithms.
        (CHEAPER, pairs("seconds", B, A), "`b` / `a` on seconds", np.log(A) - np.log(B), 0.0),
    ],
    ids=["superiority", "non_inferiority", "cost_ratio"],
)
def test_the_statistics_are_those_of_the_differences_by_seed(
    claim: Contrast, rows: list[dict[str, Any]], label: str, differences: np.ndarray, null: float
) -> None:
    deviation, excess = differences.std(ddof=1), differences - null
    flipped = [np.mean(signs * excess) for signs in product((1, -1), repeat=len(excess))]
    p = ttest_1samp(differences, null, alternative="greater").pvalue
    row = statistics(claim, rows)
    assert row == {
        "finding": row["finding"],
        "difference": label,
        "SD over seeds": f"{deviation:.4f}",
        "SE over seeds": f"{deviation / 5**0.5:.4f}",
        "SE over identities": NONE,
        "effect size d": f"{differences.mean() / deviation:.2f}",
        "P(A > B) over seeds": "0.80",
        "one-sided p": brief(p),
        "sign-flip p": f"{np.mean(flipped >= excess.mean() - 1e-12):.3f}",
    }
    assert p < 0.05


def test_the_standard_error_over_identities_is_that_of_their_replicates() -> None:
    drawn = {arm: np.random.default_rng(seed).normal(0.5, 0.02, 50) for seed, arm in enumerate("ab")}

    class Known(Replicates):
        def of(self, key: str, metric: str) -> Any:
            return drawn[key]  # alike in all seeds, so that their spread holds nothing of it

        def impostors(self, key: str, metric: str) -> int:
            return 30

    rows = [row | {"key": row["arm"]} for row in pairs("tpr@1e-4", A, B)]
    told = statistics(CLAIM, rows, Known(dict))
    assert told["SE over identities"] == f"{(drawn['a'] - drawn['b']).std(ddof=1):.4f}"
    assert told["SE over seeds"] == statistics(CLAIM, rows)["SE over seeds"]
    drawn["b"] = drawn["a"] + 0.1  # which vary alike
    assert statistics(CLAIM, rows, Known(dict))["SE over identities"] == "0.0000"


def test_a_single_seed_has_its_sign_and_no_spread() -> None:
    shown = list(statistics(CLAIM, pairs("tpr@1e-4", A[:1], B[:1])).values())
    assert shown[2:] == [NONE, NONE, NONE, NONE, "1.00", NONE, NONE]


def shown(metric: str, worth: float, a: list[float], b: list[float]) -> tuple[str, ...]:
    """The contrast, the estimate and what is worth having, as the table of contrasts has them."""
    claim = Contrast(finding="7_neck", better="a", than="b", metric=metric, smallest_effect=worth)
    study = study_of(claim)
    (row,) = contrasts_table(study, study_estimates(study, frame_of(pairs(claim.column, a, b)))).rows
    return (row[1], *row[3:5])


def test_numbers_are_as_fine_as_their_metric() -> None:
    a, b = [0.99912, 0.99934], [0.99871, 0.99898]
    assert shown("auroc", 0.0004, a, b) == ("`a` − `b` on AUROC", "+0.0004 [+0.0001, +0.0007]", "0.0004")
    assert shown("cost.parameters", 10_000, [615_984, 615_985], [1_386_032, 1_386_031]) == (
        "`b` − `a` on parameters", "+770,047 [+770,034, +770,060]", "10,000",
    )  # fmt: skip
    assert shown("cost.flops_g", 0.0005, [0.0107, 0.0107], [0.0134, 0.0134])[1:] == (
        "+0.0027 (the same in all 2 seeds)", "0.0005",
    )  # fmt: skip


def test_costs_are_named_with_their_units() -> None:
    for metric, name in (("size_mb", "size (MB)"), ("flops_g", "GFLOPs"), ("peak_memory_mb", "peak memory (MB)")):
        assert shown(f"cost.{metric}", 1, [1.0, 1.0], [2.0, 2.0])[0] == f"`b` − `a` on {name}"
