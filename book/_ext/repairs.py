"""Four small repairs that the book needs of its builders.

Links: `[text](other.ipynb#name)` reaches every target of the other page. MyST looks among the slugs
of that page's headings only; this adds its explicit targets, rows of a table, equations and
theorems among them, so that a link has one form, which works on the site and in JupyterLab alike.

Markup: docutils calls the bibliography a list without calling its entries items, which screen
readers cannot follow; sphinx-proof and sphinx-exercise give one id to every proof of a page and to
the inside of every box.

Punctuation: a browser may begin a line with the comma that follows a formula, and end one with the
bracket before it; here they are kept together, and so are numbers and their units.

Launch buttons: the theme stops with an error where they are asked for and no repository is named,
and warns where Colab is asked for and the repository is not on GitHub; this takes them off instead.
It knows one branch for all buttons; this leads Colab to the one with the copies of tools/colab.py.
"""

import re

from docutils.nodes import Element, Text, inline, literal, literal_block, math, reference

from tools import colab

OPENING = re.compile(r"[(\[‘“]+$")
CLOSING = re.compile(r"^[,.;:!?)\]’]+")
UNIT = re.compile(r"(?:(?<=\d)|(?<=^)) (?=(?:%|[kMG]B\b))")
LIST_ROLE = re.compile(r'(?<=<div) role="list"(?= class="citation-list">)')
SHARED_ID = re.compile(r' id="(?:proof|proof-content|exercise-content|solution-content)"')


def note_targets(app, doctree) -> None:
    """Add every id and explicit name of a page to the slugs that MyST looks among."""
    slugs = app.env.metadata[app.env.docname].setdefault("myst_slugs", {})
    names = {name: target for name, target in doctree.nameids.items() if target}
    ids = {target: target for node in doctree.findall(Element) for target in node["ids"]}
    for name, target in (names | ids).items():
        slugs.setdefault(name, (0, target, name))


def _found(pattern, node):
    """The match in a text; None in anything else."""
    return pattern.search(node) if isinstance(node, Text) else None


def keep_punctuation(app, doctree, docname) -> None:
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


def keep_units(app, doctree, docname) -> None:
    """Put a no-break space between a number, or a formula, and a unit."""
    for text in list(doctree.findall(Text)):
        if UNIT.search(text) and not isinstance(text.parent, (literal, literal_block)):
            text.parent.replace(text, Text(UNIT.sub("\N{NO-BREAK SPACE}", text)))


def mend_markup(app, pagename, templatename, context, doctree) -> None:
    """Take off the role of a list of citations, and the ids that a page has more than once."""
    if "body" in context:
        context["body"] = SHARED_ID.sub("", LIST_ROLE.sub("", context["body"]))


def launch_from_a_repository(app, config) -> None:
    """Keep the launch buttons only if there is a repository to launch from, Colab's on GitHub."""
    url = config.html_theme_options.get("repository_url")
    if not url:
        config.html_theme_options.pop("launch_buttons", None)
    elif not url.startswith("https://github.com/"):
        config.html_theme_options.get("launch_buttons", {}).pop("colab_url", None)


def open_copies_in_colab(app, pagename, templatename, context, doctree) -> None:
    """Change the branch in the address of Colab's button."""
    branch = app.config.html_theme_options.get("repository_branch")
    for group in context.get("header_buttons", ()):
        for button in group.get("buttons", ()):
            if button["text"] == "Colab":
                button["url"] = button["url"].replace(
                    f"/blob/{branch}/", f"/blob/{colab.BRANCH}/", 1
                )


def setup(app) -> dict:
    app.connect("config-inited", launch_from_a_repository)
    app.connect("doctree-read", note_targets)
    app.connect("doctree-resolved", keep_punctuation)
    app.connect("doctree-resolved", keep_units)
    app.connect("html-page-context", mend_markup)
    app.connect("html-page-context", open_copies_in_colab, priority=502)  # the theme's have 501
    return {"parallel_read_safe": True, "parallel_write_safe": True}
