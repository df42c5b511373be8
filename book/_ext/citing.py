"""The directive `citations`: BibTeX of the book, of the paper, of each chapter or of each finding.

`{citations} book` and its like make blocks that a click copies. Titles are read off the chapters
and the page "New here", all else comes from `tools/metadata.py`.
"""

import re
from pathlib import Path

from docutils import nodes
from docutils.nodes import make_id
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from tools import metadata, provenance
from tools.notebooks import read, toc_entries

FINDINGS = "book/new"
FINDING = re.compile(r"^## (\d+)\. (.+)$", re.MULTILINE)
CHAPTER = re.compile(r"notebooks/(\d\d)-")


def chapters(source):
    """Number, title and page of each chapter."""
    for entry in toc_entries(source):
        if match := CHAPTER.match(entry):
            first = read(source / f"{entry}.ipynb").cells[0].source
            yield int(match[1]), re.search(r"^# (.+)$", first, re.MULTILINE)[1], entry


def findings(source):
    """Number, title and anchor of each finding."""
    text = (source / f"{FINDINGS}.md").read_text(encoding="utf-8")
    for number, title in FINDING.findall(text):
        yield int(number), title, make_id(f"{number}. {title}")


def _block(entry, link=""):
    above = [f"**{link}**", ""] if link else []
    return [*above, "```bibtex", *entry.splitlines(), "```", ""]


def of_paper(source):
    """The paper's entry, as it stands in the bibliography."""
    text = (source / "book" / "references.bib").read_text(encoding="utf-8")
    return re.search(rf"^@\w+\{{{metadata.PAPER},.*?^\}}$", text, re.MULTILINE | re.DOTALL)[0]


def lines(what, source):
    """Markdown of the blocks."""
    book = metadata.read(config=source / "_config.yml")
    commit = provenance.commit_of(source)
    state = {"commit": commit, "day": commit.date if commit else ""}
    if what == "book":
        return _block(metadata.of_book(book, **state))
    if what == "paper":
        return _block(of_paper(source))
    told = []
    if what == "chapters":
        for number, title, page in chapters(source):
            entry = metadata.of_chapter(book, number, title, f"{page}.html", **state)
            told += _block(entry, f"[{number}. {title}](../{page}.ipynb)")
    if what == "findings":
        for number, title, anchor in findings(source):
            page = f"{FINDINGS}.html#{anchor}"
            entry = metadata.of_finding(book, number, title, page, **state)
            told += _block(entry, f"[{number}. {title}](new.md#{anchor})")
    return told


class Citations(SphinxDirective):
    """`{citations} WHAT`, which is `book`, `paper`, `chapters` or `findings`."""

    required_arguments = 1

    def run(self):
        if self.arguments[0] not in ("book", "paper", "chapters", "findings"):
            raise self.error(f"citations: {self.arguments[0]} is none of those that there are")
        told = lines(self.arguments[0], Path(self.env.srcdir))
        box = nodes.Element()
        self.state.nested_parse(StringList(told, source=self.env.docname), self.content_offset, box)
        return box.children


def setup(app):
    app.add_directive("citations", Citations)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
