"""The ledger and the chapters point at each other, claim by claim."""

import re

import pytest

from jepabook import claims
from tools.notebooks import ROOT, read

BOOK = claims.book()


def cells_of(chapter):
    return read(ROOT / "notebooks" / f"{chapter}.ipynb").cells


def shown_ids(cells):
    """The claims whose verdict a cell of the chapter shows."""
    text = "\n".join(
        output.data.get("text/plain", "")
        for cell in cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "data" in output and "text/markdown" in output.data
    )
    return set(re.findall(r"\b(?:eq|assumption|thm|lemma|cor|fig|text|new):[\w.-]+", text))


@pytest.mark.parametrize("chapter", sorted({c.chapter.partition("#")[0] for c in BOOK.values()}))
def test_claims_and_chapter_agree(chapter):
    cells = cells_of(chapter)
    targets = {
        target
        for cell in cells
        if cell.cell_type == "markdown"
        for target in re.findall(r"^\(([\w-]+)\)=$", cell.source, flags=re.MULTILINE)
    }
    here = {
        claim.id: claim.chapter.partition("#")[2]
        for claim in BOOK.values()
        if claim.chapter.startswith(chapter)
    }
    assert set(here.values()) <= targets, "a claim points at a section that the chapter lacks"
    assert set(here) == shown_ids(cells), "the chapter shows other verdicts than the ledger says"
