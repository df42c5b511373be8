"""Repairs of pages, docstrings and scripts: the extensions of `book/_ext` but for formulas."""

from pathlib import Path
from types import SimpleNamespace

import docstrings
import evidence
import folded
import pytest
import repairs
import searching
import still
from docutils.core import publish_doctree
from docutils.nodes import (
    Text,
    container,
    emphasis,
    inline,
    literal,
    literal_block,
    math,
    paragraph,
    reference,
)
from docutils.utils import new_document
from sphinx.errors import ExtensionError

from jepabook import claims
from jepabook.claims import pages
from tools import policy


def unbroken(rst):
    """What is kept on one line, and the whole text."""
    doctree = publish_doctree(rst)
    text = doctree.astext()
    repairs.keep_punctuation(None, doctree, "page")
    assert doctree.astext() == text  # nothing is lost, nothing is twice
    return [node.astext() for node in doctree.findall(inline) if "unbroken" in node["classes"]]


@pytest.mark.parametrize(
    ("rst", "kept"),
    [
        ("It is :math:`a`, or :math:`b`.", ["a,", "b."]),
        ("A feature (:math:`L=2`) and [:math:`c` and more]", ["(L=2)", "[c"]),
        ("`by a`_ :math:`z`\n\n.. _by a: https://a.example", []),
        (":math:`a` at both ends :math:`b`", []),
        ("(:math:`a`:math:`b`)", ["(a", "b)"]),
    ],
)
def test_a_formula_keeps_the_marks_around_it(rst, kept):
    assert unbroken(rst) == kept


def test_a_number_keeps_its_unit_a_symbol_its_sign_and_code_its_spaces():
    doctree = publish_doctree("65 % of :math:`2` GB, q = 3 >= 2, 3 Greeks, a => b, ``2 GB = c``")
    repairs.keep_spaces(None, doctree, "page")
    kept = "65\u00a0% of 2\u00a0GB, q\u00a0= 3 >= 2, 3 Greeks, a => b, "
    assert doctree.astext() == f"{kept}2 GB = c"
    assert next(doctree.findall(literal)).astext() == "2 GB = c"


@pytest.mark.parametrize(
    ("relation", "kept"),
    [("=2", True), (r"\le 2", True), (r" \in A", True), (r"\inline", False), ("x=2", False)],
)
def test_a_linked_symbol_keeps_the_sign_after_it(relation, kept):
    link = reference("", "", math("", "w"), refuri="a")
    place = paragraph("", "", Text("Let "), link, math("", relation), Text("."))
    repairs.keep_relations(None, place, "page")
    assert place.astext() == f"Let w{relation}."
    assert (isinstance(place[1], inline) and place[1]["classes"] == ["unbroken"]) == kept


def test_figures_open_alone_and_links_begin_with_a_letter():
    image = '<img width="951" alt="a" src="../_images/b.png" />'
    body = (
        f'<figure id="f">\n{image}\n</figure><p>Solution to<a href="#e"> Exercise</a> {image}</p>'
    )
    context = {"body": body}
    repairs.mend_markup(None, "page", "page.html", context, None)
    assert context["body"] == (
        f'<figure id="f">\n<a class="figure-large" href="../_images/b.png">{image}</a>\n</figure>'
        f'<p>Solution to <a href="#e">Exercise</a> {image}</p>'
    )


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("|W e_i|", r"\|W e_i\|"),
        ("E[z z'] and B'GB, (V W)' R", "E[z z′] and B′GB, (V W)′ R"),
        ("the encoder's, JEPA's and L's; networks' starts", None),
        ("below 1e-140, a one-way e-mail", "below 1e‑140, a one-way e-mail"),
        ("eqs. (128)-(130), L-1", "eqs. (128)–(130), L-1"),
        ("``|a| b'`` and `x'`", None),
    ],
)
def test_a_formula_in_a_docstring_is_shown_as_written(written, shown):
    lines = [written]
    docstrings.plain_formulas(None, None, None, None, None, lines)
    assert lines == [shown or written]


def test_a_literal_block_and_a_doctest_are_left_alone():
    lines = ["obeys::", "", "    |a|' = 1e-3", "", ">>> |b|", "|c|"]
    shown = [*lines[:-1], r"\|c\|"]
    docstrings.plain_formulas(None, None, None, None, None, lines)
    assert lines == shown


@pytest.fixture
def app(tmp_path):
    """As much of Sphinx as `still` asks for."""
    (tmp_path / "_static").mkdir()
    return SimpleNamespace(outdir=tmp_path, settled={}, builder=SimpleNamespace(format="html"))


MODE = '<script data-cfasync="false">choose("auto")</script>'
PAGE = '<html lang="en" data-content_root="../"><head><meta charset="utf-8" />{}</head>{}</html>'


def test_a_page_of_the_theme_is_stilled_once(app):
    buttons = "<script>\n document.write(`<button title='Search'>\n</button>`);\n</script>"
    focus = "<script>\n  // Activate the search field on page load\n  f();</script>"
    body = f'{buttons}{focus}<button onclick="window.print()"></button>'
    found = still.still(app, PAGE.format(MODE, body))
    assert policy.breaches(PAGE.format(MODE, body)) and not policy.breaches(found)
    assert f'<meta charset="utf-8" />\n    {policy.META}<script src="../_static/mode.js?' in found
    assert "<button title='Search'>\n</button><button data-print></button>" in found
    assert Path(app.outdir, "_static", "mode.js").read_text("utf-8") == 'choose("auto")'
    assert still.still(app, found) == found


@pytest.mark.parametrize(
    "body",
    [
        "<script>alert(1)</script>",
        "<script>document.write(`${alert(1)}`)</script>",
        MODE,  # again, where the theme has none
        '<p onclick="window.print();">',
        "<script>document.write(`<img src=x onerror=alert(1)>`);</script>",
        '<p style="color: red">',
    ],
)
def test_a_page_that_acts_in_another_way_stops_the_build(app, body):
    Path(app.outdir, "a.html").write_text(PAGE.format(MODE, body), encoding="utf-8")
    with pytest.raises(ExtensionError, match=r"a\.html: a (script|style) in "):
        still.still_pages(app, None)


def test_a_script_that_is_to_be_one_for_all_pages_is_the_same_on_all(app):
    still.still(app, PAGE.format(MODE, ""))
    with pytest.raises(ExtensionError, match=r"mode\.js differs from page to page"):
        still.still(app, PAGE.format(MODE.replace("auto", "dark"), ""))


@pytest.mark.parametrize("name", searching.REPLACED)
def test_another_search_of_sphinx_stops_the_build(name):
    pairs = searching.REPLACED[name]
    known = "".join(old for old, _ in pairs)
    assert searching.mended(name, known) == "".join(new for _, new in pairs)
    for old, _ in pairs:
        for other in (known.replace(old, ""), known + old):
            with pytest.raises(ExtensionError, match=r"\.js has [02] times, not once"):
                searching.mended(name, other)


def test_every_row_has_evidence_with_and_without_mutants_by_hand():
    book = claims.book()
    gathered = {id: evidence.gather(claim, [], {}) for id, claim in book.items()}
    for id, claim in book.items():
        assert gathered[id].statement and gathered[id].check
        assert bool(gathered[id].by_hand) == bool(claim.mutants)
    assert {bool(claim.mutants) for claim in book.values()} == {True, False}


@pytest.mark.parametrize(
    ("verdict", "ids", "shown"),
    [
        ("holds", ["new:every-rest", "new:top-rests"], "holds (proved): 0, 1."),
        ("holds", ["new:every-rest", "new:returns"], "holds: 0 (proved), 1 (measured)."),
        ("holds", ["new:ends"], "holds (proved, measured): 0."),
        ("definition", ["eq:1"], "definition: 0."),
        ("fails as printed", ["assumption:3.1"], "fails as printed: 0."),
        ("holds", ["no:such"], "holds: 0."),
    ],
)
def test_a_mark_tells_the_grounds_once_if_they_agree(verdict, ids, shown):
    links = [
        reference("", str(n), refuri=f"ledger.html#{pages.anchor(id)}") for n, id in enumerate(ids)
    ]
    parts = [part for link in links for part in (Text(", "), link)][1:]
    mark = [Text("Ledger. "), emphasis("", f"{verdict}:"), Text(" "), *parts, Text(".")]
    document = new_document("page")
    document += [paragraph("", "", *mark), paragraph("", "", emphasis("", "holds:"))]
    evidence.tell_grounds(None, document, "page")
    assert [one.astext() for one in document] == [f"Ledger. {shown}", "holds:"]


def cell(code, hidden="input", output=""):
    """A cell as MyST-NB has it, before it folds what is to be folded."""
    parts = [container("", literal_block("", code), nb_element="cell_code_source")]
    if output:
        parts.append(container("", paragraph("", output), nb_element="cell_code_output"))
    return container("", *parts, nb_element="cell_code", hide_mode=hidden)


@pytest.mark.parametrize(
    ("cells", "left"),
    [
        ([cell("a"), cell("b"), cell("c", output="C")], [["a", "b", "c", "C"]]),
        ([cell("a", output="A"), cell("b")], [["a", "A"], ["b"]]),
        ([cell("a"), paragraph("", "between"), cell("b")], [["a"], ["b"]]),
        ([cell("a", None), cell("b"), cell("c", None)], [["a"], ["b"], ["c"]]),
        ([cell("a"), cell("b", "all"), cell("c", "output", "C")], [["a"], ["b"], ["c", "C"]]),
    ],
)
def test_folds_that_stand_together_are_one(cells, left):
    document = new_document("page")
    document += cells
    folded.JoinFolds(document).run()
    texts = [
        [text.astext() for text in one.findall(Text)]
        for one in document.children
        if isinstance(one, container)
    ]
    assert texts == left
