"""The page of a calibration, whatever its claims and folders are called."""

from __future__ import annotations

from reports.calibration import calibrate
from reports.calibration_page import calibration_page
from reports.claims import Finding
from reports.inline import plain
from tests.reports.test_calibration import LOOKS, noise


def test_names_on_it_are_shown_as_themselves() -> None:
    name, command = "x <b>*y*", "python -m ablations calibrate './a`b.yaml'"
    found = calibrate({name: [noise()], "z": [noise()]}, LOOKS, reports=4, effects=(0.0,))
    found.measured[name] = False
    claims = {one: Finding(id=one, source="mine", claim="it is *better*") for one in (name, "z")}
    page = calibration_page(found, claims, LOOKS, [], command)
    assert f"assumed for claim {name}, which lack two seeds" in plain(page)
    assert f"Made by {command}." in plain(page)
