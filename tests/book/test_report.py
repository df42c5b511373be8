"""The report of the reproduction: its numbers are those of the ledger as it was run, of the records
and of the chapters, and none is typed."""

import json
import re
from collections import Counter

import numpy as np
import pytest
from bs4 import BeautifulSoup
from scipy import stats

from jepabook import claims, recorded
from jepabook.claims import pages
from tools import report
from tools.notebooks import ROOT, read

PAGE = (ROOT / f"{report.PAGE}.md").read_text(encoding="utf-8")
NAMES = re.findall(r"^```\{reported\} ([\w-]+)$", PAGE, re.MULTILINE)


def rows_as_run():
    """The rows that the ledger's notebook has in its output."""
    outputs = [
        output["data"][pages.JSON]
        for cell in read(ROOT / "notebooks" / "ledger.ipynb").cells
        for output in cell.get("outputs", ())
        if pages.JSON in output.get("data", {})
    ]
    (rows,) = outputs
    return rows


ROWS = rows_as_run()
PAPER = [row for row in ROWS if row["kind"] != "ours"]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What each part says, as one text; figures are written beside a copy of their sources."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("notebooks", "book"):
        (folder / name).mkdir()
    for path in [*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("book/*.md")]:
        (folder / path.relative_to(ROOT)).symlink_to(path)
    (folder / "book" / "status.json").symlink_to(ROOT / "book" / "status.json")
    return {name: "\n".join(part(folder)) for name, part in report.PARTS.items()}


def cells(table):
    """The rows of a table in Markdown, without its head."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def test_every_part_is_on_the_page_once():
    assert sorted(NAMES) == sorted(report.PARTS)


def test_no_number_of_the_page_is_typed():
    """But for the digits of a method, and numbers of figures and chapters."""
    prose = re.sub(r"\[[^\]]*\]\([^)]*\)|`[^`]*`|\{cite:t\}`\w+`|\$[^$]*\$", "", PAGE)
    prose = re.sub(r"Figure \d|50 digits", "", prose)
    assert not re.findall(r"\d", prose)


def test_the_summary_counts_the_rows_as_they_were_run(told):
    found = Counter(row["verdict"] for row in PAPER)
    numbers = [int(number) for number in re.findall(r"\*\*(\d+)\*\*", told["summary"])]
    assert numbers == [
        len(PAPER),
        found["holds"] + found["definition"],
        found["holds with a correction"],
        found["fails as printed"],
        found["not reproduced"],
        found["inconclusive"],
        len(ROWS) - len(PAPER),
    ]
    assert sum(numbers[1:6]) == numbers[0]


def test_verdicts_by_kind_are_those_of_the_rows(told):
    *rows, total = cells(told["verdicts"])
    kinds = ["named statement", "equation", "figure", "sentence", "ours"]
    found = Counter((row["verdict"], row["kind"]) for row in ROWS)
    assert {row[0] for row in rows} == {row["verdict"] for row in ROWS}
    for verdict, *numbers in rows:
        assert [int(one or 0) for one in numbers] == [found[verdict, kind] for kind in kinds]
    assert [int(one) for one in total[1:]] == [
        sum(row["kind"] == kind for row in ROWS) for kind in kinds
    ]


def test_methods_are_those_of_the_rows(told):
    for letter, _, paper, ours in cells(told["methods"]):
        with_it = [row for row in ROWS if letter in row["methods"]]
        of_paper = sum(row["kind"] != "ours" for row in with_it)
        assert (int(paper), int(ours)) == (of_paper, len(with_it) - of_paper)


def test_grounds_are_those_of_the_rows_that_hold(told):
    for ground, _, paper, ours in cells(told["grounds"]):
        with_it = [one for one in claims.book().values() if ground in one.ground]
        assert all(one.verdict.startswith("holds") for one in with_it)
        of_paper = sum(not one.id.startswith("new:") for one in with_it)
        assert (int(paper), int(ours)) == (of_paper, len(with_it) - of_paper)


@pytest.mark.parametrize(
    ("part", "chosen"),
    [
        ("named", lambda row: row["kind"] == "named statement"),
        ("figures", lambda row: row["kind"] == "figure"),
        ("failed", lambda row: row["verdict"] == "fails as printed"),
        ("slips", lambda row: row["verdict"] == "holds with a correction"),
    ],
)
def test_a_list_has_each_of_its_items_once_and_no_other(told, part, chosen):
    first = told[part] if part == "named" else "\n".join(row[0] for row in cells(told[part]))
    links = re.findall(r"ledger\.ipynb#([\w-]+)", first)
    wanted = [row["ledger_link"].partition("#")[2] for row in PAPER if chosen(row)]
    assert sorted(links) == sorted(wanted)


@pytest.mark.parametrize("part", ["failed", "slips"])
def test_a_correction_stands_beside_its_item(told, part):
    by_anchor = {row["ledger_link"].partition("#")[2]: row for row in PAPER}
    for items, says, *consequence in cells(told[part]):
        for anchor in re.findall(r"#([\w-]+)", items):
            row = by_anchor[anchor]
            assert says == pages.linked(row["correction"], report.LEDGER)
            if part == "failed":
                assert consequence == [pages.linked(row["consequence"], report.LEDGER)]


def test_orders_are_means_of_the_recorded_seeds_with_their_intervals(told):
    """By SciPy's tau and interval, seed by seed."""
    arrays, _ = recorded.result("sgd")
    rows = cells(told["orders"])
    panels = [panel for panel in report.PANELS for _ in range(2)]
    for row, panel, n in zip(rows, panels, (0, 1, 0, 1), strict=True):
        lam, doubling = arrays[f"{panel}__lam"], arrays[f"{panel}__doubling"][n]
        last = np.where(np.isnan(doubling), np.inf, doubling)
        taus = np.array([stats.kendalltau(-one, lam, variant="b").statistic for one in last])
        mean, low, high = (float(one) for one in re.findall(r"-?\d\.\d\d", row[3]))
        assert abs(mean - taus.mean()) <= 0.005001
        ends = stats.t.interval(0.95, len(taus) - 1, taus.mean(), stats.sem(taus))
        assert np.abs([low, high] - np.array(ends)).max() <= 0.005001


def test_every_finding_and_its_rows_are_told(told):
    new = (ROOT / "book" / "new.md").read_text(encoding="utf-8")
    lines = told["new"].splitlines()
    assert [line.partition(" *")[0] for line in lines] == re.findall(r"^## (.+)$", new, re.M)
    counted = sum(int(re.search(r"\*(\d+) rows?:", line)[1]) for line in lines)
    assert counted == sum(row["kind"] == "ours" for row in ROWS)


def test_what_is_open_is_what_the_chapter_lists(told):
    source = json.loads((ROOT / "notebooks" / f"{report.OPEN}.ipynb").read_text("utf-8"))
    (cell,) = (c for c in source["cells"] if "".join(c["source"]).startswith("(open)="))
    titles = re.findall(r"^- \*\*(.+?)\*\*", "".join(cell["source"]), re.MULTILINE)
    assert re.findall(r"^- \*\*(.+?)\*\*", told["open-problems"], re.MULTILINE) == titles and titles


def test_costs_are_those_of_every_recorded_run(told):
    commands = {row[0].strip("`") for row in cells(told["cost"]) if "results." in row[0]}
    scripts = {path.stem for path in (ROOT / "results").glob("*.npz")}
    assert commands == {f"python -m results.{name}" for name in scripts}


def test_the_report_for_paper_is_the_page(tmp_path):
    (tmp_path / "book").mkdir()
    html = (
        '<html><head><link rel="stylesheet" href="../_static/a.css"></head><body><article>'
        '<h1>Report</h1><p>Text <a href="new.html">there</a>.</p><button>b</button>'
        "</article></body></html>"
    )
    (tmp_path / f"{report.PAGE}.html").write_text(html, encoding="utf-8")
    page = BeautifulSoup(report.as_page(tmp_path, "A title"), "html.parser")
    assert page.title.text == "A title" and page.select_one("article").text == "ReportText there."
    assert not page.select("button, article a") and page.select_one("link")["href"].startswith("/")
