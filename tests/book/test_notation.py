"""Every symbol of the notation page is linked from where the book introduces it, and links back.

And every letter in the chapters' formulas has one meaning in a part of the book (`symbols.toml`).
"""

import re
import tomllib

import pytest

from tests import symbols
from tools.notebooks import ROOT, read, toc_entries

ROW = re.compile(
    r"^\| \[.+?\]\{#(?P<name>[\w-]+)\} \|.*\| \[(?P<chapter>\d+)\]\((?P<place>\S+)\) \|$"
)
LINES = (ROOT / "book" / "notation.md").read_text(encoding="utf-8").splitlines()
ROWS = [match for line in LINES if (match := ROW.match(line))]
LINK = re.compile(r"\]\(\.\./book/notation\.md#([\w-]+)\)")
TARGET = re.compile(r"^\(([\w-]+)\)=$(?P<heading>\n#)?", flags=re.MULTILINE)


def places(entry):
    """Each symbol that a notebook links, with the section and the target above the link."""
    cells = read(ROOT / f"{entry}.ipynb").cells
    text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    for link in LINK.finditer(text):
        above = list(TARGET.finditer(text, 0, link.start()))
        section = [target for target in above if target["heading"]]
        yield link[1], {f"../{entry}.ipynb#{t[1]}" for t in above[-1:] + section[-1:]}


LINKED = [
    place
    for entry in toc_entries()
    if (ROOT / f"{entry}.ipynb").is_file()
    for place in places(entry)
]


def test_every_row_is_well_formed():
    head = next(i for i, line in enumerate(LINES) if line.startswith("|---"))
    assert [m.string for m in ROWS] == [line for line in LINES[head + 1 :] if line]
    names = [row["name"] for row in ROWS]
    assert len(set(names)) == len(names)
    assert {name for name, _ in LINKED} <= set(names)


@pytest.mark.parametrize("row", ROWS, ids=[row["name"] for row in ROWS])
def test_the_place_that_a_row_names_links_to_it_and_no_other(row):
    (found,) = [around for name, around in LINKED if name == row["name"]]
    assert row["place"] in found
    assert row["place"].startswith(f"../notebooks/{int(row['chapter']):02}-")


SYMBOLS = tomllib.loads((ROOT / "tests" / "book" / "symbols.toml").read_text(encoding="utf-8"))
PARTS = {"idea": {*range(1, 7)}, "paper": {*range(7, 13)}, "beyond": {*range(13, 18)}}
PAPERS = "the paper's letter"
CHAPTERS = [e for e in toc_entries() if re.match(r"notebooks/\d\d-", e)]


def chapter(entry):
    return int(entry.split("/")[1][:2])


@pytest.mark.parametrize("entry", CHAPTERS)
def test_every_letter_of_a_chapter_is_listed_with_its_meaning(entry):
    number = chapter(entry)
    listed = {
        letter
        for letter, meanings in SYMBOLS["letters"].items()
        if any(number in chapters for chapters in meanings.values())
    }
    assert symbols.letters(symbols.visible(read(ROOT / f"{entry}.ipynb"))) == listed


@pytest.mark.parametrize("part", PARTS)
def test_a_letter_has_one_meaning_in_a_part_or_is_declared(part):
    twice = {
        letter
        for letter, meanings in SYMBOLS["letters"].items()
        if 1 < sum(not PARTS[part].isdisjoint(c) for m, c in meanings.items() if m != PAPERS)
    }
    assert twice == set(SYMBOLS["declared"][part])


def test_the_letters_are_read():
    text = r"""$\tau_{\mathrm{K}}\,\bar W_a x_i'$ and $t^*_{\mathrm{jepa}}$

:::{admonition} Proof
:class: dropdown

$Z$
:::

$$\lVert\mathcal TB\rVert_F\tag{3}$$
"""
    assert symbols.letters(re.sub(symbols.FOLDED[2], "", text)) == {
        *("x", "i", "a", "t", "B", "F"),
        *(r"\tau_K", r"\bar W", r"\mathcal T"),
    }
