"""Every README's links lead somewhere: to a file, and to a heading of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HERE = [path.relative_to(ROOT) for path in ROOT.rglob("README.md")]
README = sorted(path for path in HERE if not any(part.startswith(".") for part in path.parts))


def anchors(path: Path) -> set[str]:
    """The headings of a page, as a link names them."""
    found = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("readme", README, ids=str)
def test_every_link_leads_somewhere(readme: Path) -> None:
    text = (ROOT / readme).read_text(encoding="utf-8")
    targets = [one for one in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"https?:", one)]
    for target in targets:
        name, _, anchor = target.partition("#")
        path = (ROOT / readme).parent / name if name else ROOT / readme
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


def test_the_front_page_leads_to_all_others() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [str(one) for one in README if str(one) != "README.md" and f"]({one})" not in text] == []
