"""What a template shows, as facts, and the clauses of captions made from them."""

from core.data.layouts.families import Skeleton
from core.data.layouts.livery import Livery

_PLAIN_PAPERS = frozenset({"invoice", "receipt", "letter"})
_PICTURE_OVER_PATTERN = frozenset({"id card", "passport", "driving licence", "residence permit"})


def _background(s: Skeleton, lv: Livery) -> tuple[str, str]:
    """What the eye meets first behind the text, and the line work ('' where none shows)."""
    plain = s.family in _PLAIN_PAPERS or (s.family == "form" and s.tone != "tint")
    if "picture" in s.parts:
        return lv.art_kind, lv.ground_kind if s.family in _PICTURE_OVER_PATTERN else ""
    return ("plain", "") if plain else (lv.ground_kind, lv.ground_kind)


def facts(group: int, s: Skeleton, lv: Livery) -> dict[str, object]:
    """What a template shows; `ground` and `portrait_side` are '' where there is none."""
    art, ground = _background(s, lv)
    return {
        "family": s.family,
        "group": group,
        "colours": lv.colours,
        "colour_count": len(set(lv.colours)),
        "emblem": lv.emblem,
        "title": lv.title,
        "subtitle": lv.subtitle,
        "parts": tuple(sorted(s.parts)),
        "art": art,
        "ground": ground,
        "tone": s.tone,
        "script": s.script,
        "mirrored": s.mirrored,
        "portrait_side": ("right" if s.mirrored else "left") if "portrait" in s.parts else "",
        "orientation": "upright" if s.aspect < 1 else "wide",
    }


def article(words: str) -> str:
    """`words` after their indefinite article."""
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def clauses(told: dict[str, object], colours: tuple[str, str]) -> list[str]:
    """Clauses that are true of a template, each of which a caption may leave out."""
    written = [
        "in " + " and ".join(dict.fromkeys(colours)),
        f"with {article(str(told['emblem']))} emblem",
        f"titled {told['title']}",
        f"{told['art']} background",
        f"{told['script']} letters",
        "of one colour" if told["colour_count"] == 1 else "of two colours",
        f"{told['orientation']} format",
    ]
    if told["portrait_side"]:
        written.append(f"portrait on the {told['portrait_side']}")
    if told["ground"] not in ("", told["art"]):
        written.append(f"{told['ground']} pattern")
    return written
