"""What search engines, reference managers and links to the book see of a page.

Every page has a description, its first sentences, and says how it is cited (`citation_*`) and what
a link to it shows (Open Graph). Where `_config.yml` has the address of the site (`html: baseurl`),
pages also have a canonical address and an image, a card with the chapter's title and first figure,
and the site a map, `sitemap.xml`. Cards are drawn then only: such images need a whole address.
"""

import base64
import io
import re
from html import escape
from pathlib import Path
from textwrap import wrap
from urllib.parse import quote
from xml.sax.saxutils import escape as escape_xml

from docutils import nodes

from tools import metadata, provenance
from tools.notebooks import read

CARDS = "_static/cards"
WIDTH, HEIGHT = 1200, 630  # of a card, in pixels
LANDING = Path("book/_static/two-orders.png")
LONGEST = 200  # characters of a description, about as many as are shown
GREEK = {r"\lambda": "λ", r"\rho": "ρ", r"\sigma": "σ", r"\epsilon": "ε", r"\omega": "ω"}
GREEK |= {r"\tau": "τ", r"\kappa": "κ", "^2": "²"}
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
ASIDE = (nodes.Admonition, nodes.figure, nodes.table, nodes.footnote, nodes.literal_block)


def _plain(paragraph):
    text = paragraph.astext()
    for name, sign in GREEK.items():
        text = text.replace(name, sign)
    return " ".join(text.split())


def description(doctree):
    """The first sentences of a page that need no formula, at most `LONGEST` characters."""
    told = ""
    for paragraph in doctree.findall(nodes.paragraph):
        place = paragraph.parent
        while place is not None and not isinstance(place, ASIDE):
            place = place.parent
        if place is not None:
            continue
        for sentence in SENTENCE.split(_plain(paragraph)):
            longer = f"{told} {sentence}".strip()
            if re.search(r"[\\{}^_$]", sentence) or sentence[-1:] not in ".!?":
                break
            if len(longer) > LONGEST:
                return told or f"{sentence[: LONGEST - 1].rsplit(' ', 1)[0]}…"
            told = longer
        if len(told) > LONGEST / 2:
            break
    return told


def number_of(pagename):
    """A chapter's number, from the name of its notebook; None for other pages."""
    match = re.match(r"notebooks/(\d\d)-", pagename)
    return int(match[1]) if match else None


def tags(book, pagename, title, about, root):
    """The names of tags with what they say, as pairs; several may have one name."""
    number, address = number_of(pagename), book.address and f"{book.address}{quote(pagename)}.html"
    cited = book.title if pagename == root else title
    yield "description", about
    yield "og:type", "website" if pagename == root else "article"
    yield "og:site_name", book.title
    yield "og:title", cited
    yield "og:description", about
    yield "citation_title", cited
    yield "citation_author", book.author
    yield "citation_publication_date", (book.date or book.year).replace("-", "/")
    yield "citation_language", "en"
    if pagename != root:
        yield "citation_inbook_title", book.title
    yield "citation_doi", book.doi
    if address:
        card = Path(pagename).name if number else "book"
        yield "og:url", address
        yield "og:image", f"{book.address}{CARDS}/{card}.png"
        yield "og:image:width", str(WIDTH)
        yield "og:image:height", str(HEIGHT)
        yield "og:image:alt", cited
        yield "twitter:card", "summary_large_image"
        yield "citation_fulltext_html_url", address


def written(pairs):
    """Tags of HTML; those without a text are left out."""
    lines = (
        f'<meta {"property" if name.startswith("og:") else "name"}="{name}" '
        f'content="{escape(text)}" />'
        for name, text in pairs
        if text
    )
    return "".join(f"\n    {line}" for line in lines)


def note_book(app):
    app.told_book = metadata.read(config=Path(app.srcdir) / "_config.yml")


def add_tags(app, pagename, templatename, context, doctree):
    """Put the tags of a page into its head."""
    if doctree is None:  # the search, say
        return
    title = app.env.titles[pagename].astext()
    found = tags(app.told_book, pagename, title, description(doctree), app.config.root_doc)
    context["metatags"] = context.get("metatags", "") + written(found)


def first_figure(path):
    """The first image that a notebook drew, as PNG; None if it drew none."""
    for cell in read(path).cells:
        for output in cell.get("outputs", ()):
            if image := output.get("data", {}).get("image/png"):
                return base64.b64decode(image)
    return None


def card(above, title, below, image):
    """A card, as PNG: three texts, and an image beside them."""
    # here: a site without an address draws nothing
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.image import imread

    figure = Figure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    figure.text(0.05, 0.86, above, size=20, color="#4d5966")
    lines = wrap(title, 20)
    size = 34 if len(lines) <= 5 else 26
    lines = lines if len(lines) <= 5 else wrap(title, 27)
    figure.text(0.05, 0.8, "\n".join(lines), size=size, va="top", weight="bold", color="#14181d")
    figure.text(0.05, 0.07, below, size=16, color="#4d5966")
    if image:
        place = figure.add_axes((0.53, 0.16, 0.43, 0.7))
        place.imshow(imread(io.BytesIO(image)), interpolation="lanczos")
        place.axis("off")
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=100)
    return out.getvalue()


def sitemap(book, pages, date):
    """The map of the site: every page, with the date of its sources."""
    when = f"<lastmod>{date}</lastmod>" if date else ""
    rows = (
        f"  <url><loc>{escape_xml(book.address + quote(page))}.html</loc>{when}</url>\n"
        for page in sorted(pages)
    )
    head = '<?xml version="1.0" encoding="utf-8"?>\n'
    head += '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
    return f"{head}{''.join(rows)}</urlset>\n"


def add_files(app, exception):
    """Draw the cards and write the map, where the site has an address."""
    if exception is not None or app.builder.format != "html" or not app.told_book.address:
        return
    book, source, out = app.told_book, Path(app.srcdir), Path(app.outdir)
    (out / CARDS).mkdir(parents=True, exist_ok=True)
    image = source / LANDING
    drawn = image.read_bytes() if image.is_file() else None
    (out / CARDS / "book.png").write_bytes(card("A Jupyter Book", book.title, book.author, drawn))
    for page in app.env.found_docs:
        if number := number_of(page):
            title = app.env.titles[page].astext()
            drawn = first_figure(source / f"{page}.ipynb")
            made = card(f"Chapter {number}", title, book.title, drawn)
            (out / CARDS / f"{Path(page).name}.png").write_bytes(made)
    commit = provenance.commit_of(source)
    text = sitemap(book, app.env.found_docs, commit.date if commit else "")
    (out / "sitemap.xml").write_text(text, encoding="utf-8")


def setup(app):
    app.connect("builder-inited", note_book)
    app.connect("html-page-context", add_tags)
    app.connect("build-finished", add_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
