"""The report of the reproduction: what its tables say, and `make report`, which prints it.

The page is `book/report.md`. It has no number in its text: Sphinx fills its parts from the ledger
of the package, the recorded results, the page "New here", chapter 14 and `book/status.json`.
"""

import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import yaml

from jepabook import __version__, claims, recorded
from jepabook._support.command import Parser
from jepabook.claims import ledger, pages
from jepabook.training import learning_order
from tools import measured, pdf, status
from tools.book import BuildFailed
from tools.landing_figure import figure_with_text
from tools.notebooks import ROOT, read

PAGE = "book/report"
OUT = Path("_build") / "report.pdf"
LEDGER = "../notebooks/ledger.ipynb"
KINDS = ("named statement", "equation", "figure", "sentence")
FIGURES = {"order": ("04-real-training", "fig-paper-1"), "seven": ("12-images", "fig-figure-7")}
OPEN = "14-where-jepa-ends"  # the chapter with the list of what is open, below (open)=
# a row of results/README.md: command, file, what for, time
RUN = re.compile(r"^\| `\.venv/bin/(python -m [\w.]+)` \| `(\w+)\.npz` \| (.+?) \| (.+?) \|$", re.M)
OBJECTIVES = ("JEPA", "MAE")  # in the order of what is recorded
PANELS = {"distribution_1": "ρ rises with λ", "distribution_2": "ρ falls with λ"}


def of_paper():
    """The claims of the paper."""
    return [one for one in claims.book().values() if not one.id.startswith("new:")]


def ours():
    """The claims of this book."""
    return [one for one in claims.book().values() if one.id.startswith("new:")]


def _row(*cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _table(head, rows, align=""):
    rule = {"r": "--:", "l": "---"}
    marks = [rule[sign] for sign in (align or "l" * len(head))]
    return [_row(*head), _row(*marks), *(_row(*row) for row in rows), ""]


def _link(claim):
    return f"[{pages.label(claim.id)}]({LEDGER}#{pages.anchor(claim.id)})"


def _chapter(claim):
    notebook, _, target = claim.chapter.partition("#")
    return f"[{int(notebook[:2])}](../notebooks/{notebook}.ipynb#{target})"


def _kind(claim):
    return pages.KINDS[claim.id.partition(":")[0]]


def summary(srcdir):
    """How many items have which verdict, in a sentence."""
    found = Counter(one.verdict for one in of_paper())
    total, ours_ = found.total(), len(ours())
    right = found[ledger.HOLDS] + found[ledger.DEFINITION]
    return [
        f"**Results.** The ledger decides **{total}** items of the paper. **{right}** stand as "
        "printed "
        f"({found[ledger.DEFINITION]} of them definitions), **{found[ledger.CORRECTED]}** hold "
        f"with a correction, **{found[ledger.FAILS]}** fail as printed; "
        f"not reproduced: **{found[ledger.NOT_REPRODUCED]}**, inconclusive: "
        f"**{found[ledger.INCONCLUSIVE]}**. Beside them stand **{ours_}** statements of our own."
    ]


def verdicts(srcdir):
    """Verdicts by kind of item."""
    counts = {kind: Counter() for kind in (*KINDS, "ours")}
    for one in claims.book().values():
        counts[_kind(one)][one.verdict] += 1
    rows = [
        (verdict, *(counts[kind][verdict] or "" for kind in counts))
        for verdict in ledger.VERDICTS
        if any(counts[kind][verdict] for kind in counts)
    ]
    rows.append(("*all*", *(counts[kind].total() for kind in counts)))
    plural = [f"{kind}s" if kind != "ours" else kind for kind in counts]
    return _table(("verdict", *plural), rows, "l" + "r" * len(plural))


def methods(srcdir):
    """How many items each method decides."""
    return _counted("by", ledger.METHODS, lambda one: one.methods)


def grounds(srcdir):
    """How many of the items that hold do so on which ground; one can have two."""
    return _counted("ground", ledger.GROUNDS, lambda one: one.ground)


def _counted(head, meanings, of):
    """A table of how many items, the paper's and ours, have each mark among those `of` them."""
    rows = [
        (mark, meaning, *(sum(mark in of(one) for one in some) for some in (of_paper(), ours())))
        for mark, meaning in meanings.items()
    ]
    return _table((head, "", "the paper's items", "ours"), rows, "llrr")


def figures(srcdir):
    """The figures of the paper: what they show and the verdict."""
    chosen = [one for one in of_paper() if one.id.startswith("fig:")]
    chosen.sort(key=lambda one: one.id)
    rows = [
        (_link(one), pages.linked(one.says, LEDGER), one.verdict, _chapter(one)) for one in chosen
    ]
    return _table(("item", "what it is taken to say", "verdict", "ch."), rows)


def named(srcdir):
    """The assumptions, theorems, lemmas and corollaries, by verdict."""
    found = {}
    for one in of_paper():
        if _kind(one) == "named statement":
            found.setdefault(one.verdict, []).append(_link(one))
    return [
        f"- *{verdict}:* {', '.join(found[verdict])}."
        for verdict in ledger.VERDICTS
        if verdict in found
    ]


def _corrected(verdict, consequence):
    groups = {}
    for one in of_paper():
        if one.verdict == verdict:
            key = (one.erratum.says, one.erratum.consequence if consequence else "")
            groups.setdefault(key, []).append(_link(one))
    head = ("item", "what is true instead", *(["what depends on it"] if consequence else []))
    rows = [
        (", ".join(links), *(pages.linked(text, LEDGER) for text in told if text))
        for told, links in groups.items()
    ]
    return _table(head, rows)


def failed(srcdir):
    """What fails as printed, with correction and consequence."""
    return _corrected(ledger.FAILS, consequence=True)


def slips(srcdir):
    """What holds with a correction."""
    return _corrected(ledger.CORRECTED, consequence=False)


def orders(srcdir):
    """Kendall's tau of the recorded trainings, with intervals."""
    arrays, facts = recorded.result("sgd")
    rows = []
    for panel, features in PANELS.items():
        for n, objective in enumerate(OBJECTIVES):
            sizes = arrays[f"{panel}__order_by_lam"][n]
            clearest = sizes[:, np.abs(sizes.mean(0)).argmax()]
            times = learning_order.tau(
                arrays[f"{panel}__doubling"][n], arrays[f"{panel}__lam"], never="last"
            )
            told = (learning_order.mean_interval(one) for one in (clearest, times))
            cells = (f"{mean:.2f} [{low:.2f}, {high:.2f}]" for mean, low, high in told)
            rows.append((features, objective, *cells))
    seeds = arrays["distribution_1__doubling"].shape[1]
    head = ("features", "objective", "sizes at their clearest", "doubling times, never last")
    return [
        *_table(head, rows, "llrr"),
        f"Kendall's $\\tau$ along $\\lambda$, mean of {seeds} seeds with its 95 % interval; gain "
        f"{facts['gain']:.2f} per layer.",
    ]


def _figure(name, srcdir):
    notebook, figure = FIGURES[name]
    path = srcdir / "notebooks" / f"{notebook}.ipynb"
    image, text = figure_with_text(path, figure)
    out = srcdir / "book" / "_reported" / f"{name}.png"
    out.parent.mkdir(exist_ok=True)
    out.write_bytes(image)
    captions = (cell.metadata.get("mystnb", {}).get("figure", {}) for cell in read(path).cells)
    (caption,) = (one["caption"] for one in captions if one.get("name") == figure)
    return [
        f"```{{figure}} _reported/{name}.png",
        f":alt: {' '.join(text.split())}",
        "",
        *relinked(caption, notebook).splitlines(),
        f"(From [chapter {int(notebook[:2])}](../notebooks/{notebook}.ipynb).)",
        "```",
    ]


def order_figure(srcdir):
    """Figure 1 with seeds."""
    return _figure("order", srcdir)


def figure_7(srcdir):
    """Figure 7 on photographs, with its verdict."""
    one = claims.book()["fig:7"]
    verdict = f"{_link(one)}, on ImageNet, could be tried on photographs only: *{one.verdict}*."
    return [verdict, "", *_figure("seven", srcdir)]


def relinked(text, notebook):
    """Links of a chapter's text, as they are from a page of `book`."""
    text = re.sub(r"\]\(#", f"](../notebooks/{notebook}.ipynb#", text)
    text = re.sub(
        r"\]\((\d\d-[\w-]+\.ipynb|ledger\.ipynb|errata\.ipynb)", r"](../notebooks/\1", text
    )
    return text.replace("](../book/", "](")


def new(srcdir):
    """The findings of "New here", each with its rows and how they are decided."""
    text = (srcdir / "book" / "new.md").read_text(encoding="utf-8")
    known, lines = claims.book(), []
    anchors = {pages.anchor(id): one for id, one in known.items()}
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        rows = dict.fromkeys(re.findall(r"ledger\.ipynb#(new-[\w-]+)", body))
        by = Counter(letter for row in rows for letter in anchors[row].methods)
        told = ", ".join(f"{letter} {by[letter]}" for letter in ledger.METHODS if by[letter])
        rows_ = "row" if len(rows) == 1 else "rows"
        lines.append(f"{title} *{len(rows)} {rows_}: {told}.*")
    return lines


def open_problems(srcdir):
    """What chapter 14 lists as open."""
    cells = read(srcdir / "notebooks" / f"{OPEN}.ipynb").cells
    (cell,) = (one.source for one in cells if one.source.startswith("(open)="))
    body = cell.partition("\n## ")[2].partition("\n")[2].partition("\n## ")[0]
    return relinked(body.strip(), OPEN).splitlines()


def cost(srcdir):
    """What the recorded runs took, and what building and testing the book takes."""
    told = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    rows = []
    for command, name, use, took in RUN.findall(told):
        if not (recorded.RESULTS / f"{name}.npz").is_file():
            continue  # its rule is committed before it is run
        _, facts = recorded.result(name)
        device, date = facts["device"].upper(), facts["date"]
        rows.append((f"`{command}`", use, took, facts["seed"], device, date))
    facts = measured.read(srcdir / status.FILE)
    return [
        *_table(("command", "for", "time", "seed", "on", "recorded"), rows, "lllrll"),
        *status.commands(facts, srcdir),
        "",
        *status.machine(facts, srcdir),
    ]


PARTS = {
    part.__name__.replace("_", "-"): part
    for part in (
        *(summary, verdicts, methods, grounds, figures, named, failed, slips),
        *(orders, order_figure, figure_7, new, open_problems, cost),
    )
}


def as_page(html, title):
    """The report as one HTML page for paper, without cover and contents."""
    one = pdf.chapter(html, PAGE, {f"{PAGE}.html": "report"})
    style = pdf.STYLE.read_text(encoding="utf-8") + STYLE
    return f"""<!doctype html>
<html lang="en" data-theme="light" data-mode="light"><head><meta charset="utf-8">
<title>{title}</title>
{pdf._head(html, PAGE)}
<style>{style}</style></head><body><main>{one.article}</main></body></html>"""


STYLE = """
html { font-size: 12.6px; }
.bd-article h1 { break-before: auto; font-size: 1.7rem; margin-bottom: 0.8rem; }
.bd-article h2 { margin-top: 1.3rem; }
.bd-article table.table { font-size: 0.84rem; }
.bd-article table.table :is(th, td) { padding: 0.16rem 0.4rem; }
.bd-article figure { margin: 0.7rem 0; }
.bd-article img { max-height: 70mm; }
"""


def make_report(root):
    """Print the page on the report, of the site of the present sources."""
    html, out = pdf.present_site(root), root / OUT
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    page = as_page(html, f"{config['title']}: report, version {__version__}")
    pdf.print_whole(html, page, out)
    return out


def main():
    Parser("python -m tools.report", description=f"Print the report, {OUT}.").parse_args()
    try:
        make_report(ROOT)
    except (BuildFailed, FileNotFoundError) as error:
        print(f"\nno report was made:\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
