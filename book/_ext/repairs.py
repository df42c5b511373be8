"""Small repairs that the book needs of its builders.

Links: `[text](other.ipynb#name)` reaches every target of the other page. MyST looks among the slugs
of that page's headings only; this adds its explicit targets, rows of a table, equations and
theorems among them, so that a link has one form, which works on the site and in JupyterLab alike.

Markup: docutils calls the bibliography a list without calling its entries items, which screen
readers cannot follow; sphinx-proof and sphinx-exercise give one id to every proof of a page and to
the inside of every box.

Punctuation: a browser may begin a line with the comma that follows a formula, and end one with the
bracket before it; here they are kept together, and so are numbers and their units, and a symbol and
the sign of equality after it.

Figures: each opens alone, as large as it was drawn. Small on a phone, its labels are read there.

Titles: the theme writes the book's title behind that of every page, also behind itself.
sphinx-exercise takes the space before a link into it.

Launch buttons: the theme stops with an error where they are asked for and no repository is named,
and warns where Colab is asked for and the repository is not on GitHub; this takes them off instead.
It knows one branch for all buttons; this leads Colab to the one with the copies of tools/colab.py.
"""

import re
from pathlib import Path

from docutils.nodes import (
    Element,
    Text,
    inline,
    literal,
    literal_block,
    math,
    math_block,
    raw,
    reference,
)

from tools import colab

OPENING = re.compile(r"[(\[‘“]+$")
CLOSING = re.compile(r"^[,.;:!?)\]’]+")
UNIT = re.compile(r"(?:(?<=\d)|(?<=^)) (?=(?:%|[kMG]B\b))")
# after a word or a symbol, before what it is compared with
COMPARED = re.compile(r"(?<=\S) (?=[=<>≈≠≤≥∝] )")
RELATION = re.compile(
    r"\s*(?:[=<>]|\\(?:le|ge|ll|gg|ne|neq|leq|geq|approx|sim|to|in|propto|equiv)\b)"
)
LINKED_SPACE = re.compile(r"(<a [^>]*>)(\s+)")
FIGURE = re.compile(r"(<figure[^>]*>\s*)(<img [^>]*\bsrc=\"([^\"]+)\"[^>]*>)")
LIST_ROLE = re.compile(r'(?<=<div) role="list"(?= class="citation-list">)')
SHARED_ID = re.compile(r' id="(?:proof|proof-content|exercise-content|solution-content)"')


def note_targets(app, doctree):
    """Add every id and explicit name of a page to the slugs that MyST looks among."""
    slugs = app.env.metadata[app.env.docname].setdefault("myst_slugs", {})
    names = {name: target for name, target in doctree.nameids.items() if target}
    ids = {target: target for node in doctree.findall(Element) for target in node["ids"]}
    for name, target in (names | ids).items():
        slugs.setdefault(name, (0, target, name))


def _found(pattern, node):
    """The match in a text; None in anything else."""
    return pattern.search(node) if isinstance(node, Text) else None


def _ends_in_formula(node):
    """Whether the last thing in a link, or in what is emphasised, is a formula."""
    while isinstance(node, (inline, reference)) and len(node):
        node = node[-1]
    return isinstance(node, math)


def keep_relations(app, doctree, docname):
    """Wrap a formula that begins with a relation with the linked formula right before it."""
    for formula in list(doctree.findall(math)):
        place = formula.parent
        at = place.index(formula)
        if at and RELATION.match(formula.astext()) and _ends_in_formula(place[at - 1]):
            before = place[at - 1]
            place[at - 1 : at + 1] = [inline("", "", before, formula, classes=["unbroken"])]


def keep_punctuation(app, doctree, docname):
    """Wrap a formula, with the link that it ends, and the punctuation on both sides."""
    for formula in list(doctree.findall(math)):
        whole, alone = formula, True
        while isinstance(whole.parent, (inline, reference)) and whole.parent[-1] is whole:
            whole = whole.parent
            alone = alone and len(whole) == 1
        place = whole.parent
        at = place.index(whole)
        before = place[at - 1] if at and alone else None
        after = place[at + 1] if at + 1 < len(place) else None
        opening, closing = _found(OPENING, before), _found(CLOSING, after)
        if opening or closing:
            first, last = (Text(mark[0] if mark else "") for mark in (opening, closing))
            kept = inline("", "", first, whole, last, classes=["unbroken"])
            if opening:
                place[at - 1] = Text(before[: opening.start()])
            if closing:
                place[at + 1] = Text(after[closing.end() :])
            place[at] = kept


def keep_spaces(app, doctree, docname):
    """Put a no-break space before a unit, and before a sign that compares."""
    for text in list(doctree.findall(Text)):
        kept = COMPARED.sub("\N{NO-BREAK SPACE}", UNIT.sub("\N{NO-BREAK SPACE}", text))
        code = (literal, literal_block, math, math_block, raw)
        if kept != text and not isinstance(text.parent, code):
            text.parent.replace(text, Text(kept))


def mend_markup(app, pagename, templatename, context, doctree):
    """Take off the role of a list of citations, ids that a page has twice, spaces in links.

    And link every figure to its image.
    """
    if "body" in context:
        body = SHARED_ID.sub("", LIST_ROLE.sub("", context["body"]))
        body = LINKED_SPACE.sub(r"\2\1", body)
        context["body"] = FIGURE.sub(r'\1<a class="figure-large" href="\3">\2</a>', body)


def mend_title(app, exception):
    """Have the landing page's title say the book's once."""
    path = Path(app.outdir, f"{app.config.root_doc}.html")
    if exception is None and app.builder.format == "html":
        text = path.read_text(encoding="utf-8")
        path.write_text(re.sub(r"<title>(.+) &#8212; \1<", r"<title>\1<", text), encoding="utf-8")


def launch_from_a_repository(app, config):
    """Keep the launch buttons only if there is a repository to launch from, Colab's on GitHub."""
    url = config.html_theme_options.get("repository_url")
    if not url:
        config.html_theme_options.pop("launch_buttons", None)
    elif not url.startswith("https://github.com/"):
        config.html_theme_options.get("launch_buttons", {}).pop("colab_url", None)


def open_copies_in_colab(app, pagename, templatename, context, doctree):
    """Change the branch in the address of Colab's button."""
    branch = app.config.html_theme_options.get("repository_branch")
    for group in context.get("header_buttons", ()):
        for button in group.get("buttons", ()):
            if button["text"] == "Colab":
                button["url"] = button["url"].replace(
                    f"/blob/{branch}/", f"/blob/{colab.BRANCH}/", 1
                )


def setup(app):
    app.connect("config-inited", launch_from_a_repository)
    app.connect("doctree-read", note_targets)
    app.connect("doctree-resolved", keep_relations)
    app.connect("doctree-resolved", keep_punctuation)
    app.connect("doctree-resolved", keep_spaces)
    app.connect("html-page-context", mend_markup)
    app.connect("build-finished", mend_title)
    app.connect("html-page-context", open_copies_in_colab, priority=502)  # the theme's have 501
    return {"parallel_read_safe": True, "parallel_write_safe": True}
