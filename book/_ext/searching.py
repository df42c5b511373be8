"""The search takes any word for a word, and marks it in the page that was found alone.

Sphinx looks words up in plain objects: `constructor` finds their constructor, and `__proto__` in
the index replaces what they inherit. Here the index is written as text that is parsed, which gives
every key to its object, and the maps in it inherit nothing. From a site on disk, results come
without the beginnings of their pages, which no browser lets it read.

Sphinx keeps the words that were searched until some page, whichever, is opened; here they go with
the link. They are marked in the text, and the button that takes the marks off works (`book.js`).
"""

import json
from pathlib import Path

from sphinx.errors import ExtensionError

# what Sphinx ships, and what takes its place
REPLACED = {
    "searchtools.js": (
        (
            "    Search._index = index;\n",
            "    for (const [name, map] of Object.entries(index))\n"
            "      if (!Array.isArray(map) && map instanceof Object)\n"
            "        index[name] = Object.assign(Object.create(null), map);\n"
            "    Search._index = index;\n",
        ),
        ("!terms.hasOwnProperty(word)", "!(word in terms)"),
        ("!titleTerms.hasOwnProperty(word)", "!(word in titleTerms)"),
        ("scoreMap.set(file, {})", "scoreMap.set(file, Object.create(null))"),
        # from a file no other can be read, and every result would end in an error
        (
            "else if (showSearchSummary)",
            'else if (showSearchSummary && location.protocol !== "file:")',
        ),
        # a formula once, no controls, and no code that is folded
        (
            '[".headerlink", "script", "style"]',
            '[".headerlink", "script", "style", "annotation", ".live", "details.hide"]',
        ),
        # what is to be marked goes with the link to a page that was found, and to no other
        (
            "linkEl.href = linkUrl + anchor;",
            "linkEl.href = `${linkUrl}?highlight=${encodeURIComponent("
            '[...highlightTerms].join(" "))}${anchor}`;',
        ),
        (
            'localStorage.setItem("sphinx_highlight_terms", [...highlightTerms].join(" "))',
            'localStorage.removeItem("sphinx_highlight_terms")',
        ),
    ),
    "sphinx_highlight.js": (
        (
            'localStorage.getItem("sphinx_highlight_terms")\n        || url.searchParams',
            "url.searchParams",
        ),
        # marks in the text alone, and in no formula; their removal is no script in an address
        ('document.querySelectorAll("div.body")', 'document.querySelectorAll(".bd-article")'),
        (
            '"button, select, textarea"',
            '"button, select, textarea, mjx-container, .live, details.hide"',
        ),
        ('"javascript:SphinxHighlight.hideSearchWords()"', '"#" role="button" data-unmark'),
    ),
}


class ParsedIndex:
    """How Sphinx writes the index, and reads it again."""

    BEFORE, AFTER = "Search.setIndex(JSON.parse(", "))"

    def dump(self, data, file):
        text = json.dumps(data, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        quoted = text.replace("\\", "\\\\").replace("'", "\\'")
        file.write(f"{self.BEFORE}'{quoted}'{self.AFTER}")

    def load(self, file):
        text = file.read().removeprefix(self.BEFORE).removesuffix(self.AFTER)
        return json.loads(text[1:-1].replace("\\'", "'").replace("\\\\", "\\"))


def mended(name, script):
    """One of Sphinx's scripts, mended.

    Raises
    ------
    ExtensionError
        If it is not the script that is known.
    """
    for old, new in REPLACED[name]:
        if script.count(old) != 1:
            raise ExtensionError(f"{name} has {script.count(old)} times, not once: {old.strip()}")
        script = script.replace(old, new)
    return script


def start(app):
    if app.builder.format == "html":
        app.builder.indexer_format = ParsedIndex()


def mend_scripts(app, exception):
    if exception is None and app.builder.format == "html":
        for name in REPLACED:
            path = Path(app.outdir, "_static", name)
            path.write_text(mended(name, path.read_text(encoding="utf-8")), encoding="utf-8")


def setup(app):
    app.connect("builder-inited", start)
    app.connect("build-finished", mend_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
