"""What the first page of a report says of what it tests."""

from __future__ import annotations

import pytest

from reports.index_page import index_page
from reports.material import Material
from reports.page import to_markdown
from reports.study_page import PUBLISHED_NOTE
from tests.reports.conftest import REPORT, World


@pytest.mark.parametrize("documented", [True, False])
def test_the_record_is_spoken_of_where_a_finding_of_it_is_tested(pristine: World, documented: bool) -> None:
    study = pristine.studies[0]
    mine = study.contrasts[0].model_copy(update={"finding": "mine"})
    own = study.model_copy(update={"findings": (), "claims": {"mine": "ln is better"}, "contrasts": (mine,)})
    material = Material.read([study if documented else own], pristine.cells, pristine.store, {3: 1.0}, {})
    index = to_markdown(index_page(material, {**REPORT, "store_digest": "ab12"}))
    assert ("Thirteen documented findings" in index, PUBLISHED_NOTE in index) == (documented, documented)
    assert ("| mine |" in index) is not documented
    assert ("published TPR@1e-4" in index, "No study of this report tests" in index) == (documented, documented)
