"""What the book is called, by whom, in which version: one source, and the files that repeat it.

`pyproject.toml` has name, description, authors and keywords, the package its version,
`_config.yml` title, year, repository, address of the site and DOI, `CHANGELOG.md` the date of a
version, `book/references.bib` the paper. From them `make metadata` writes `CITATION.cff`,
`.zenodo.json` and `codemeta.json`, and the site its BibTeX and the tags in its pages. What is
empty (repository, address, DOI, the date of a version that is not released) is left out.
"""

import json
import re
import sys
import tomllib
from dataclasses import dataclass
from functools import cache

import yaml
from pybtex.database import parse_file

from jepabook import __version__
from jepabook._support import files
from jepabook._support.command import Parser
from tools.notebooks import ROOT

PAPER = "littwin2024"
SPDX = "https://spdx.org/licenses/"
RELEASE = re.compile(r"^## (\d+\.\d+\.\d+)(?:, (\d{4}-\d\d-\d\d)| \(unreleased\))$", re.MULTILINE)
ADDRESS = re.compile(r"https://[^\s/]+(?:/[^\s]*[^\s/])?/?")
DOI = re.compile(r"10\.\d{4,9}/\S+")


@dataclass(frozen=True)
class Book:
    """What is said of the book; empty texts for what there is not yet."""

    name: str  # the package's
    title: str
    description: str
    abstract: str
    version: str
    date: str  # of the version's release
    year: str
    author: str
    license: str
    keywords: tuple[str, ...]
    repository: str
    address: str  # of the site, with a slash at its end
    doi: str


@dataclass(frozen=True)
class Paper:
    """The paper that the book is about."""

    title: str
    authors: tuple[tuple[str, str], ...]  # (given, family)
    venue: str
    volume: str
    year: str
    doi: str


def _of(pattern, name, value):
    """A setting that is empty or has its form."""
    value = (value or "").strip()
    if value and not pattern.fullmatch(value):
        raise ValueError(f"_config.yml: {name} must be empty or match {pattern.pattern}: {value!r}")
    return value


def releases(text):
    """The versions that a change log tells of, newest first, with their dates or empty texts."""
    return {version: date or "" for version, date in RELEASE.findall(text)}


def read(root=ROOT, config=None):
    """The facts on the book, from their sources; `config` is another `_config.yml`.

    Raises
    ------
    ValueError
        If an address or a DOI is none, or the change log has no section on the version.
    """
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    project, more = settings["project"], settings["tool"]["jepabook"]
    config = yaml.safe_load((config or root / "_config.yml").read_text(encoding="utf-8"))
    told = releases((root / "CHANGELOG.md").read_text(encoding="utf-8"))
    if next(iter(told), None) != __version__:
        raise ValueError(f"CHANGELOG.md must begin with version {__version__}, got {[*told][:1]}")
    (author,) = (one["name"] for one in project["authors"])
    address = _of(ADDRESS, "html: baseurl", config["html"]["baseurl"])
    return Book(
        name=project["name"],
        title=config["title"],
        description=project["description"],
        abstract=" ".join(more["abstract"].split()),
        version=__version__,
        date=told[__version__],
        year=str(config["copyright"]),
        author=author,
        license=project["license"],
        keywords=tuple(project["keywords"]),
        repository=_of(ADDRESS, "repository: url", config["repository"]["url"]).rstrip("/"),
        address=address and address.rstrip("/") + "/",
        doi=_of(DOI, "doi", config["doi"]),
    )


@cache
def paper(root=ROOT):
    """The paper, from the bibliography."""
    entry = parse_file(str(root / "book" / "references.bib")).entries[PAPER]
    fields = {name: re.sub(r"[{}]", "", value) for name, value in entry.fields.items()}
    authors = tuple(
        (" ".join(one.first_names + one.middle_names), " ".join(one.last_names))
        for one in entry.persons["author"]
    )
    venue, volume = fields["booktitle"], fields["volume"]
    return Paper(fields["title"], authors, venue, volume, fields["year"], fields["doi"])


def _kept(facts):
    """Facts without the empty ones."""
    return {name: value for name, value in facts.items() if value}


def cff(book, paper):
    """`CITATION.cff`, in the Citation File Format 1.2.0."""
    facts = {
        "cff-version": "1.2.0",
        "message": "If you use this book or its package, please cite it, and the paper that it "
        "reproduces.",
        "title": book.title,
        "abstract": book.abstract,
        "type": "software",
        "version": book.version,
        "date-released": book.date,
        "doi": book.doi,
        "url": book.address,
        "repository-code": book.repository,
        "license": book.license,
        "authors": [{"name": book.author}],
        "keywords": list(book.keywords),
        "references": [
            {
                "type": "conference-paper",
                "title": paper.title,
                "authors": [
                    {"family-names": family, "given-names": given}
                    for given, family in paper.authors
                ],
                "collection-title": f"{paper.venue} {paper.volume}",
                "year": int(paper.year),
                "doi": paper.doi,
            }
        ],
    }
    head = "# Made by `make metadata` from pyproject.toml, _config.yml and CHANGELOG.md.\n"
    return head + yaml.safe_dump(_kept(facts), sort_keys=False, allow_unicode=True, width=100)


def zenodo(book, paper):
    """`.zenodo.json`, which Zenodo reads when a release is archived there."""
    found = (book.address, "isDocumentedBy"), (book.repository, "isSupplementTo")
    facts = {
        "title": book.title,
        "description": book.abstract,
        "upload_type": "software",
        "version": book.version,
        "publication_date": book.date,
        "license": book.license,
        "creators": [{"name": book.author}],
        "keywords": list(book.keywords),
        "related_identifiers": [
            {"identifier": paper.doi, "relation": "references", "scheme": "doi"},
            *({"identifier": url, "relation": how} for url, how in found if url),
        ],
    }
    return json.dumps(_kept(facts), indent=2, ensure_ascii=False) + "\n"


def codemeta(book, paper):
    """`codemeta.json`, in CodeMeta 3.0."""
    facts = {
        "@context": "https://w3id.org/codemeta/3.0",
        "@type": "SoftwareSourceCode",
        "name": book.title,
        "alternateName": book.name,
        "description": book.abstract,
        "version": book.version,
        "datePublished": book.date,
        "identifier": book.doi and f"https://doi.org/{book.doi}",
        "url": book.address,
        "codeRepository": book.repository,
        "issueTracker": book.repository and f"{book.repository}/issues",
        "license": SPDX + book.license,
        "author": [{"@type": "Organization", "name": book.author}],
        "keywords": list(book.keywords),
        "programmingLanguage": "Python",
        "referencePublication": {
            "@type": "ScholarlyArticle",
            "name": paper.title,
            "identifier": f"https://doi.org/{paper.doi}",
        },
    }
    return json.dumps(_kept(facts), indent=2, ensure_ascii=False) + "\n"


FILES = {"CITATION.cff": cff, ".zenodo.json": zenodo, "codemeta.json": codemeta}


def texts(root=ROOT):
    """What each of the files is to say, by name."""
    book = read(root)
    return {name: make(book, paper(root)) for name, make in FILES.items()}


TEX = {"\\": r"\textbackslash{}", "–": "--", "’": "'"} | {sign: f"\\{sign}" for sign in "&%$#_{}"}


def tex(text):
    """A plain text as TeX takes it, with names in capitals kept."""
    escaped = "".join(TEX.get(sign, sign) for sign in text)
    return re.sub(r"\b\w*[A-Z]\w*[A-Z]\w*\b", r"{\g<0>}", escaped)


def bibtex(kind, key, fields):
    """An entry of BibTeX; fields that are empty are left out. Values are TeX."""
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])


def edition(book, commit):
    """What tells one state of the book from another: the version, until its release the commit."""
    unreleased = "" if book.date else f", commit {commit.hash}" if commit else ", unreleased"
    return f"Version {book.version}{unreleased}"


def _common(book, commit, page, day):
    return {
        "year": (book.date or day)[:4] or book.year,
        "note": edition(book, commit),
        "doi": book.doi,
        "url": book.address and book.address + page,
    }


def of_book(book, commit=None, day=""):
    """The BibTeX of the book."""
    fields = {"title": tex(book.title), "author": f"{{{book.author}}}"}
    return bibtex("book", book.name, fields | _common(book, commit, "", day))


def of_chapter(book, number, title, page, commit=None, day=""):
    """The BibTeX of a chapter of the book."""
    fields = {
        "title": tex(title),
        "author": f"{{{book.author}}}",
        "booktitle": tex(book.title),
        "chapter": str(number),
    }
    key = f"{book.name}-chapter-{number}"
    return bibtex("incollection", key, fields | _common(book, commit, page, day))


def of_finding(book, number, title, page, commit=None, day=""):
    """The BibTeX of a finding of the page "New here"."""
    fields = {
        "title": tex(title),
        "author": f"{{{book.author}}}",
        "howpublished": f"Finding {number} of \\emph{{{tex(book.title)}}}",
    }
    key = f"{book.name}-finding-{number}"
    return bibtex("misc", key, fields | _common(book, commit, page, day))


def main():
    parser = Parser("python -m tools.metadata", description=f"Write {', '.join(FILES)}.")
    parser.parse_args()
    try:
        made = texts()
    except (ValueError, KeyError) as error:
        print(f"python -m tools.metadata: error: {error}", file=sys.stderr)
        return 1
    for name, text in made.items():
        files.write(ROOT / name, text.encode())
    print(*made, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
