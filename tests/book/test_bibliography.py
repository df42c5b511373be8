"""Every work in the bibliography is cited, and has its DOI or, without one, its address."""

import re

from pybtex.database import parse_file

from tools.notebooks import ROOT

ENTRIES = parse_file(str(ROOT / "book" / "references.bib")).entries


def test_what_is_cited_is_listed_and_what_is_listed_is_cited():
    cited = set()
    texts = ("notebooks/*.ipynb", "book/**/*.md", "jepabook/**/*.py")
    for path in (path for pattern in texts for path in ROOT.glob(pattern)):
        text = path.read_text(encoding="utf-8")
        for names in re.findall(r"[:{]cite(?::\w+)?[:}]`([^`]+)`", text):
            cited.update(name.strip() for name in names.split(","))
    assert cited == set(ENTRIES)


def test_every_work_has_a_doi_or_an_address():
    without = {name for name, work in ENTRIES.items() if "doi" not in work.fields}
    assert without == {"dlmf"} and "url" in ENTRIES["dlmf"].fields
    for name in ENTRIES.keys() - without:
        assert re.fullmatch(r"10\.\d{4,5}/\S+", ENTRIES[name].fields["doi"]), name
