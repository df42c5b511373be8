"""Tags, cards, map, BibTeX and the link for reports: of pages here, and of a little site."""

import re
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

import citing
import feedback
import found
import pytest
from bs4 import BeautifulSoup
from docutils.core import publish_doctree
from docutils.nodes import make_id
from pybtex.database import parse_string
from sphinx.util.images import get_image_size

from tests.tools.test_binder import TestButtons
from tests.tools.test_metadata import BARE, WHOLE
from tools import policy
from tools.notebooks import ROOT, toc_entries


def told(rst):
    return found.description(publish_doctree(rst))


@pytest.mark.parametrize(
    ("rst", "said"),
    [
        ("One. Two.\n\nThree.", "One. Two. Three."),
        (".. note:: Aside.\n\nThe text.", "The text."),
        ("It is :math:`\\lambda` here. Then :math:`\\frac12`. End.", "It is λ here."),
        (":math:`x_i` first.\n\nThen words.", "Then words."),
        ("A heading without a stop\n\nA sentence.", "A sentence."),
        (
            "Long. " + "Another sentence of words. " * 20,
            "Long." + " Another sentence of words." * 7,
        ),
    ],
)
def test_a_description_is_the_first_sentences_without_formulas(rst, said):
    assert told(rst) == said and len(said) <= found.LONGEST


def test_one_sentence_that_is_too_long_is_cut_at_a_word():
    said = told("word " * 80 + "end.")
    assert said.endswith("word…") and len(said) <= found.LONGEST


def test_tags_say_where_a_page_is_only_if_that_is_known():
    here = dict(found.tags(WHOLE, "notebooks/03-who", "Who?", "About <it>.", "book/index"))
    assert here["og:url"] == "https://book.test/jepa/notebooks/03-who.html"
    assert here["og:image"] == "https://book.test/jepa/_static/cards/03-who.png"
    assert here["citation_doi"] == WHOLE.doi and here["citation_publication_date"] == "2027/02/03"
    bare = dict(found.tags(BARE, "notebooks/03-who", "Who?", "About <it>.", "book/index"))
    assert not [name for name, text in bare.items() if "https:" in text]
    html = found.written(found.tags(BARE, "book/new", 'A "b"', "About <it>.", "book/index"))
    assert "&lt;it&gt;" in html and "&quot;b&quot;" in html and "citation_doi" not in html
    assert policy.breaches(html) == []


@pytest.mark.parametrize("image", [None, (ROOT / found.LANDING).read_bytes()])
def test_a_card_has_the_size_that_is_told(tmp_path, image):
    path = tmp_path / "card.png"
    path.write_bytes(found.card("Chapter 3", "A title of several words " * 6, "A book", image))
    assert get_image_size(path) == (found.WIDTH, found.HEIGHT)


def entries(what):
    """The BibTeX of a part of the page, and the links above the blocks."""
    text = "\n".join(citing.lines(what, ROOT))
    blocks = re.findall(r"```bibtex\n(.*?)\n```", text, re.DOTALL)
    return parse_string("\n".join(blocks), "bibtex").entries, re.findall(r"\]\(([^)]+)\)", text)


def test_every_chapter_and_every_finding_can_be_cited():
    chapters, links = entries("chapters")
    listed = [entry for entry in toc_entries() if citing.CHAPTER.match(entry)]
    assert links == [f"../{entry}.ipynb" for entry in listed] and len(chapters) == len(listed)
    headings = re.findall(r"^## (.+)$", (ROOT / "book/new.md").read_text("utf-8"), re.MULTILINE)
    findings, links = entries("findings")
    assert [link.partition("#")[2] for link in links] == [make_id(one) for one in headings]
    assert len(findings) == len(headings) and not findings.keys() & chapters.keys()
    assert len(entries("book")[0]) == len(entries("paper")[0]) == 1


def test_new_here_counts_its_findings():
    words = "fifteen sixteen seventeen eighteen nineteen twenty twenty-one twenty-two".split()
    text = (ROOT / "book/new.md").read_text(encoding="utf-8")
    number = len(list(citing.findings(ROOT)))
    assert f"in {words[number - 15]} findings" in text


REPOSITORY = "https://github.com/someone/the-book"


def test_a_report_names_page_and_edition():
    url = feedback.address(REPOSITORY, "A & B", "https://book.test/a.html", "jepabook 1 · commit a")
    parts = urlsplit(url)
    asked = {name: value for name, (value,) in parse_qs(parts.query).items()}
    assert parts.path == "/someone/the-book/issues/new" and asked["title"] == "A & B: "
    lines = asked["body"].splitlines()
    assert lines[0] == "Page: https://book.test/a.html" and lines[1] == "Section: "
    assert lines[2] == "Edition: jepabook 1 · commit a"


@pytest.mark.parametrize("url", ["", None, "https://gitlab.com/someone/the-book"])
def test_without_a_repository_whose_form_is_known_nobody_is_asked(url):
    config = SimpleNamespace(html_theme_options={"repository_url": url})
    context = {"theme_extra_footer": "foot"}
    feedback.add_link(SimpleNamespace(config=config), "a", "page.html", context, object())
    assert context == {"theme_extra_footer": "foot"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site of one page and one chapter that knows where it is."""
    folder = tmp_path_factory.mktemp("site")
    return TestButtons.build(folder, REPOSITORY, "main", WHOLE.address, WHOLE.doi)


def test_pages_of_a_site_that_knows_where_it_is(site):
    page = (site / "notebooks" / "01-a-chapter.html").read_text(encoding="utf-8")
    soup = BeautifulSoup(page, "html.parser")
    address = f"{WHOLE.address}notebooks/01-a-chapter.html"
    assert [tag["href"] for tag in soup.select("link[rel=canonical]")] == [address]
    assert soup.select_one("meta[property='og:image']")["content"].endswith("/01-a-chapter.png")
    (link,) = soup.select("a[data-feedback]")
    assert (
        link["href"].startswith(f"{REPOSITORY}/issues/new?")
        and address in parse_qs(urlsplit(link["href"]).query)["body"][0]
    )
    cards = {path.name for path in (site / found.CARDS).iterdir()}
    assert cards == {"book.png", "01-a-chapter.png"}


def test_the_map_lists_every_page(site):
    places = [
        tag.text for tag in ET.parse(site / "sitemap.xml").getroot().iter() if "loc" in tag.tag
    ]
    assert places == [
        f"{WHOLE.address}{page}.html" for page in ("book/index", "notebooks/01-a-chapter")
    ]


def test_a_report_takes_the_section_along(site, browser):
    from tools import audit

    with audit.served(site) as address, audit.in_theme(browser, "light") as context:
        page, problems = audit.visit(context, f"{address}/notebooks/01-a-chapter.html")
        page.evaluate(
            """() => {
                document.querySelector('article').insertAdjacentHTML('afterbegin',
                    '<section id="it"><h2>The part</h2></section>');
                addEventListener('click', event => event.preventDefault());
                document.querySelector('[data-feedback]').click();
            }"""
        )
        href = page.locator("[data-feedback]").get_attribute("href")
    assert not problems
    assert "Section: The part (#it)" in parse_qs(urlsplit(href).query)["body"][0]
