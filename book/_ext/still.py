"""Pages in which nothing acts: what extensions and the theme write into them becomes files.

So a page can carry a policy (`tools/policy.py`) under which a script that gets into its text, from
an output of a notebook say, is not run. A page that breaks it all the same stops the build.

Settings of extensions, and the theme's choice between light and dark before a page is drawn, are
moved into files as they are. Buttons that the theme has a script write are written here;
`book.css` hides them where no script runs, and `book.js` does what the one for printing does.
"""

import re
from pathlib import Path
from zlib import crc32

from sphinx.errors import ExtensionError

from tools import policy

# for the version switcher, which the book does not have; another on every page
PAGE_NAME = "DOCUMENTATION_OPTIONS.pagename"
SETTINGS = "settings.js"
MODE = "mode.js"
MODE_SCRIPT = re.compile(r'<script data-cfasync="false">(.*?)</script>', flags=re.DOTALL)
BUTTON_SCRIPT = re.compile(r"<script>\s*document\.write\(`([^`$\\]*)`\);\s*</script>")
PRINT = 'onclick="window.print()"'
# of no effect: the field that it finds is in a dialog that is closed
FOCUS_SCRIPT = re.compile(
    r"<script>\s*// Activate the search field on page load.*?</script>", flags=re.DOTALL
)
ROOT = re.compile(r'<html[^>]* data-content_root="([^"]*)"')
CHARSET = '<meta charset="utf-8" />'
TEMPLATES = ("webpack-macros.html", "sbt-webpack-macros.html")  # no pages: for the theme alone


def settle(app, name, text):
    """Write a script that is the same on all pages, once a build.

    Raises
    ------
    ExtensionError
        If it is not the same.
    """
    if app.settled.get(name) not in (None, text):
        raise ExtensionError(f"{name} differs from page to page:\n{app.settled[name]}\n{text}")
    if name not in app.settled:
        app.settled[name] = text
        Path(app.outdir, "_static", name).write_text(text, encoding="utf-8")


def take_settings(app, pagename, templatename, context, doctree):
    """Lead a page to the file with the scripts that extensions would write into it."""
    files = context["script_files"]
    bodies = [one.attributes["body"] for one in files if one.attributes.get("body")]
    files[:] = [one for one in files if not one.attributes.get("body")]
    kept = dict.fromkeys(body for body in bodies if not body.startswith(PAGE_NAME))
    settle(app, SETTINGS, "".join(f"{body}\n" for body in kept))
    app.add_js_file(SETTINGS, priority=0)


def still(app, html):
    """A page with its policy, and without what would break it."""
    if policy.META in html:  # of an earlier build
        return html
    html = FOCUS_SCRIPT.sub("", BUTTON_SCRIPT.sub(r"\1", html)).replace(PRINT, "data-print")
    root, script = ROOT.search(html), MODE_SCRIPT.search(html)
    if root and script:
        settle(app, MODE, script[1])
        address = f"{root[1]}_static/{MODE}?v={crc32(script[1].encode()):08x}"
        html = html.replace(script[0], f'<script src="{address}"></script>', 1)
    if CHARSET in html:  # not in the page that only leads to another
        return html.replace(CHARSET, f"{CHARSET}\n    {policy.META}", 1)
    return policy.META + html


def still_pages(app, exception):
    """Still every page of a site that was built.

    Raises
    ------
    ExtensionError
        If there is anything else in a page that acts.
    """
    if exception is not None or app.builder.format != "html":
        return
    for name in TEMPLATES:
        Path(app.outdir, "_static", name).unlink(missing_ok=True)
    problems = []
    for path in sorted(Path(app.outdir).rglob("*.html")):
        text = still(app, path.read_text(encoding="utf-8"))
        path.write_text(text, encoding="utf-8")
        problems += [f"{path.relative_to(app.outdir)}: {one}" for one in policy.breaches(text)]
    if problems:
        raise ExtensionError("\n".join(["pages that act by themselves:", *problems]))


def start(app):
    """Nothing is settled at the start of a build."""
    app.settled = {}


def setup(app):
    app.connect("builder-inited", start)
    app.connect("html-page-context", take_settings, priority=900)  # after the theme's
    app.connect("build-finished", still_pages, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
