"""On every page, "Something wrong here?": a link to a new issue with page and version filled in.

`book.js` adds the section that the reader is in. While `_config.yml` names no repository, or one
that is not on GitHub, whose form this fills in, there is no link.
"""

from html import escape
from pathlib import Path
from urllib.parse import urlencode

from tools import provenance

SECTION = "Section: "
BODY = (
    "Page: {page}\n" + SECTION + "\nEdition: {edition}\n\nWhat is wrong, and how do you know?\n\n"
)


def address(repository, title, page, edition):
    """Where a new issue on a page is written."""
    body = BODY.format(page=page, edition=edition)
    return f"{repository.rstrip('/')}/issues/new?{urlencode({'title': f'{title}: ', 'body': body})}"


def note_edition(app):
    app.told_edition = provenance.words(
        provenance.commit_of(Path(app.srcdir)), provenance.versions()
    )


def add_link(app, pagename, templatename, context, doctree):
    """Put the link below the text."""
    repository = app.config.html_theme_options.get("repository_url") or ""
    if not repository.startswith("https://github.com/") or doctree is None:
        return
    page = f"{app.told_book.address}{pagename}.html"
    title = app.env.titles[pagename].astext()
    to = escape(address(repository, title, page, app.told_edition))
    link = f'<p class="feedback"><a data-feedback href="{to}">Something wrong here?</a></p>'
    context["theme_extra_footer"] = f"{link}\n{context.get('theme_extra_footer') or ''}"


def setup(app):
    app.setup_extension("found")
    app.connect("builder-inited", note_edition)
    app.connect("html-page-context", add_link, priority=600)  # above the imprint
    return {"parallel_read_safe": True, "parallel_write_safe": True}
