"""The directive `live`: a picture that the reader sets in motion, computed in the browser.

`{live} race` puts the panel `book/live/race.html` into the page, with the scripts of its name in
`book/_static/live`. Where scripts are off, and in the printed book, a still image stands instead,
with its text: `:still: 01-two-ways-to-predict fig-two-orders` takes it from the outputs of that
notebook. Words below the directive are told beside the image.

`book/live/links.yml` names the figures of chapters that a live picture can show: each gets a link
to it, with the figure's numbers.
"""

from html import escape
from pathlib import Path
from typing import ClassVar

import yaml
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from tools.landing_figure import figure_with_text

FOLDER = "book/live"
LINKS = "links.yml"
SHARED = ("numbers", "theory", "courses", "plot", "controls")
MORE = {  # what some pictures need besides
    "curve": ("features", "losses"),
    "explorer": ("features",),
    "film": ("network",),
    "masks": ("network",),
    "train": ("features", "network"),
}
STILLS = "live/stills"
NOTEBOOKS = "notebooks"


def to_static(docname):
    """The way from a page to the folder of static files."""
    return "../" * docname.count("/") + "_static"


class Live(SphinxDirective):
    """`{live} NAME`, with the notebook and the figure of its still image."""

    required_arguments = 1
    option_spec: ClassVar = {"still": directives.unchanged_required}
    has_content = True

    def run(self):
        (name,) = self.arguments
        panel = Path(self.env.srcdir, FOLDER, f"{name}.html")
        if not panel.is_file():
            raise self.error(f"live: {FOLDER}/{name}.html is missing")
        if getattr(self.env, "live_pages", {}).get(self.env.docname):
            raise self.error("live: the address of a page holds the settings of one picture only")
        if len(still := self.options.get("still", "").split()) != 2:
            raise self.error("live: still must be a notebook and the name of a figure in it")
        try:
            path = Path(self.env.srcdir, NOTEBOOKS, f"{still[0]}.ipynb")
            image, text = figure_with_text(path, still[1])
        except (LookupError, OSError) as problem:
            raise self.error(f"live: {problem}") from None
        self.env.note_dependency(str(panel))
        self.env.note_dependency(str(path))
        self.env.live_pages = getattr(self.env, "live_pages", {}) | {self.env.docname: name}
        file = Path(self.env.app.outdir, "_static", STILLS, f"{name}.png")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(image)
        static = to_static(self.env.docname)
        instead = f'<img src="{static}/{STILLS}/{name}.png" alt="{escape(text)}" />'
        told = " ".join([*self.content, "The picture moves on the site, where scripts run."])
        scripts = "".join(
            f'<script src="{static}/live/{script}.js"></script>\n'
            for script in (*SHARED, *MORE.get(name, ()), name)
        )
        markup = (
            f'<div class="live" id="live-{name}">\n'
            f"<noscript><figure>{instead}<figcaption><p>{escape(told)}</p></figcaption>"
            "</figure></noscript>\n"
            f'<div class="live-desk">\n{panel.read_text(encoding="utf-8")}</div>\n{scripts}</div>\n'
        )
        return [nodes.raw("", markup, format="html")]


def dress(app, pagename, templatename, context, doctree):
    """Load the style sheet of live pictures in the pages that have one."""
    if getattr(app.env, "live_pages", {}).get(pagename):
        app.add_css_file("live/live.css")


def forget(app, env, docname):
    """A page is read anew."""
    getattr(env, "live_pages", {}).pop(docname, None)


def read_links(app):
    """The figures that have a live picture, once a build: name of the figure, page, settings."""
    path = Path(app.srcdir, FOLDER, LINKS)
    app.live_links = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    app.live_linked = set()


def link_figures(app, doctree, docname):
    """Put the link behind the caption of every figure that has one."""
    for figure in doctree.findall(nodes.figure):
        name = next((name for name in figure["names"] if name in app.live_links), None)
        captions = list(figure.findall(nodes.caption))
        if name is None or not captions or not docname.startswith(NOTEBOOKS):
            continue
        page, _, settings = app.live_links[name].partition("#")
        address = f"{app.builder.get_relative_uri(docname, page)}#{settings}"
        link = nodes.reference("", "live", refuri=address, internal=True, classes=["live-link"])
        captions[0] += [nodes.Text(" "), link]
        app.live_linked.add(name)


def check_links(app, exception):
    """Every figure that is to have a link was found.

    Raises
    ------
    ExtensionError
        If one was not.
    """
    missing = sorted(set(app.live_links) - app.live_linked)
    if exception is None and app.builder.format == "html" and missing:
        raise ExtensionError(f"{FOLDER}/{LINKS} names figures that no chapter has: {missing}")


def setup(app):
    app.add_directive("live", Live)
    app.connect("builder-inited", read_links)
    app.connect("env-purge-doc", forget)
    app.connect("doctree-resolved", link_figures)
    app.connect("html-page-context", dress)
    app.connect("build-finished", check_links)
    return {"parallel_read_safe": False, "parallel_write_safe": False}
