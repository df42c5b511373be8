"""The status page: `python -m tools.status` collects what was measured into `book/status.json`.

The page, `book/status.md`, has no number in its text: Sphinx fills its tables from this file, and
a number that is not in the file appears as "not measured yet". The ledger's counts are taken from
the package when the page is built.
"""

import datetime
import os
import platform
import sys
from pathlib import Path

import psutil

from jepabook._support.command import Parser
from tools import measured, provenance
from tools.notebooks import ROOT
from tools.stages import duration, test_round

FILE = Path("book") / "status.json"
PORTABLE = Path("book") / "portable.json"  # what `make portable` found
AARCH64 = Path("book") / "aarch64.json"  # what `make aarch64` found
PYTHONS = Path("book") / "pythons.json"  # what `make pythons` found
MISSING = "not measured yet"
ROUNDS = {
    "test-package": "of the package and the tools",
    "test-notebooks": "of notebooks, cell by cell",
    "test-site": "of the site, in a browser",
}


NUMBERS = {
    "time",
    "peak memory",
    "number",
    "passed",
    "failed",
    "skipped",
    "kB",
    "usable after",
    "layout shift",
}


def device():
    """The machine in words: cores, processor, memory, system."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        models = [
            line
            for line in info.read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ]
        name = models[0].partition(":")[2].strip() if models else name
    memory = psutil.virtual_memory().total / 2**30
    return f"{os.cpu_count()} cores ({name}), {memory:.0f} GB of memory, {platform.system()}"


def size_of(html):
    """Pages and MB of a built site; empty where there is none."""
    if not (html / "index.html").is_file():
        return {}
    files = [path for path in html.rglob("*") if path.is_file()]
    pages = sum(path.suffix == ".html" and "_static" not in path.parts for path in files)
    return {"pages": pages, "mb": round(sum(path.stat().st_size for path in files) / 1e6, 1)}


def tests(folder):
    """The three rounds of `make test`, and its time from the first test to the last.

    Empty unless all three are there and passed: what is left of a failed run is no measurement.
    """
    rounds = {name: test_round(folder / f"{name}.xml") for name in ROUNDS}
    if not all(rounds.values()) or any(r["failures"] + r["errors"] for r in rounds.values()):
        return {}
    start, *_, last = (datetime.datetime.fromisoformat(r.pop("started")) for r in rounds.values())
    seconds = (last - start).total_seconds() + rounds["test-site"]["seconds"]
    return {"rounds": rounds, "seconds": round(seconds), "date": start.date().isoformat()}


def _machine(root):
    """On what, with which versions, at which commit."""
    commit = provenance.commit_of(root)
    return {
        "device": device(),
        "versions": provenance.versions(),
        "commit": commit.hash if commit else None,
    }


def facts():
    """What is kept beside an outcome of this day: machine, versions, commit and date."""
    return _machine(ROOT) | {"date": measured.today()}


def collect(root=ROOT):
    """All that is measured, with device, versions and commit."""
    folder = root / measured.FOLDER
    return _machine(root) | {
        "book": measured.read(folder / "book.json"),
        "site": measured.read(folder / "site.json") | size_of(root / "_build" / "html"),
        "test": tests(folder),
        "pages": measured.read(folder / "pages.json"),
        "mutants": measured.read(folder / "mutants.json"),
        "notebooks": measured.read(folder / f"{measured.NOTEBOOKS}.json"),
    }


def _row(*cells):
    return "| " + " | ".join(map(str, cells)) + " |"


def _table(head, rows):
    numbers = ["--:" if name in NUMBERS else "---" for name in head]
    return [_row(*head), _row(*numbers), *(_row(*row) for row in rows)]


def machine(facts, srcdir):
    """One sentence: on what, with which versions, at which commit."""
    if not facts:
        return ["Nothing is measured yet."]
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    commit = f"; commit {facts['commit']}" if facts["commit"] else ""
    return [f"Measured on {facts['device']}; {versions}{commit}."]


def commands(facts, srcdir):
    """What each command takes."""
    said = {
        "book": "`make book`: run every notebook, build the site",
        "site": "`make site`: build the site from the committed outputs",
        "test": "`make test`: check everything",
    }
    rows = []
    for name, what in said.items():
        entry = facts.get(name) or {}
        time = duration(entry["seconds"]) if "seconds" in entry else MISSING
        rows.append((what, time, entry.get("date", "")))
    size = facts.get("site") or {}
    told = f"{size['mb']:.0f} MB, {size['pages']} pages" if "mb" in size else MISSING
    return [*_table(("command", "time", "measured"), rows), "", f"Size of the site: {told}."]


def notebooks(facts, srcdir):
    """Time and memory of each notebook of the staged sources."""
    rows = []
    for path in sorted((srcdir / "notebooks").glob("*.ipynb")):
        entry = (facts.get("notebooks") or {}).get(path.stem)
        link = f"[](../notebooks/{path.name})"
        if entry is None:
            rows.append((link, MISSING, MISSING, ""))
            continue
        stale = "" if entry["code"] == measured.code_digest(path) else ", before its code changed"
        time, memory = duration(entry["seconds"]), f"{entry['peak_mb']} MB"
        rows.append((link, time, memory, f"{entry['date']}{stale}"))
    return _table(("notebook", "time", "peak memory", "measured"), rows)


def pages(facts, srcdir):
    """Weight, time until usable and layout shift of each page of the staged sources."""
    record = facts.get("pages") or {}
    if not record:
        return [f"Pages: {MISSING}."]
    rows = []
    for entry, found in record["pages"].items():
        link = entry
        for ending in (".md", ".ipynb"):
            if (srcdir / f"{entry}{ending}").is_file():
                link = f"[](../{entry}{ending})"
        shift = f"{found['shift']:.3f}"
        rows.append((link, found["kb"], f"{found['ms'] / 1000:.1f} s", shift))
    return [
        *_table(("page", "kB", "usable after", "layout shift"), rows),
        "",
        f"Measured {record['date']}.",
    ]


def test_counts(facts, srcdir):
    """How many tests there are."""
    rounds = (facts.get("test") or {}).get("rounds") or {}
    rows = [
        (what, r["tests"], r["skipped"], duration(r["seconds"]))
        if (r := rounds.get(name))
        else (what, MISSING, MISSING, MISSING)
        for name, what in ROUNDS.items()
    ]
    return _table(("tests", "number", "skipped", "time"), rows)


def _outcomes(what, head, file, srcdir):
    """What passed elsewhere, from the record of a command that runs it there."""
    record = measured.read(srcdir / file)
    if not record:
        return [f"{what}: {MISSING}."]
    rows = [
        (name, one["passed"], one["failed"], duration(one["seconds"]), one["verdict"], one["date"])
        for name, one in record.items()
    ]
    machines = dict.fromkeys(machine(one, srcdir)[0] for one in record.values())
    table = _table((head, "passed", "failed", "time", "verdict", "measured"), rows)
    return [*table, "", " ".join(machines)]


def portable(facts, srcdir):
    """What passed under other arithmetic."""
    return _outcomes("Other arithmetic", "under", PORTABLE, srcdir)


def pythons(facts, srcdir):
    """What passed on which Python."""
    return _outcomes("Other Pythons", "on Python", PYTHONS, srcdir)


def aarch64(facts, srcdir):
    """What passed on an emulated ARM processor."""
    return _outcomes("ARM", "on ARM", AARCH64, srcdir)


def ledger(facts, srcdir):
    """Claims and misreadings, counted in the package that the page is built with; and variants."""
    from jepabook import claims

    book = list(claims.book().values())
    ours = sum(claim.id.startswith("new:") for claim in book)
    by_hand = sum(len(claim.mutants) for claim in book)
    tried = facts.get("mutants") or {}
    rejected = tried["variants"] - tried["listed"] if tried else MISSING
    told = f", measured {tried['date']}" if tried else ""
    rows = [
        ("claims of the paper, each with a check that decides it", len(book) - ours),
        ("claims of ours, likewise", ours),
        ("misreadings written by hand, each rejected by its check", by_hand),
        (f"wrong variants made by machine, each rejected by its check{told}", rejected),
        ("variants that say the same or less, each listed with a reason", tried.get("listed", "")),
    ]
    return _table(("in the ledger", "number"), rows)


PARTS = {
    part.__name__.replace("_", "-"): part
    for part in (
        machine,
        commands,
        notebooks,
        pages,
        test_counts,
        portable,
        pythons,
        aarch64,
        ledger,
    )
}


def main():
    parser = Parser(
        "python -m tools.status",
        description=f"Collect what make book and make test measured into {FILE.as_posix()}.",
    )
    parser.parse_args()
    facts = collect(ROOT)
    measured.write_whole(ROOT / FILE, facts)
    wanted = ("book", "site", "test", "notebooks", "pages", "mutants")
    missing = [name for name in wanted if not facts[name]]
    told = f"; {MISSING}: {', '.join(missing)}" if missing else ""
    print(f"wrote {FILE.as_posix()}{told}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
