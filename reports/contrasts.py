"""Contrasts: differences between arms that test a claim, declared before any result is seen.

Every contrast is oriented so that the claim is positive, and says the smallest effect that is worth having.
"""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from core.config import METRICS
from reports.cells import SHIFTED_PREFIX

ContrastKind = Literal["superiority", "non_inferiority", "interaction", "trend", "cost_ratio"]


class Pair(BaseModel):
    """Two arms of which the claim says that the first is better."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    better: str
    than: str


class Contrast(BaseModel):
    """A difference between arms on a metric, oriented so that the claim is positive.

    `superiority`: `better` exceeds `than`. `non_inferiority`: it falls short by no more than `margin`. `cost_ratio`:
    the ratio of a cost lies above 1 by `smallest_effect`. `trend`: the metric rises, or a cost falls, along `than`,
    `through`, `better`. `interaction`: `better` wins here and `elsewhere.better` wins there, so that the order of the
    two changes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    finding: str
    kind: ContrastKind = "superiority"
    better: str = Field(description="the arm that the claim says is better")
    than: str = Field(description="the arm that it is compared with")
    through: tuple[str, ...] = Field((), description="trend: the levels between `than` and `better`, in order")
    elsewhere: Pair | None = Field(None, description="interaction: the pair whose order is the other way round")
    metric: str = "tpr@1e-4"
    smallest_effect: float = Field(0.02, gt=0, description="smallest effect worth having; of a ratio, its excess")
    margin: float = Field(0.0, ge=0, description="largest loss that 'keeps performance' allows")
    decides: bool = Field(True, description="false: shown beside the verdict, which does not depend on it")
    about: str = ""

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if (self.elsewhere is not None) != (self.kind == "interaction"):
            raise ValueError("`elsewhere: {better, than}` belongs to kind interaction, which needs it")
        if self.through and self.kind != "trend":
            raise ValueError("`through` belongs to kind trend")
        if self.kind == "non_inferiority" and not self.margin:
            raise ValueError("kind non_inferiority needs a `margin`, the largest loss that is allowed")
        if self.kind != "non_inferiority" and self.margin:
            raise ValueError("`margin` belongs to kind non_inferiority; of others `smallest_effect` says what counts")
        if self.kind == "cost_ratio" and self.is_of_rates:
            raise ValueError(f"kind cost_ratio is of a cost, such as cost.seconds, and {self.metric} is none")
        if self.better == self.than:
            raise ValueError(f"'{self.better}' is compared with itself")
        if self.kind == "trend" and len(set(self.levels)) < len(self.levels):
            raise ValueError(f"a trend names each level once, got {', '.join(self.levels)}")
        if self.elsewhere and {self.elsewhere.better, self.elsewhere.than} == {self.better, self.than}:
            raise ValueError("`elsewhere` is another pair, where the order is the other way round")
        return self

    @property
    def name(self) -> str:
        return f"{self.better} - {self.than}"

    @property
    def arms(self) -> tuple[str, ...]:
        """Every arm that the contrast reads."""
        return tuple(dict.fromkeys(arm for _, arm in self.named))

    @property
    def named(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Every field that names an arm, by its place in the declaration, with the arm."""
        found: list[tuple[tuple[str | int, ...], str]] = [(("better",), self.better), (("than",), self.than)]
        found += [(("through", place), arm) for place, arm in enumerate(self.through)]
        if self.elsewhere:
            found += [(("elsewhere", "better"), self.elsewhere.better), (("elsewhere", "than"), self.elsewhere.than)]
        return found

    @property
    def column(self) -> str:
        """The number of a run that is to be read, before any fallback to a looser FPR."""
        return self.metric.removeprefix("cost.")

    @property
    def is_of_rates(self) -> bool:
        """Whether the number of a run lies between 0 and 1, as rates and AUROC do."""
        return self.column.removeprefix(SHIFTED_PREFIX) in METRICS

    @property
    def is_ratio(self) -> bool:
        return self.kind == "cost_ratio"

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The differences that are tested, each as the arm that is better and the one that it is compared with."""
        other = ((self.elsewhere.better, self.elsewhere.than),) if self.elsewhere else ()
        return ((self.better, self.than), *other)

    @property
    def levels(self) -> tuple[str, ...]:
        """The arms of a trend, in the order in which the claim says that they get better."""
        return (self.than, *self.through, self.better)

    @property
    def null(self) -> float:
        """What the claim lies above, on the scale that is tested (ratios: logarithms): 0, or minus the margin."""
        return -self.margin if self.kind == "non_inferiority" else 0.0

    @property
    def mark(self) -> float:
        """Where the claim begins to matter, on the scale of the estimate (ratios: as they are)."""
        if self.kind == "non_inferiority":
            return -self.margin
        return 1 + self.smallest_effect if self.is_ratio else self.smallest_effect

    @property
    def worth(self) -> float | None:
        """The smallest effect worth having on that scale; None for non-inferiority, where being above `null` is all."""
        if self.kind == "non_inferiority":
            return None
        return math.log1p(self.smallest_effect) if self.is_ratio else self.smallest_effect

    @property
    def unit(self) -> float:
        """What estimates are shown in multiples of, on that scale: the effect worth having, or the loss allowed."""
        return self.worth or self.margin
