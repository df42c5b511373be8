"""The ledger's page: filters by mouse, keyboard and address, rows by name, and `ledger.json`.

Needs `make site` first, as `test_site` does.
"""

import inspect
import json
import re

import pytest

from jepabook import claims
from jepabook.claims import mutants, pages
from tests.browsing import until
from tools import audit, book, policy, provenance
from tools.notebooks import ROOT, toc_entries

BOOK = claims.book()
HTML = ROOT / "_build" / "html"
FOLDER = ROOT / "book" / "_static" / "ledger"
EVIDENCE = HTML / "_static" / "ledger"


def ids(**wanted):
    """The anchors of the claims that a choice of the filters should show."""
    facets = {
        "verdict": lambda c: [c.verdict],
        "ground": lambda c: list(c.ground),
        "kind": lambda c: [pages.KINDS[c.id.partition(":")[0]]],
        "method": lambda c: list(c.methods),
        "section": lambda c: [pages.section(c)],
        "chapter": lambda c: [str(int(c.chapter[:2]))],
    }
    return [
        pages.anchor(c.id)
        for c in BOOK.values()
        if all(value in facets[name](c) for name, value in wanted.items())
    ]


@pytest.fixture
def visit(site, browser):
    """visit(hash, theme): the page in a fresh profile; what it asked for in vain fails the test."""
    problems, contexts = [], []

    def at(address="", theme="light"):
        contexts.append(audit.in_theme(browser, theme))
        page, told = audit.visit(contexts[-1], f"{site}/notebooks/ledger.html{address}")
        problems.append(told)
        return page

    yield at
    for context in contexts:
        context.close()
    assert not any(problems), problems


def shown(page):
    """The anchors of the rows that are to be seen."""
    return page.locator("table:has(td [id]) tbody tr:visible td:first-child [id]").evaluate_all(
        "all => all.map(one => one.id)"
    )


def said(page):
    return page.locator("#ledger-filters [role=status]").inner_text()


def choose(page, **wanted):
    for name, value in wanted.items():
        page.locator(f"#ledger-filters [name={name}]").select_option(value)


def test_all_rows_are_shown_at_first(visit):
    page = visit()
    assert shown(page) == ids()
    assert said(page) == f"All {len(BOOK)} rows are shown."


@pytest.mark.parametrize(
    "wanted",
    [
        {"verdict": "fails as printed"},
        {"kind": "named statement"},
        {"method": "R"},
        {"ground": "measured", "kind": "ours"},
        {"section": "B.3"},
        {"section": "ours", "chapter": "9"},
        {"kind": "equation", "verdict": "holds with a correction", "section": "B.1"},
    ],
)
def test_filters_show_what_they_say_and_the_address_holds_them(visit, wanted):
    page, expected = visit(), ids(**wanted)
    choose(page, **wanted)
    assert 0 < len(expected) < len(BOOK) and shown(page) == expected
    assert said(page) == f"{len(expected)} of {len(BOOK)} rows are shown."
    again = visit("#" + page.url.partition("#")[2])
    assert shown(again) == expected and said(again) == said(page)
    page.get_by_role("button", name="Show all").click()
    until(page, "!location.hash")
    assert shown(page) == ids()


def test_counts_of_the_choices_follow_the_other_filters(visit):
    page = visit()
    choose(page, kind="named statement", chapter="5")
    options = page.locator("#ledger-filters [name=verdict] option").all_inner_texts()
    count = {text.rpartition(" (")[0]: int(re.search(r"\((\d+)\)$", text)[1]) for text in options}
    assert count["all"] == len(ids(kind="named statement", chapter="5"))
    for verdict in ("holds", "fails as printed", "holds with a correction", "definition"):
        assert count[verdict] == len(ids(kind="named statement", chapter="5", verdict=verdict))
    assert count["definition"] == 0


@pytest.mark.parametrize(
    ("words", "found"), [("(77)", "eq-77"), ("eq:77", "eq-77"), ("Lerch", None), ("ρ σ", None)]
)
def test_free_text(visit, words, found):
    page = visit()
    page.locator("#ledger-filters [name=words]").fill(words)
    rows = shown(page)
    assert 0 < len(rows) < len(BOOK) and (found is None or found in rows)
    assert shown(visit("#" + page.url.partition("#")[2])) == rows


def test_nothing_fits(visit):
    page = visit("#words=no+such+thing")
    assert shown(page) == [] and said(page) == f"0 of {len(BOOK)} rows are shown."


def test_a_row_that_the_address_names_is_shown_whatever_the_filters_say(visit):
    page = visit("#eq-77")
    assert shown(page) == ids()
    choose(page, kind="ours")
    assert "eq-77" not in shown(page)
    page.evaluate("location.hash = 'eq-77'")
    until(
        page,
        "document.querySelector('#ledger-filters').textContent.includes('and the one that the')",
    )
    assert shown(page) == ["eq-77", *ids(kind="ours")]
    box = page.locator("#eq-77").bounding_box()
    assert 0 < box["y"] < 900
    choose(page, verdict="holds")
    assert shown(page) == ids(kind="ours", verdict="holds")


@pytest.mark.parametrize(
    "address",
    [
        *("#verdict=nonsense&kind=", "#x=1&chapter=99", "#%E0%A4%A=%", "#<b>=", "#gone"),
        *("#__proto__=x&verdict=constructor", "#constructor", "?__proto__=1#kind=__proto__"),
    ],
)
def test_garbage_in_the_address_filters_nothing(visit, address):
    assert shown(visit(address)) == ids()


def test_by_keyboard_alone(visit):
    page = visit()
    names = []
    page.locator("#ledger-filters [name=verdict]").focus()
    for _ in range(8):
        names.append(page.evaluate("document.activeElement.name || document.activeElement.type"))
        page.keyboard.press("Tab")
    assert names == ["verdict", "ground", "kind", "method", "section", "chapter", "words", "reset"]
    page.locator("#ledger-filters [name=verdict]").focus()
    page.keyboard.type("fails")
    assert shown(page) == ids(verdict="fails as printed")
    page.locator("#ledger-filters [type=reset]").focus()
    page.keyboard.press("Enter")
    until(page, "!location.hash")
    assert shown(page) == ids()
    labels = page.locator("#ledger-filters :is(select, input)").evaluate_all(
        "all => all.map(one => one.labels[0].firstChild.textContent.trim())"
    )
    told = ["verdict", "on what ground", "kind", "decided by", "in the paper", "in this book"]
    assert labels == [*told, "words"]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [audit.NARROW, audit.WIDE])
def test_wide_and_narrow_in_both_themes(visit, theme, width):
    page = visit("#verdict=fails+as+printed", theme)
    page.set_viewport_size({"width": width, "height": 900})
    assert not audit.accessibility(page)
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


@pytest.mark.parametrize("width", [audit.NARROW, audit.WIDE])
def test_rows_out_of_sight_are_not_laid_out_and_what_is_said_has_most_of_the_row(visit, width):
    page = visit()
    page.set_viewport_size({"width": width, "height": 900})
    laid_out = "row.cells[0].firstElementChild.checkVisibility({contentVisibilityAuto: true})"
    last = page.locator("table:has(td [id]) tbody tr").last
    assert not last.evaluate(f"row => {laid_out}")
    until(page, f"row => {{ row.scrollIntoView(); return {laid_out}; }}", last.element_handle())
    assert last.evaluate("row => row.cells[2].offsetWidth / row.offsetWidth") > 0.6
    assert len(page.get_by_role("row").all()) > len(BOOK)


def test_without_javascript_all_rows_are_there_and_no_filters(site, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}/notebooks/ledger.html")
    assert shown(page) == ids()
    assert not page.locator("#ledger-filters").is_visible()
    assert page.get_by_role("link", name="ledger.json").is_visible()
    context.close()


def test_works_from_a_file_with_no_server(site, browser):
    context, problems = browser.new_context(), []
    page = context.new_page()
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto((HTML / "notebooks" / "ledger.html").as_uri() + "#kind=figure")
    assert shown(page) == ids(kind="figure")
    choose(page, kind="ours")
    assert shown(page) == ids(kind="ours")
    context.close()
    assert not problems


def unfold(page, id):
    """Unfold the evidence of a row; the row with it."""
    button = page.get_by_role("button", name=f"evidence for {pages.label(id)}", exact=True)
    button.click()
    until(page, "document.querySelector('.ledger-evidence:not([hidden]) h3') !== null")
    return button, page.locator(f"tr:has(#{pages.anchor(id)}) + tr.ledger-evidence")


class TestEvidence:
    def test_a_row_unfolds_to_code_check_and_variants_and_folds_again(self, visit):
        page = visit("#eq-46")
        button, evidence = unfold(page, "eq:46")
        assert button.get_attribute("aria-expanded") == "true"
        told, claim = evidence.inner_text(), BOOK["eq:46"]
        made = mutants.of_book({"eq:46": claim})["eq:46"]
        for function in (claim.statement, claim.erratum.statement):
            assert inspect.getsource(function).rpartition("):\n")[2].strip() in told
        assert "decompositions_check(1)" in told and "def decompositions_check(" in told
        assert f"by hand ({len(claim.mutants)})" in told
        assert f"by machine ({len(made)})" in told
        assert all(variant.after.partition("  #")[0] in told for variant in made)
        button.click()
        assert not evidence.is_visible() and button.get_attribute("aria-expanded") == "false"

    def test_by_keyboard_and_its_row_takes_it_along_when_filters_hide_it(self, visit):
        page = visit("#eq-77")
        page.get_by_role("button", name="evidence for (77)", exact=True).focus()
        page.keyboard.press("Enter")
        evidence = page.locator("tr.ledger-evidence")
        until(page, "document.querySelector('.ledger-evidence h3') !== null")
        choose(page, kind="ours")
        assert not evidence.is_visible()
        choose(page, kind="equation")
        assert evidence.is_visible()
        page.get_by_role("button", name="evidence for (77)", exact=True).focus()
        page.keyboard.press("Space")
        choose(page, kind="")
        assert not evidence.is_visible()

    @pytest.mark.parametrize("theme", ["light", "dark"])
    @pytest.mark.parametrize("width", [audit.NARROW, audit.WIDE])
    def test_wide_and_narrow_in_both_themes(self, visit, theme, width):
        page = visit("#words=eq:80", theme)
        page.set_viewport_size({"width": width, "height": 900})
        _, evidence = unfold(page, "eq:80")
        evidence.locator("summary").first.click()
        assert not audit.accessibility(page)
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
        assert evidence.bounding_box()["width"] > 0.75 * min(width, 800)
        plain, keyword = (
            evidence.locator(kind).first.evaluate("one => getComputedStyle(one).color")
            for kind in ("pre", "pre .k")
        )
        assert plain != keyword

    def test_from_a_file_with_no_server(self, site, browser):
        context = browser.new_context()
        page = context.new_page()
        page.goto((HTML / "notebooks" / "ledger.html").as_uri() + "#eq-77")
        unfold(page, "eq:77")
        context.close()

    def test_what_does_not_load_says_where_the_source_is(self, site, browser):
        context = browser.new_context()
        page = context.new_page()
        page.route("**/evidence/*.js", lambda route: route.abort())
        page.goto(f"{site}/notebooks/ledger.html#eq-77")
        page.get_by_role("button", name="evidence for (77)", exact=True).click()
        link = page.locator(".ledger-evidence").get_by_role("link", name="its source")
        link.click()
        assert "def " in page.locator(":target").inner_text()
        context.close()

    def test_without_javascript_a_row_links_to_its_lines_in_the_source(self, site, browser):
        context = browser.new_context(java_script_enabled=False)
        page = context.new_page()
        page.goto(f"{site}/notebooks/ledger.html")
        assert page.locator(".ledger-more").count() == len(BOOK)
        page.get_by_role("link", name="evidence for (77)", exact=True).click()
        assert f"def {BOOK['eq:77'].statement.__name__}(" in page.locator(":target").inner_text()
        context.close()

    def test_every_row_has_a_small_script_and_its_links_lead_somewhere(self, site):
        assert {path.stem for path in (EVIDENCE / "evidence").iterdir()} == set(ids())
        texts = {path.name: path.read_text("utf-8") for path in (EVIDENCE / "source").iterdir()}
        for path in (EVIDENCE / "evidence").iterdir():
            text = path.read_text(encoding="utf-8")
            assert len(text) < 80_000 and text.startswith(f'showEvidence("{path.stem}", ')
            links = re.findall(r'href=\\"\.\./_static/ledger/source/([^"#]+)#([\w-]+)\\"', text)
            assert links
            assert all(f'id="{line}"' in texts[file] for file, line in links)
        assert not any(policy.breaches(text) for text in texts.values())


def test_it_weighs_little_and_on_its_own_page_only(site):
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 12_000
    for entry in toc_entries():
        text = (HTML / f"{entry}.html").read_text(encoding="utf-8")
        assert ("ledger/ledger.js" in text) == (entry == "notebooks/ledger")


class TestLedgerJson:
    def test_it_has_every_row_with_its_verdict(self, site):
        ledger = json.loads((HTML / "ledger.json").read_text(encoding="utf-8"))
        assert ledger["version"] == book.LEDGER_VERSION == 1
        assert ledger["rows"] == [pages.record(claim, claim.verdict) for claim in BOOK.values()]

    def test_its_links_lead_somewhere(self, site):
        rows = json.loads((HTML / "ledger.json").read_text(encoding="utf-8"))["rows"]
        links = [row[key] for row in rows for key in row if key.endswith("_link")]
        assert len(links) > 2 * len(rows)
        pages_of = {link.partition("#")[0] for link in links}
        texts = {page: (HTML / page).read_text(encoding="utf-8") for page in pages_of}
        for link in links:
            page, _, target = link.partition("#")
            assert f'id="{target}"' in texts[page], link

    def test_it_was_made_from_the_commit_and_versions_of_the_site(self, site):
        made = json.loads((HTML / "ledger.json").read_text(encoding="utf-8"))["made_from"]
        commit = provenance.commit_of(ROOT)
        assert (made["commit"] or {}).get("hash") == (commit and commit.hash)
        assert made["versions"] == provenance.versions()

    def test_a_ledger_without_rows_is_no_ledger(self, tmp_path):
        assert book.take_ledger_rows(tmp_path) is None
        (tmp_path / "notebooks").mkdir()
        text = '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
        (tmp_path / "notebooks" / "ledger.ipynb").write_text(text, encoding="utf-8")
        with pytest.raises(book.BuildFailed, match=r"ledger\.json"):
            book.take_ledger_rows(tmp_path)
