"""The footer of every page says what it was made from: commit, date, versions.

On the page of a notebook also the recorded run time. The theme's own footer is used, so that no
template is overridden. Nothing here depends on when or where the site is built.
"""

from html import escape
from pathlib import Path

from tools import measured, provenance, status


def note_build(app):
    """Ask git and the installed packages once a build."""
    folder = Path(app.srcdir)
    app.imprint_words = provenance.words(provenance.commit_of(folder), provenance.versions())
    app.imprint_runs = measured.read(folder / status.FILE).get("notebooks", {})


def add_imprint(app, pagename, templatename, context, doctree):
    """Put the imprint under what the theme's footer says already."""
    lines = [app.imprint_words]
    notebook = Path(app.srcdir, f"{pagename}.ipynb")
    if notebook.is_file():
        entry = app.imprint_runs.get(notebook.stem)
        lines.insert(0, provenance.run_words(entry, measured.code_digest(notebook)))
    said = escape(" ".join(lines))
    before = context.get("theme_extra_footer") or ""
    context["theme_extra_footer"] = f'{before}\n<p class="imprint">{said}</p>'


def setup(app):
    app.connect("builder-inited", note_build)
    app.connect("html-page-context", add_imprint)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
