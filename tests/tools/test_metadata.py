"""What is said of the book elsewhere: made from one source, and nothing told that there is not."""

import json
import re
from dataclasses import replace

import pytest
import yaml
from pybtex.database import parse_string

from jepabook import __version__
from tools import metadata
from tools.notebooks import ROOT
from tools.provenance import Commit

BOOK, PAPER = metadata.read(), metadata.paper()
WHOLE = replace(
    BOOK,
    date="2027-02-03",
    repository="https://github.com/someone/the-book",
    address="https://book.test/jepa/",
    doi="10.5281/zenodo.7",
)
BARE = replace(BOOK, date="", repository="", address="", doi="")


@pytest.mark.parametrize("name", metadata.FILES)
def test_a_file_says_what_its_sources_say(name):
    told = (ROOT / name).read_text(encoding="utf-8")
    assert told == metadata.texts()[name], "run make metadata"


def test_the_facts_are_those_of_the_package_and_the_paper():
    assert BOOK.version == __version__ and BOOK.name == "jepabook"
    assert PAPER.doi == "10.48550/arXiv.2407.03475" and PAPER.authors[0] == ("Etai", "Littwin")
    assert len(PAPER.authors) == 7 and "{" not in PAPER.title


@pytest.mark.parametrize("make", metadata.FILES.values())
def test_what_is_there_is_told_and_what_is_not_leaves_no_trace(make):
    read = yaml.safe_load if make is metadata.cff else json.loads
    whole, bare = make(WHOLE, PAPER), make(BARE, PAPER)
    given = [WHOLE.date, WHOLE.repository, WHOLE.version, WHOLE.title, WHOLE.author]
    assert all(text in whole for text in [*given, WHOLE.address])
    assert (WHOLE.doi in whole) == (make is not metadata.zenodo)  # which gives a DOI itself
    less, more = read(bare), read(whole)
    assert less.keys() < more.keys()
    assert all(less.values()) and "https://github.com" not in bare
    assert "date" not in " ".join(less).lower().replace("update", "")


def test_the_citation_file_has_what_its_format_demands():
    told = yaml.safe_load(metadata.cff(WHOLE, PAPER))
    assert {"cff-version", "message", "title", "authors"} <= told.keys()
    assert told["cff-version"] == "1.2.0" and told["type"] == "software"
    assert str(told["date-released"]) == WHOLE.date and told["doi"] == WHOLE.doi
    assert all(
        {"family-names", "given-names"} == one.keys() for one in told["references"][0]["authors"]
    )


EMPTY = {
    r"^(  baseurl|  url|doi): .*$": r'\1: ""',
    rf"^## {re.escape(__version__)}.*$": f"## {__version__} (unreleased)",
}


def copied(folder, **changes):
    """The sources in a folder, before anything is published, with parts of them replaced."""
    for name in ("pyproject.toml", "_config.yml", "CHANGELOG.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for old, new in EMPTY.items():
            text = re.sub(old, new, text, flags=re.MULTILINE)
        (folder / name).write_text(text, encoding="utf-8")
    for name, (old, new) in changes.items():
        path = folder / {"config": "_config.yml", "changes": "CHANGELOG.md"}[name]
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return folder


def test_a_setting_is_read_and_the_address_ends_in_a_slash(tmp_path):
    root = copied(tmp_path, config=('baseurl: ""', 'baseurl: "https://book.test/jepa"'))
    assert metadata.read(root) == replace(BARE, address="https://book.test/jepa/")
    root = copied(tmp_path, config=('\ndoi: ""', '\ndoi: "10.5281/zenodo.7"'))
    assert metadata.read(root).doi == "10.5281/zenodo.7"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("config", ('baseurl: ""', "baseurl: book.test")),
        ("config", ('baseurl: ""', "baseurl: http://book.test")),
        ("config", ('\ndoi: ""', "\ndoi: https://doi.org/10.5281/zenodo.7")),
        ("config", ('  url: ""', "  url: github.com/someone/book")),
        ("changes", (f"## {__version__}", "## 99.0.0")),
        ("changes", (f"## {__version__} (unreleased)", f"## {__version__} soon")),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(tmp_path, name, change):
    with pytest.raises(ValueError, match=r"_config\.yml: .* must be empty or|CHANGELOG\.md must"):
        metadata.read(copied(tmp_path, **{name: change}))


def test_versions_come_newest_first_with_their_dates():
    text = "## 1.0.0 (unreleased)\n\n## 0.2.0, 2026-12-24\ntext\n### 0.1.0, 2026-12-01\n"
    assert metadata.releases(text) == {"1.0.0": "", "0.2.0": "2026-12-24"}


COMMIT = Commit("abc1234", "2027-01-01", changed=False)
ENTRIES = (
    lambda book: metadata.of_book(book, COMMIT, COMMIT.date),
    lambda book: metadata.of_chapter(book, 3, "Who goes first?", "c.html", COMMIT, COMMIT.date),
    lambda book: metadata.of_finding(
        book, 2, "50 % of A_b & JEPA", "n.html#a", COMMIT, COMMIT.date
    ),
)


@pytest.mark.parametrize("make", ENTRIES)
def test_bibtex_is_read_as_it_is_meant(make):
    (entry,) = parse_string(make(WHOLE), "bibtex").entries.values()
    assert entry.fields["year"] == "2027" and entry.fields["doi"] == WHOLE.doi
    assert entry.fields["note"] == f"Version {WHOLE.version}"
    assert entry.fields["url"].startswith(WHOLE.address)
    (author,) = entry.persons["author"]
    assert author.last_names == [f"{{{WHOLE.author}}}"]  # one name, not a first and a last one
    (entry,) = parse_string(make(BARE), "bibtex").entries.values()
    assert entry.fields["note"] == f"Version {BARE.version}, commit abc1234"
    assert not {"doi", "url"} & {name.lower() for name in entry.fields}


def test_signs_of_tex_are_escaped_and_capitals_kept():
    assert metadata.tex("50 % of A_b & JEPA's") == r"50 \% of A\_b \& {JEPA}'s"
    assert not re.search(r"[^\x00-\x7f]", metadata.tex("1–2, JEPA’s"))
