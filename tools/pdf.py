"""Print the site as one book, `_build/jepabook.pdf`: cover, contents with page numbers, every page.

The pages of the site are put one after the other, in the order of `_toc.yml`, and Chromium prints
them. It prints twice: the first time tells on which page each section begins, the second has
these numbers in the contents. Nothing is printed that does not fit the width of the paper.
"""

import copy
import html as htmllib
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from posixpath import normpath
from urllib.parse import unquote, urlsplit

import yaml
from bs4 import BeautifulSoup, Tag
from playwright.sync_api import sync_playwright
from pypdf import PdfReader

from jepabook import __version__
from tools import audit
from tools.book import BuildFailed, build_of, fingerprint, make_site
from tools.notebooks import ROOT

STYLE = Path(__file__).with_name("print.css")
# of the paper inside the margins of print.css, in CSS pixels: (210 - 36) mm and (297 - 39) mm
WIDTH, HEIGHT = 657, 975
SMALLEST = 0.6  # of its size that a formula or table may be shrunk to so that it fits
PRINTINGS = 4
# what only a screen can use; of a live picture the still image is left
SCREEN_ONLY = "a.headerlink, .toctree-wrapper, script, style, noscript, link, button, [hidden]"
TYPE = "text/html; charset=utf-8"
ABOUT = (
    "The results of Littwin et al., How JEPA Avoids Noisy Features: The Implicit Bias of Deep "
    "Linear Self Distillation Networks (NeurIPS 2024), checked and extended."
)
WHOLE = "mjx-container, img, tr, pre, figure"
FIT = """smallest => {
    const inline = one => getComputedStyle(one).display.startsWith('inline');
    // what share of its size a box may have: 1 if neither it nor anything in it sticks out
    const share = box => {
        const place = box.parentElement.closest('p, li, dd, td, div, section, article');
        const {left, right} = place.getBoundingClientRect();
        const inside = box.querySelectorAll('mjx-container, pre, img, td, th');
        const needed = [box, ...inside].map(one => {
            const edges = one.getBoundingClientRect();
            return Math.max(edges.right, inline(one) ? 0 : edges.left + one.scrollWidth - 1);
        });
        const start = box.getBoundingClientRect().left;
        return Math.min(1, (right + 0.5 - start) / (Math.max(...needed) - start));
    };
    let boxes = [...document.querySelectorAll('main table, main mjx-container, main pre')].filter(
        box => box.tagName === 'TABLE' || !box.closest('table')).map(box => ({box, size: 1}));
    for (let round = 0; round < 15; round++) {
        for (const one of boxes) one.share = share(one.box);
        boxes = boxes.filter(one => one.share < 1);
        for (const one of boxes) {
            const font = parseFloat(getComputedStyle(one.box).fontSize) / one.size;
            one.size = Math.max(smallest, one.size * Math.min(0.99, one.share));
            one.font = `${font * one.size}px`;
        }
        for (const one of boxes) one.box.style.setProperty('font-size', one.font, 'important');
    }
}"""
TOO_LARGE = """([width, height, whole]) => {
    const main = document.querySelector('main');
    const left = main.getBoundingClientRect().left;
    const blocks = 'p, li, dt, dd, td, th, pre, figcaption, mjx-container[display]';
    const told = [];
    for (const one of main.querySelectorAll('*')) {
        if (one.parentElement.closest('mjx-container') !== null) continue;
        const box = one.getBoundingClientRect();
        const what = () => `<${one.tagName.toLowerCase()}> in ${
            one.closest('article')?.id}: ${one.textContent.trim().slice(0, 60)}`;
        const right = Math.max(box.right, one.matches(blocks) ? box.left + one.scrollWidth - 1 : 0);
        if (right - left > width + 1) {
            told.push(`${Math.round(right - left - width)} px too wide: ${what()}`);
        } else if (one.matches(whole) && box.height > height) {
            told.push(`${Math.round(box.height)} px tall, more than a page: ${what()}`);
        } else if (getComputedStyle(one).overflowX !== 'visible'
                   && one.scrollWidth > one.clientWidth + 1) {
            told.push(`cut at its right edge: ${what()}`);
        }
    }
    return told;
}"""
GONE = """() => [...document.querySelectorAll('main a[href^="#"]')]
    .map(link => decodeURIComponent(link.hash.slice(1)))
    .filter((name, n, all) => !document.getElementById(name) && all.indexOf(name) === n)"""


@dataclass(frozen=True)
class Chapter:
    """One page of the site: its name in the book, its heading, its sections, and its article."""

    name: str
    title: str
    sections: tuple[tuple[str, str], ...]  # (anchor, heading)
    article: Tag


def _heading(tag):
    """The inside of a heading without its names; formulas stay TeX, which the contents set, too."""
    inside = copy.copy(tag)
    for named in inside.find_all(id=True):
        named.unwrap()
    return " ".join(inside.decode_contents().split())


def chapter(html, entry, names):
    """Read a page, with ids and links as they are in the book.

    Parameters
    ----------
    html : Path
        The folder of the site.
    entry : str
        The page's path in it, without its ending.
    names : dict
        The name in the book of every page that the book has, by its path with the ending.
    """
    soup = BeautifulSoup((html / f"{entry}.html").read_text(encoding="utf-8"), "html.parser")
    article, name = soup.select_one("article"), names[f"{entry}.html"]
    for live in article.select(".live:has(noscript)"):
        live.replace_with(*live.noscript.extract().contents)
    for tag in article.select(SCREEN_ONLY):
        tag.decompose()
    folder = PurePosixPath(entry).parent

    def target(address):
        """Where a relative address leads: a path in the site, and the anchor there."""
        parts = urlsplit(address)
        path = normpath(str(folder / unquote(parts.path))) if parts.path else f"{entry}.html"
        return path, unquote(parts.fragment)

    named = set()  # sphinx-proof gives a theorem's name to two elements
    for tag in article.find_all(id=True):
        if tag["id"] in named:
            del tag["id"]
        else:
            named.add(tag["id"])
            tag["id"] = f"{name}--{tag['id']}"
    for heading in article.find_all(["h1", "h2", "h3", "h4"]):
        _take_names(heading)
    for tag in article.find_all(["img", "source"], src=True):
        if not urlsplit(tag["src"]).scheme:
            tag["src"] = "/" + target(tag["src"])[0]
    for tag in article.find_all("a", href=True):
        if urlsplit(tag["href"]).scheme:
            continue
        path, anchor = target(tag["href"])
        if path in names:
            settings = "=" in anchor  # of a live picture
            tag["href"] = f"#{names[path]}" + (f"--{anchor}" if anchor and not settings else "")
        else:  # a file of the site, which the paper cannot hold
            tag.unwrap()
    article["id"] = name
    sections = tuple((one["id"], _heading(one)) for one in article.select("section > h2[id]"))
    return Chapter(name, _heading(article.find("h1")), sections, article)


def _take_names(heading):
    """Give a heading the names of its section.

    A section may begin at the foot of a page and its heading, which is kept with what follows, on
    the next one; links are to lead to the heading.
    """
    section = heading.parent
    for before in list(heading.find_previous_siblings("span", id=True)):
        heading.insert(0, before.extract())
    if section.name == "section" and section.get("id") and section.find(heading.name) is heading:
        heading["id"] = section["id"]
        del section["id"]


def _line(anchor, text):
    page = f'<span class="page" data-anchor="{htmllib.escape(anchor)}"></span>'
    return f'<div class="line"><a href="#{htmllib.escape(anchor)}">{text}</a>{page}</div>'


def contents(parts):
    """The contents, with room for the page numbers."""
    told = []
    for caption, chapters in parts:
        told.append(f'<p class="part">{htmllib.escape(caption)}</p>' if caption else "")
        told.append("<ol>")
        for one in chapters:
            lines = "".join(f"<li>{_line(*section)}</li>" for section in one.sections)
            inside = f'<ul class="sections">{lines}</ul>' if lines else ""
            told.append(f'<li class="chapter">{_line(one.name, one.title)}{inside}</li>')
        told.append("</ol>")
    return "\n".join(told)


def cover(title, about, below):
    """The first page."""
    lines = "".join(f"<div>{htmllib.escape(line)}</div>" for line in below)
    return (
        f'<div class="cover"><div class="title">{htmllib.escape(title)}</div>'
        f'<div class="about">{htmllib.escape(about)}</div><div class="below">{lines}</div></div>'
    )


def _head(html, entry):
    """The style sheets of the site, that of its formulas among them."""
    soup = BeautifulSoup((html / f"{entry}.html").read_text(encoding="utf-8"), "html.parser")
    base = PurePosixPath(entry).parent
    kept = soup.head.find_all("link", rel="stylesheet")
    for tag in kept:
        tag["href"] = "/" + normpath(str(base / urlsplit(tag["href"]).path))
    return "\n".join(map(str, kept))


def whole(html, toc, title, about, below):
    """The whole book as one HTML page."""
    entries = [("", [toc["root"]])]
    for part in toc["parts"]:
        entries.append((part.get("caption", ""), [one["file"] for one in part["chapters"]]))
    names = {f"{e}.html": PurePosixPath(e).name for _, group in entries for e in group}
    if len(set(names.values())) < len(names):
        raise ValueError(f"pages must have different names, got {sorted(names)}")
    parts = [(caption, [chapter(html, e, names) for e in group]) for caption, group in entries]
    heads = [_running_head(one) for _, chapters in parts for one in chapters]
    articles = "\n".join(str(one.article) for _, chapters in parts for one in chapters)
    style = "\n".join([STYLE.read_text(encoding="utf-8"), *heads])
    return f"""<!doctype html>
<html lang="en" data-theme="light" data-mode="light"><head><meta charset="utf-8">
<title>{htmllib.escape(title)}</title>
{_head(html, toc["root"])}
<style>{style}</style></head>
<body><main>
{cover(title, about, below)}
<article class="bd-article contents" id="contents"><h1>Contents</h1>{contents(parts)}</article>
{articles}
</main></body></html>"""


def _running_head(one):
    """The style that writes a chapter's title above its pages."""
    title = BeautifulSoup(one.title, "html.parser").get_text()
    quoted = title.replace("\\", "\\\\").replace('"', '\\"')
    box = f'@top-right {{ content: "{quoted}"; font: 8pt sans-serif; color: #4d5966; }}'
    # an identifier of CSS may not begin with a digit
    return f'@page p-{one.name} {{ {box} }}\n[id="{one.name}"] {{ page: p-{one.name}; }}'


def numbers(reader):
    """On which page, from 1, each target of a link inside a PDF lies."""
    return {
        name.removeprefix("/"): reader.get_destination_page_number(place) + 1
        for name, place in reader.named_destinations.items()
    }


def typeset(browser, address, book):
    """Open the book as it will be printed, with what is too wide shrunk.

    Raises
    ------
    BuildFailed
        If something asks for what the site does not have, or does not fit the paper.
    """
    page, problems = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}), []
    page.set_default_timeout(600_000)
    page.emulate_media(media="print", color_scheme="light", reduced_motion="reduce")
    page.on("pageerror", lambda error: problems.append(f"script error: {error}"))
    page.on("requestfailed", lambda sent: problems.append(f"failed request: {sent.url}"))
    page.on(
        "response",
        lambda got: got.status >= 400 and problems.append(f"status {got.status}: {got.url}"),
    )
    page.route(f"{address}/book.html", lambda route: route.fulfill(body=book, content_type=TYPE))
    page.goto(f"{address}/book.html", wait_until="networkidle")
    page.evaluate("document.fonts.ready.then(() => true)")
    page.evaluate(FIT, SMALLEST)
    problems += audit.formulas(page) + page.evaluate(TOO_LARGE, [WIDTH, HEIGHT, WHOLE])
    if gone := page.evaluate(GONE):
        problems.append(f"links lead nowhere: {', '.join(gone)}")
    if problems:
        raise BuildFailed("\n".join(problems))
    return page


def print_book(browser, address, book, out):
    """Print until the contents say where everything is; give the number of pages.

    Parameters
    ----------
    browser : Browser
    address : str
        Of the site, served.
    book : str
        The book as one page, see `whole`.
    out : Path
        The PDF.
    """
    page = typeset(browser, address, book)
    anchors = page.locator(".contents .page").evaluate_all("all => all.map(a => a.dataset.anchor)")
    known = {}
    for _ in range(PRINTINGS):
        page.pdf(
            path=out, prefer_css_page_size=True, print_background=True, outline=True, tagged=True
        )
        reader = PdfReader(out)
        found = numbers(reader)
        if all(found[anchor] == known.get(anchor) for anchor in anchors):
            page.close()
            return len(reader.pages)
        known = found
        page.evaluate(
            """known => document.querySelectorAll('.contents .page').forEach(
                page => { page.textContent = known[page.dataset.anchor]; })""",
            known,
        )
    raise BuildFailed(f"page numbers still change after {PRINTINGS} printings")


def present_site(root):
    """The folder of the site of the present sources, which is built if it is not there."""
    about = build_of(root)
    if about is None or about["sources"] != fingerprint(root):
        make_site(root, execute=False, jobs=1)
    return root / "_build" / "html"


def print_whole(html, page, out):
    """Print a page that stands in a site's folder, and say how long it is; whole or not at all."""
    started = time.perf_counter()
    out.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder, audit.served(html) as address:
        draft = Path(folder) / out.name
        with sync_playwright() as playwright:
            browser = audit.launch(playwright)
            try:
                pages = print_book(browser, address, page, draft)
            finally:
                browser.close()
        out.write_bytes(draft.read_bytes())
    print(f"{pages} pages in {time.perf_counter() - started:.0f} s:\n  {out}")


def make_pdf(root):
    """Print the site of the present sources as one book."""
    html, out = present_site(root), root / "_build" / "jepabook.pdf"
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    below = [
        f"{config['author']}, {config['copyright']}",
        f"Edition {__version__}. Text and figures: CC BY 4.0. Code: MIT.",
        config["repository"]["url"],
    ]
    book = whole(html, toc, config["title"], ABOUT, [line for line in below if line])
    print("printing the book", flush=True)
    print_whole(html, book, out)
    return out


def main():
    try:
        make_pdf(ROOT)
    except (BuildFailed, FileNotFoundError) as error:
        print(f"\nno PDF was made:\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
