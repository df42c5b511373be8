"""Formulas are set when the site is built: a page arrives with them, and loads no MathJax.

MathJax runs here, in an interpreter that comes with a Python package, and makes the same markup
that it would make in the reader's browser. The markup holds the size of every sign, so that
nothing moves while a page loads, even before its fonts are there. A formula that MathJax rejects
is a warning, which stops a build.

`typeset.js` is the half of this that MathJax is told.
"""

import importlib.util
import re
import shutil
from base64 import b64encode
from html import unescape
from pathlib import Path

import dukpy
from docutils import nodes
from sphinx.ext import mathjax
from sphinx.util import logging

COMPONENTS = (
    "loader.js",
    "core.js",
    "input/tex-full.js",
    "output/chtml.js",
    "output/chtml/fonts/tex.js",
    "adaptors/liteDOM.js",
)
FONTS = "output/chtml/fonts/woff-v2"
LINE = "MathJax_Zero.woff"
FIRST = ("MathJax_Main-Regular.woff", "MathJax_Math-Italic.woff")  # most signs are of these
# every sign stands on the line of this font, which has no signs: made here it is there at once,
# where one that is loaded would come after the first lines are laid out, and move them
LINE_SCRIPT = """document.fonts.add(
  new FontFace("MJXLINE", Uint8Array.from(atob("{}"), (c) => c.charCodeAt())),
);
"""
SHEET, SCRIPT = "formulas.css", "formulas.js"
DELIMITED = re.compile(r"\\\((.*)\\\)|\\\[(.*)\\\]", flags=re.DOTALL)
BARE = re.compile(r"(?<=>)\s*(\\begin\{.*\})\s*(?=</div>)", flags=re.DOTALL)
# as tall as the text around it, whatever its font: MathJax's own letters are 0.442 em tall
SIZE = """
mjx-container[jax="CHTML"] { font-size: calc(1ex / 0.442); position: relative; }
mjx-assistive-mml {
  position: absolute !important;
  top: 0;
  left: 0;
  width: 1px !important;
  height: 1px !important;
  overflow: hidden !important;
  clip-path: inset(50%);
  content-visibility: auto;
  user-select: none;
}
@media print { mjx-assistive-mml { display: none; } }
"""
# a link with nothing but a formula in it: screen readers and axe take no name from MathML
NAMELESS = re.compile(
    r"<a (?=[^>]*>(?:<span[^>]*>)*<mjx-container\b(?:(?!</a>).)*?<mrow>(?P<name>(?:(?!</a>).)*?)"
    r"</mrow><annotation(?:(?!</a>).)*</mjx-container>(?:</span>)*</a>)",
    flags=re.DOTALL,
)
logger = logging.getLogger(__name__)


class Rejected(ValueError):
    """MathJax does not understand a formula."""


class Typesetter:
    """MathJax, and what it has set so far."""

    def __init__(self):
        spec = importlib.util.find_spec("sphinx-mathjax-offline")
        self.mathjax = Path(spec.origin).parent / "static" / "mathjax"
        self._js = dukpy.JSInterpreter()
        self._js.evaljs("var MathJax = {loader: {load: []}}, global = globalThis; 0")
        for path in [self.mathjax / name for name in COMPONENTS]:
            self._js.evaljs(f"{path.read_text(encoding='utf-8')}\n;0")
        ours = Path(__file__).with_name("typeset.js")
        self._js.evaljs(f"{ours.read_text(encoding='utf-8')}\n;0")
        self._known = {}

    def prepare(self, formulas):
        """Set formulas at once: a call into the interpreter takes longer than a formula."""
        new = list(dict.fromkeys(one for one in formulas if one not in self._known))
        if new:
            found = self._js.evaljs("dukpy.all.map((one) => typeset(...one))", all=new)
            self._known |= dict(zip(new, found, strict=True))

    def html(self, tex, display):
        """A formula, with its TeX and whether it stands on a line of its own, as HTML.

        Raises
        ------
        Rejected
            If MathJax finds an error in it.
        """
        self.prepare([(tex, display)])
        found = self._known[tex, display]
        if "error" in found:
            raise Rejected(f"{found['error']}, in the formula {tex.strip()}")
        return found["html"]

    def sheet(self):
        """The style sheet of all formulas that were set so far."""
        return self._js.evaljs("sheet()").replace("MJXZERO,", "MJXLINE, MJXZERO,") + SIZE

    def line_script(self):
        """What makes the font of the line before anything is laid out."""
        font = (self.mathjax / FONTS / LINE).read_bytes()
        return LINE_SCRIPT.format(b64encode(font).decode())


def with_formulas(visit):
    """A visitor of Sphinx for formulas, with the TeX that it writes set as HTML."""

    def inner(self, node):
        start = len(self.body)

        def set_formula(match):
            tex = unescape(next(filter(None, match.groups()), ""))
            try:
                return self.builder.app.typesetter.html(tex, not match[0].startswith(r"\("))
            except Rejected as error:
                logger.warning(str(error), location=node)
                return match[0]

        try:
            visit(self, node)
        finally:  # a visitor ends by raising SkipNode
            written = "".join(self.body[start:])
            pattern = BARE if node.get("nowrap") else DELIMITED
            self.body[start:] = [pattern.sub(set_formula, written)]

    return inner


def start(app):
    """One MathJax a build."""
    if app.builder.format == "html":
        app.typesetter = Typesetter()
        app.add_css_file(SHEET)


def prepare_page(app, doctree, docname):
    """Set the formulas that stand in the lines of a page at once."""
    if hasattr(app, "typesetter"):
        app.typesetter.prepare((node.astext(), False) for node in doctree.findall(nodes.math))


def named(link):
    """A link with the signs of its formula for a name."""
    return f'<a aria-label="{re.sub("<[^>]*>", "", link["name"])}" '


def finish_page(app, pagename, templatename, context, doctree):
    """Have a page with formulas load its fonts first, so that it is drawn once; name its links."""
    if "<mjx-c" in context.get("body", ""):
        context["body"] = NAMELESS.sub(named, context["body"])
        addresses = [context["pathto"](f"_static/formulas/{name}", 1) for name in FIRST]
        loads = "".join(
            f'<link rel="preload" as="font" type="font/woff" crossorigin href="{address}" />\n'
            for address in addresses
        )
        script = f'<script src="{context["pathto"](f"_static/{SCRIPT}", 1)}"></script>\n'
        context["metatags"] = context.get("metatags", "") + loads + script


def write_sheet(app, exception):
    """Write the style sheet of the formulas of all pages, the fonts that it names, their script."""
    if exception is None and hasattr(app, "typesetter"):
        static = Path(app.outdir, "_static")
        (static / SHEET).write_text(app.typesetter.sheet(), encoding="utf-8")
        (static / SCRIPT).write_text(app.typesetter.line_script(), encoding="utf-8")
        fonts = app.typesetter.mathjax / FONTS
        shutil.copytree(fonts, static / "formulas", dirs_exist_ok=True)


def setup(app):
    app.add_html_math_renderer(
        "typeset",
        (with_formulas(mathjax.html_visit_math), None),
        (with_formulas(mathjax.html_visit_displaymath), None),
    )
    app.connect("builder-inited", start)
    app.connect("doctree-resolved", prepare_page)
    app.connect("html-page-context", finish_page)
    app.connect("build-finished", write_sheet)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
