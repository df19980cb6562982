"""Invented names and the small vocabulary of the documents; no real issuer, person or place is used."""

from collections.abc import Sequence

import numpy as np


def names(text: str) -> tuple[str, ...]:
    """The words of `text`."""
    return tuple(text.split())


_ONSETS = names("b c d f g h k l m n p r s t v br dr gr kr pl st tr sh")
_VOWELS = names("a e i o u a e i o ia ea")
_CODAS = ("", "", "", "n", "r", "l", "s", "m", "nd", "rt")
_PLACE_ENDINGS = names("ia land ona stan mark burg ora ara mere via")
_GIVEN = names(
    "Ada Boris Carla Dario Elena Farid Greta Hugo Irina Jonas Kira Leon Mina Nils Olga Pavel Rosa Samir Tara Umar "
    "Vera Wim Yara Zeno"
)

DIRECTIONS = names("Northern Southern Eastern Western Central Upper Lower New United Royal Federal Grand")
STATES = names("Republic Kingdom State Union Province District Commonwealth Canton")
TRADES = names(
    "Savings Credit Trust Airways Railways Foods Power Water Books Travel Medical Motors Harbour Garden Energy "
    "Telecom Insurance Pharmacy Market Studio Cinema Museum Theatre Library Institute Academy"
)
LABELS = (
    *names("Name Surname Nationality Sex Authority Address Class Height"),
    *(
        "Given names",
        "Date of birth",
        "Place of birth",
        "Document no.",
        "Date of issue",
        "Date of expiry",
        "Blood type",
    ),
)
CLAUSES = names(
    "please keep this part for your records and quote the reference number in all correspondence with our office "
    "payment is due within thirty days of the date shown above unless otherwise agreed in writing the holder is "
    "entitled to the services described and must present this document on request any change of address shall be "
    "reported to the issuing authority without delay this notice replaces all earlier notices subject to terms"
)
ITEMS = names("Tea Bread Paper Lamp Cable Service Repair Ticket Coffee Soap Rice Milk Glass Paint Labour Rental")

# Letter-for-letter substitutions, so that every script is drawn from one vocabulary.
_LATIN = "abcdefghijklmnopqrstuvwxyz"
_SCRIPTS = {
    "latin": _LATIN,
    "cyrillic": "абцдефгхийклмнопярстувшжыз",
    "greek": "αβψδεφγηιξκλμνοπχρστυωςζθϕ",
    "georgian": "აბცდეფგჰიჟკლმნოპქრსტუვწხყზ",
    "armenian": "աբցդեֆգհիջկլմնոպքրստուվխյզ"[:26],
}
SCRIPTS = tuple(_SCRIPTS)
_TABLES = {
    name: str.maketrans(_LATIN + _LATIN.upper(), letters + letters.upper() if name != "georgian" else letters * 2)
    for name, letters in _SCRIPTS.items()
}


def script_letters(script: str) -> str:
    """The letters of `script` that documents are set in, small and capital."""
    letters = _SCRIPTS[script]
    return letters if script == "georgian" else letters + letters.upper()


def transliterate(text: str, script: str) -> str:
    """`text` with its Latin letters replaced one for one by letters of `script`."""
    return text if script == "latin" else text.translate(_TABLES[script])


def capitals(text: str, script: str) -> str:
    """`text` in capitals; Georgian has none that the fonts can draw."""
    return text if script == "georgian" else text.upper()


def pick(rng: np.random.Generator, choices: Sequence[str]) -> str:
    """One of `choices`, each equally likely."""
    return choices[int(rng.random() * len(choices))]


def _syllables(rng: np.random.Generator, count: int) -> str:
    return "".join(pick(rng, _ONSETS) + pick(rng, _VOWELS) for _ in range(count)) + pick(rng, _CODAS)


def place(rng: np.random.Generator) -> str:
    """An invented country or town, such as 'Dremoland'."""
    stem = _syllables(rng, 1 + int(rng.random() < 0.6))
    return (stem + pick(rng, _PLACE_ENDINGS)).capitalize()


def person(rng: np.random.Generator) -> str:
    """An invented holder's name, such as 'Vera Grimor'."""
    return f"{pick(rng, _GIVEN)} {_syllables(rng, 2).capitalize()}"


def digits(rng: np.random.Generator, pattern: str) -> str:
    """`pattern` with every '#' replaced by a digit and every '@' by a capital letter."""
    draws = rng.random(len(pattern))
    out = []
    for mark, draw in zip(pattern, draws, strict=True):
        if mark == "#":
            out.append(str(int(draw * 10)))
        elif mark == "@":
            out.append(chr(65 + int(draw * 26)))
        else:
            out.append(mark)
    return "".join(out)


def date(rng: np.random.Generator) -> str:
    """A day as DD.MM.YYYY between 1950 and 2034."""
    day, month, year = rng.random(3)
    return f"{1 + int(day * 28):02d}.{1 + int(month * 12):02d}.{1950 + int(year * 85)}"


def clause(rng: np.random.Generator, count: int) -> str:
    """`count` consecutive words of small print."""
    start = int(rng.random() * len(CLAUSES))
    return " ".join(CLAUSES[(start + k) % len(CLAUSES)] for k in range(count)).capitalize()


def machine_readable_line(rng: np.random.Generator, length: int, holder: str) -> str:
    """A line in the alphabet of ICAO 9303: capitals, digits and fillers; check digits are not computed."""
    if holder:
        text = "P<" + digits(rng, "@@@") + holder.upper().replace(" ", "<<")
    else:
        text = digits(rng, "@########<#@@@#######@#######")
    return text[:length].ljust(length, "<")
