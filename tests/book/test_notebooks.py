"""The committed notebooks: run from top to bottom, short cells, told figures, nothing volatile.

Chapters also have the parts that a reader expects, and a line on the landing page.
"""

import re

import pytest

from tools import passive
from tools.notebooks import KERNELSPEC, LANGUAGE_INFO, ROOT, lost_figures, read, toc_entries

LONGEST_CELL = 15  # lines that are not blank
MACHINE_PATH = re.compile(r"(?<![\w/.])/(?:home|root|Users|work|tmp|mnt|opt)/\S*|\b[A-Z]:\\Users")
NOTEBOOKS = [entry for entry in toc_entries() if entry.startswith("notebooks/")]
CHAPTERS = [entry for entry in NOTEBOOKS if entry.partition("/")[2][:2].isdigit()]


@pytest.fixture(scope="module", params=NOTEBOOKS)
def notebook(request):
    return read(ROOT / f"{request.param}.ipynb")


@pytest.fixture
def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(cell):
    """All that a reader sees of a cell as text: its source and the textual part of its outputs."""
    found = [cell.source]
    for output in cell.get("outputs", []):
        found.append(output.get("text", ""))
        found += [
            text
            for kind, text in output.get("data", {}).items()
            if isinstance(text, str) and not kind.startswith("image/")
        ]
    return found


def test_ran_once_from_top_to_bottom(code):
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))


def test_cells_are_short(code):
    lengths = [sum(1 for line in cell.source.splitlines() if line.strip()) for cell in code]
    assert max(lengths, default=0) <= LONGEST_CELL


def test_no_cell_ends_in_a_semicolon(code):
    """It hides a value from a reader but not from nbval; end the cell with `plt.show()` instead."""
    assert not [cell.source for cell in code if cell.source.rstrip().endswith(";")]


def test_no_errors_and_no_stderr(code):
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]


def test_images_have_a_caption_and_a_text(code):
    for cell in code:
        kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
        if any(kind.startswith("image/") for kind in kinds):
            told = cell.metadata.get("mystnb", {})
            where = f"cell [{cell.execution_count}]"
            assert told.get("figure", {}).get("caption", "").strip(), f"{where}: no caption"
            assert told.get("figure", {}).get("name", "").strip(), f"{where}: no name"
            assert told.get("image", {}).get("alt", "").strip(), f"{where}: no alt text"


def test_promised_figures_are_there(notebook):
    assert not lost_figures("the notebook", notebook, notebook)


def test_nothing_volatile(notebook):
    assert notebook.metadata == {"kernelspec": KERNELSPEC, "language_info": LANGUAGE_INFO}
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags", "mystnb"}, cell.metadata


def test_nothing_that_acts(notebook):
    assert passive.notebook(notebook) == []


def test_no_path_of_a_machine(notebook):
    told = "\n".join(text for cell in notebook.cells for text in texts(cell))
    assert not MACHINE_PATH.findall(told)


def test_every_notebook_is_in_the_table_of_contents():
    stray = {f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    stray -= set(NOTEBOOKS)
    assert not stray, f"add to _toc.yml: {stray}"


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_has_its_parts_and_a_line_on_the_landing_page(chapter):
    cells = read(ROOT / f"{chapter}.ipynb").cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    parts = (
        *("# ", ":::{admonition} Overview", "**After this chapter you can** "),
        *("**You need** ", "**Time:** ", "## Summary", "**Next:** ", "## Exercises"),
    )
    at = [text.find(part) for part in parts]
    assert -1 not in at, f"lacks {parts[at.index(-1)]!r}"
    assert at == sorted(at), f"must come in this order: {parts}"
    exercises = re.findall(r"^:::\{exercise\}.*\n:label: (\S+)", text, flags=re.MULTILINE)
    solved = re.findall(r"^:::\{solution(?:-start)?\} (\S+)", text, flags=re.MULTILINE)
    assert exercises and exercises == solved, "an exercise has no solution, or not in its order"
    index = (ROOT / "book" / "index.md").read_text(encoding="utf-8")
    assert f"](../{chapter}.ipynb)" in index, "book/index.md does not link it"
