"""What a notebook holds is text, tables, formulas and pictures: nothing that acts.

Stored outputs are shown by every page that a notebook becomes, here, on GitHub or in a reader's
JupyterLab, and few who read a change look into them. So what they may hold is listed, by type,
element and attribute, and all else is told, however it is spelled: a list of what is dangerous
would never be whole. `notebook` goes through a notebook; `html` and `markdown` read one text.
"""

import re
from base64 import b64decode
from functools import cache
from html import unescape
from html.parser import HTMLParser

import yaml
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

from jepabook.claims import pages
from tools.policy import LINK_SCHEMES, scheme
from tools.surroundings import ROOT

ELEMENTS = frozenset(
    "a abbr b blockquote br caption cite code col colgroup dd del dfn div dl dt em figcaption "
    "figure h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q s samp section small span strong "
    "sub sup table tbody td tfoot th thead tr tt u ul var".split()
)
# no ids or names: a script of the page may take such an element for a variable that it lacks
ATTRIBUTES = frozenset(
    "align alt border class colspan dir height lang reversed rowspan scope span start title valign "
    "width".split()
)
PICTURE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]*")
SIGNATURES = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}
# commands of MathJax and KaTeX that write attributes or addresses, or load what does
TEX = re.compile(
    r"\\(?:class|cssId|data|href|html(?:Class|Data|Id|Style)|includegraphics|require|style|url)"
    r"(?![A-Za-z])"
)
LITERAL = ("code", "code-block", "sourcecode")  # directives that show what is in them
# directives that take their inside from elsewhere, or in another language
UNREAD = ("csv-table", "eval-rst", "iframe", "include", "literalinclude", "parsed-literal", "raw")
PANEL = re.compile(r":file: \.\./book/[\w/-]+\.html")  # the book's own, reviewed as its pages are
DIRECTIVE = re.compile(r"\{([^}]*)\}\s*(.*)", flags=re.DOTALL)


class _Html(HTMLParser):
    """Collects what is not on the lists, and all that browsers might read in another way."""

    def __init__(self):
        super().__init__(convert_charrefs=False)
        self.found = []

    def handle_starttag(self, tag, attrs):
        raw = self.get_starttag_text()
        plain = "".join(
            f' {name}="{value}"' if value is not None else f" {name}" for name, value in attrs
        )
        # the same but for spaces, capitals, and the stroke that ends an empty element: what is
        # quoted otherwise, twice or not at all is where parsers differ
        read, written = (
            "".join(text.lower().split())
            for text in (f"<{tag}{plain}", unescape(raw).rstrip(">").rstrip().removesuffix("/"))
        )
        if tag not in ELEMENTS or read != written:
            self.found.append(raw)
        elif not all(_allowed(tag, name, value or "") for name, value in attrs):
            self.found.append(raw)

    def handle_endtag(self, tag):
        if tag not in ELEMENTS:
            self.found.append(f"</{tag}>")

    def handle_data(self, data):
        if "<" in data:
            self.found.append(data[data.index("<") :])

    def _refuse(self, data):
        self.found.append(f"<!{data}")

    handle_comment = handle_decl = handle_pi = unknown_decl = _refuse


def _allowed(tag, name, value):
    if name == "href":
        return tag == "a" and scheme(value) in LINK_SCHEMES
    if name == "src":
        inside = scheme(value) in ("", "attachment")
        return tag == "img" and (inside or PICTURE.fullmatch(value) is not None)
    return name in ATTRIBUTES


def html(text):
    """The parts of a piece of HTML that are not known to be passive."""
    reader = _Html()
    reader.feed(text)
    reader.close()
    return reader.found


def tex(text):
    """The commands in a formula that are not known to be passive."""
    return TEX.findall(text)


@cache
def _parsers():
    """Markdown as Jupyter reads it, and as the book does: in one a formula may hide a tag."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    extensions = set(config["parse"]["myst_enable_extensions"])
    myst = create_md_parser(MdParserConfig(enable_extensions=extensions), RendererHTML)
    jupyter = MarkdownIt("commonmark", {"html": True}).enable("table")
    for parser in (jupyter, myst):
        parser.validateLink = lambda address: True  # others may take for a link what these do not
    return jupyter, myst


def _walk(tokens):
    for token in tokens:
        yield token
        yield from _walk(token.children or [])


def _of_token(token):
    """What in one part of Markdown is not known to be passive."""
    kind, content = token.type, token.content
    if kind in ("html_block", "html_inline"):
        return html(content)
    if "math" in kind or kind == "myst_role":
        return tex(content)
    if kind in ("fence", "colon_fence"):
        return _directive(token.info.strip(), content)
    if kind == "front_matter" or kind.startswith("substitution"):  # may write any markup
        return [content]
    tag = {"link_open": "a", "image": "img", "span_open": "span"}.get(kind)
    given = {name: str(value) for name, value in token.attrs.items() if tag and name != "id"}
    return [f"{name}={value}" for name, value in given.items() if not _allowed(tag, name, value)]


def _directive(info, content):
    """What is in a fence, if it is not only shown."""
    match = DIRECTIVE.fullmatch(info)
    if not match or match[1] in LITERAL:
        return []
    name, argument = match.groups()
    if name == "raw" and PANEL.fullmatch(content.strip()):
        return []
    if name in UNREAD:
        return [f"{{{name}}} {argument}\n{content}"]
    if name == "math":
        return tex(content)
    if name in ("figure", "image"):
        argument = f"![]({argument})"
    return markdown(argument) + markdown(content)


def markdown(text):
    """The parts of a piece of Markdown that are not known to be passive."""
    tokens = (token for parser in _parsers() for token in _walk(parser.parse(text)))
    return list(dict.fromkeys(part for token in tokens for part in _of_token(token)))


def _picture(kind, data):
    """Whether data, in base 64, begin as a picture of that type does."""
    try:
        return b64decode(data, validate=False).startswith(SIGNATURES[kind])
    except (KeyError, ValueError):
        return False


def bundle(data):
    """What in an output, by MIME type, or in an attachment is not known to be passive."""
    read = {"text/html": html, "text/latex": tex, "text/markdown": markdown}
    found = []
    for kind, content in data.items():
        if kind in read:
            found += read[kind](content)
        elif kind not in ("text/plain", pages.JSON) and not _picture(kind, content):
            found.append(f"an output of type {kind}")
    return found


def notebook(one):
    """What a notebook holds, apart from its code, that is not known to be passive.

    A sentence for each cell and part; an empty list if all is well.
    """
    told = ["holds the states of widgets"] if "widgets" in one.metadata else []
    for index, cell in enumerate(one.cells):
        found = []
        if cell.cell_type == "markdown":
            found += markdown(cell.source)
        elif cell.cell_type == "raw":
            found.append("a raw cell")
        for picture in cell.get("attachments", {}).values():
            found += bundle(picture)
        for output in cell.get("outputs", ()):
            found += bundle(output.get("data", {}))
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        found += markdown(figure.get("caption", ""))
        told += [f"cell {index} holds what may act: {part[:200]!r}" for part in found]
    return told
