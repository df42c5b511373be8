"""The search takes any word for a word, also one that names what every JavaScript object has.

Sphinx looks words up in plain objects: `constructor` finds their constructor, and `__proto__` in
the index replaces what they inherit. Here the index is written as text that is parsed, which gives
every key to its object, and the maps in it inherit nothing. From a site on disk, results come
without the beginnings of their pages, which no browser lets it read.
"""

import json
from pathlib import Path

from sphinx.errors import ExtensionError

SCRIPT = "searchtools.js"
# what Sphinx ships, and what takes its place
REPLACED = (
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
    ("else if (showSearchSummary)", 'else if (showSearchSummary && location.protocol !== "file:")'),
)


class ParsedIndex:
    """How Sphinx writes the index, and reads it again."""

    BEFORE, AFTER = "Search.setIndex(JSON.parse(", "))"

    def dump(self, data, file) -> None:
        text = json.dumps(data, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        quoted = text.replace("\\", "\\\\").replace("'", "\\'")
        file.write(f"{self.BEFORE}'{quoted}'{self.AFTER}")

    def load(self, file) -> dict:
        text = file.read().removeprefix(self.BEFORE).removesuffix(self.AFTER)
        return json.loads(text[1:-1].replace("\\'", "'").replace("\\\\", "\\"))


def mended(script: str) -> str:
    """Sphinx's script with its maps mended.

    Raises
    ------
    ExtensionError
        If it is not the script that is known.
    """
    for old, new in REPLACED:
        if script.count(old) != 1:
            raise ExtensionError(f"{SCRIPT} has {script.count(old)} times, not once: {old.strip()}")
        script = script.replace(old, new)
    return script


def start(app) -> None:
    if app.builder.format == "html":
        app.builder.indexer_format = ParsedIndex()


def mend_script(app, exception) -> None:
    if exception is None and app.builder.format == "html":
        path = Path(app.outdir, "_static", SCRIPT)
        path.write_text(mended(path.read_text(encoding="utf-8")), encoding="utf-8")


def setup(app) -> dict:
    app.connect("builder-inited", start)
    app.connect("build-finished", mend_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
