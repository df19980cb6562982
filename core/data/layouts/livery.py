"""The livery: what tells a template from its siblings."""

from dataclasses import dataclass

import numpy as np

from core.data.layouts.canvas import Colour, mix
from core.data.layouts.families import GROUP_SIZE, skeleton
from core.data.layouts.palette import COLOURS, ground_colours, rgb
from core.data.layouts.scenery import SCENES
from core.data.layouts.words import DIRECTIONS, STATES, TRADES, names, pick, place

EMBLEMS = names(
    "star sun crown shield leaf gear wave mountain tree crescent cross ring diamond flower hexagon anchor key bolt "
    "tower bird heart wheel clover sail"
)


GROUNDS = names("guilloche rosette hatch honeycomb rays circles dots marble spirograph mesh microtext")


ARTS = (*names("bands bubbles petals skyline letter facets waves contours mosaic patches arcs"), *SCENES)


@dataclass(frozen=True)
class Livery:
    """What tells a template from its siblings."""

    colours: tuple[str, str]
    ground: Colour
    ground_edge: Colour
    ink: Colour
    accent: Colour
    second: Colour
    emblem: str
    title: str
    subtitle: str
    ground_kind: str
    art_kind: str
    dials: np.ndarray

    @property
    def is_dark(self) -> bool:
        """Whether print on the ground must be light."""
        return sum(self.ground) < 390


def _title(family: str, rng: np.random.Generator) -> tuple[str, str]:
    name = place(rng)
    state = f"{pick(rng, STATES)} of {name}"
    firm = f"{name} {pick(rng, TRADES)}" if rng.random() < 0.6 else f"{pick(rng, DIRECTIONS)} {pick(rng, TRADES)}"
    if family in ("id card", "passport", "driving licence", "residence permit", "visa", "vehicle registration"):
        return state, "Identity card" if family == "id card" else family.capitalize()
    if family == "certificate":
        kind = pick(rng, ("Certificate", "Diploma", "Award", "Licence", "Certificate of merit"))
        return kind, f"{firm} {pick(rng, ('Institute', 'Academy', 'Board', 'Council'))}"
    if family == "bank card":
        return f"{firm} Bank" if rng.random() < 0.3 else firm, pick(
            rng, ("platinum", "classic", "world", "titanium", "debit")
        )
    if family == "membership card":
        return firm, pick(rng, ("member", "club card", "library card", "student", "loyalty", "season pass"))
    if family == "transit card":
        return pick(rng, (name, f"{name} {pick(rng, ('Metro', 'Transit', 'Railways', 'Lines'))}")), pick(
            rng, ("travel card", "day pass", "stored value", "monthly pass")
        )
    if family == "health insurance card":
        return f"{name} {pick(rng, ('Health', 'Care', 'Insurance', 'Mutual'))}", pick(
            rng, ("Health insurance card", "Insured person", "Medical card")
        )
    if family == "gift card":
        return firm, pick(rng, ("Gift card", "Voucher", "Thank you", "Happy birthday", "For you"))
    if family == "form":
        return pick(rng, ("Application", "Registration", "Declaration", "Request", "Claim")) + " form", state
    return firm, pick(rng, ("Admit one", "Boarding pass", "Day return")) if family == "ticket" else family.capitalize()


def livery(seed: int, index: int) -> Livery:
    """The livery of template `index`; a third of the siblings keep their group's colours."""
    shared = skeleton(seed, index // GROUP_SIZE)
    rng = np.random.default_rng([seed, 2, index])
    hues = tuple(COLOURS)
    own = rng.random() >= 1 / 3
    colours = (pick(rng, hues), pick(rng, hues))
    if not own:
        colours = shared.base_colours
    jitter = rng.random(8)
    first, second = rgb(colours[0], jitter[:3]), rgb(colours[1], jitter[3:6])
    ground, edge = ground_colours(shared.tone, first, second, jitter[6])
    dark = sum(ground) < 390
    ink = mix((245, 245, 240), ground, 0.05) if dark else mix((22, 22, 30), first, 0.12)
    if shared.tone in ("vivid", "dark", "silver"):
        accent = mix(second, (255, 255, 255), 0.35) if dark else mix(second, (0, 0, 0), 0.25)
    else:
        accent = mix(first, (0, 0, 0), 0.25) if sum(first) > 420 else first
    if abs(sum(accent) - sum(ground)) < 130:
        accent = mix(accent, ink, 0.6)
    title, subtitle = _title(shared.family, rng)
    return Livery(
        colours=colours,
        ground=ground,
        ground_edge=edge,
        ink=ink,
        accent=accent,
        second=second,
        emblem=pick(rng, EMBLEMS),
        title=title,
        subtitle=subtitle,
        ground_kind=pick(rng, GROUNDS),
        art_kind=pick(rng, ARTS),
        dials=rng.random(32),
    )
