"""Whether a user's own images are enough for a verdict, and how many it takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count

from core.config import FPRS
from core.config_sections import EvalConfig
from core.data.corpus import Corpus, RealCaptures, captured_validation, flat_validation, held_out_sizes
from core.data.sources import ProceduralDocuments
from core.support import identities_needed

NEEDED = identities_needed(max(FPRS))  # identities that are judged on: with fewer, no rate is supported
_NONE = "no verdict can be reached"


def why_no_verdict(made: Corpus, evaluation: EvalConfig) -> str:
    """One sentence with the number of images or identities that it takes; empty where a verdict can be reached.

    Of procedural documents there are as many as are asked for: nothing is said of them.
    """
    if isinstance(made.test, RealCaptures) or isinstance(made.validation, RealCaptures):  # both are, or none
        return _of_captures([part for part in (made.validation, made.test) if isinstance(part, RealCaptures)])
    judged_on = len(made.test)
    if isinstance(made.test, ProceduralDocuments) or judged_on >= NEEDED:
        return ""
    if evaluation.identities < NEEDED:
        return f"{_NONE}: it takes {NEEDED} identities to judge on, eval.identities is {evaluation.identities}"
    if evaluation.source == ("held-out",):
        total = len(made.train) + len(made.validation) + judged_on
        return _sentence("images", total, lambda total: held_out_sizes(total, evaluation)[1])
    total = len(made.validation) + judged_on
    return _sentence("images", total, lambda total: total - flat_validation(total, evaluation))


def _of_captures(parts: Sequence[RealCaptures]) -> str:
    """Of validation and test; identities that are added are taken to have several captures."""
    each = [Counter(identity for _, identity in part.files) for part in parts]
    if len(each[-1]) >= NEEDED:
        return ""
    single = sum(captures == 1 for part in each for captures in part.values())
    there = sum(map(len, each))
    return _sentence("identities", there, lambda total: total - captured_validation(total - single, total))


def _sentence(what: str, there: int, judged: Callable[[int], int]) -> str:
    """That there are too few, and how many it takes.

    Args:
        judged: how many of a number are judged on, by the rule of the split.
    """
    fewest = next(total for total in count(there) if judged(total) >= NEEDED)
    return f"{_NONE}: it takes {fewest:,} {what}, there are {there:,}"
