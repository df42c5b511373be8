"""Pages that load quickly and hold still: no second set of icons, and images whose size is known.

Icons: the theme draws them with a style sheet and a font, and then again with a script of 1.5 MB.
The script goes, and so do the orders to load the fonts of which no icon is used.

Tables: a browser draws the rows that have arrived, and moves their columns as wider ones come. It
is asked to wait for the first table, if that is what the page begins with.

Images: a browser leaves room for an image before it has loaded it only if the page says its size.
"""

import re
from pathlib import Path
from urllib.parse import unquote

from sphinx.util.images import get_image_size

ICON_SCRIPT = re.compile(r'<script src="[^"]*/fontawesome/[^"]*"></script>\n?')
ICON_FONT = re.compile(r'<link rel="preload" [^>]*/fa-(?:brands|regular)-[^>]*>\n?')
IMAGE = re.compile(r'<img (?![^>]*\b(?:width|height)=)(?=[^>]*\bsrc="([^":]+\.png)")')
# the start of an article to the end of its first table
TABLE = re.compile(r'<article class="bd-article".*?</table>', flags=re.DOTALL)
FIRST_WINDOW = 10_000  # characters of HTML before a table that a first window may show
WAIT = '<link rel="expect" href="#first-table-read" blocking="render" />'


def size_of(path):
    """Width and height of a PNG."""
    size = get_image_size(path)
    if size is None:
        raise ValueError(f"{path.name} is no PNG")
    return size


def mend(html, folder):
    """A page without what it does not need, and with the sizes of its images."""

    def with_size(match):
        width, height = size_of(folder / unquote(match[1]))
        return f'<img width="{width}" height="{height}" '

    table = TABLE.search(html)
    if table and table[0].rindex("<table") < FIRST_WINDOW and WAIT not in html:
        end = table.end()
        html = f'{html[:end]}<span id="first-table-read" hidden></span>{html[end:]}'
        html = html.replace("</title>", f"</title>\n    {WAIT}", 1)
    return IMAGE.sub(with_size, ICON_FONT.sub("", ICON_SCRIPT.sub("", html)))


def mend_pages(app, exception):
    """Mend every page of a site that was built."""
    if exception is None and app.builder.format == "html":
        for path in Path(app.outdir).rglob("*.html"):
            if "_static" not in path.parts:
                text = path.read_text(encoding="utf-8")
                path.write_text(mend(text, path.parent), encoding="utf-8")


def setup(app):
    app.connect("build-finished", mend_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
