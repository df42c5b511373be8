"""The ledger and errata pages, and the ledger for machines, from what `claims.run` returns."""

import re
from collections import Counter
from dataclasses import dataclass

from jepabook.claims import mutants
from jepabook.claims.ledger import GROUNDS, METHODS, VERDICTS

MARK = "Ledger. "  # how the mark in a chapter begins, that names rows with their verdicts
JSON = "application/vnd.jepabook.ledger+json"  # of an output that holds the rows for machines

_KINDS = {
    "eq": "({})",
    "assumption": "Assumption {}",
    "thm": "Theorem {}",
    "lemma": "Lemma {}",
    "cor": "Corollary {}",
    "fig": "Figure {}",
    "text": "text: {}",
    "new": "ours: {}",
}
#: What a claim is, by the first word of its id.
KINDS = {
    "eq": "equation",
    "fig": "figure",
    "text": "sentence",
    "new": "ours",
    **dict.fromkeys(("assumption", "thm", "lemma", "cor"), "named statement"),
}
# words that an id has in lower case, or in Latin letters
_SPELLED = {
    name.lower(): name
    for name in ("MAE", "SGD", "Laurent", "Gaussian", "CCA", "CKA", "Corollary", "Figure")
}
_SPELLED |= {"rho": "ρ", "epsilon": "ε"}


def anchor(id):
    """The target of a claim's row: ``eq-46`` for ``eq:46``, ``lemma-b-1`` for ``lemma:B.1``."""
    return re.sub(r"[^a-z0-9]+", "-", id.lower())


def label(id):
    """How a claim is named to a reader: ``(46)``, ``Lemma B.1``, ``ours: sign condition``."""
    kind, _, number = id.partition(":")
    if kind in ("new", "text"):
        words = re.sub(r"(\d)-(\d)", r"\1.\2", number).split("-")
        number = " ".join(_SPELLED.get(word, word) for word in words)
    return _KINDS[kind].format(number)


def section(claim):
    """The section of the paper that an item stands in, ``3.1`` or ``B.2``; ``ours`` for ours."""
    if claim.id.startswith("new:"):
        return "ours"
    return re.match(r"(?:Section|Appendix) ([\dA-D.]+)", claim.where)[1]


@dataclass(frozen=True)
class Verdicts:
    """Pairs (claim id, verdict), shown as one line a verdict; with links in a notebook."""

    pairs: tuple

    def __repr__(self):
        return "\n".join(f"{v}: {', '.join(ids)}" for v, ids in self._grouped().items())

    def _repr_markdown_(self):
        lines = [
            f"*{verdict}:* " + ", ".join(f"[{label(id)}](ledger.ipynb#{anchor(id)})" for id in ids)
            for verdict, ids in self._grouped().items()
        ]
        return MARK + "; ".join(lines) + "."

    def _grouped(self):
        groups = {}
        for id, verdict in self.pairs:
            groups.setdefault(verdict, []).append(id)
        return groups


def summary(results):
    """A table of how many claims have each verdict, and how many wrong variants there are.

    Those that hold, or do so corrected, by their grounds as well; one can have two.
    """
    paper, ours = Counter(), Counter()
    for claim, verdict in results:
        (ours if claim.id.startswith("new:") else paper).update([verdict, *claim.ground])
    by_hand = sum(len(claim.mutants) for claim, _ in results)
    made = mutants.of_book({claim.id: claim for claim, _ in results})
    lines = ["| verdict | the paper's items | ours |", "|---|---|---|"]
    for verdict in VERDICTS:
        if paper[verdict] or ours[verdict]:
            lines.append(f"| {verdict} | {paper[verdict]} | {ours[verdict]} |")
    total = [sum(count[verdict] for verdict in VERDICTS) for count in (paper, ours)]
    lines.append(f"| *all* | {total[0]} | {total[1]} |")
    for ground in GROUNDS:
        lines.append(f"| of those that hold: {ground} | {paper[ground]} | {ours[ground]} |")
    lines += [
        "",
        f"Wrong variants: {sum(map(len, made.values()))} made by machine (a few of which say the "
        f"same), and {by_hand} written by hand, for what no single token makes.",
    ]
    return "\n".join(lines)


@dataclass(frozen=True)
class Ledger:
    """The table of all rows; in a notebook its output also holds the rows for machines.

    The site's ``ledger.json`` is made of them, see ``tools.book``.
    """

    results: list

    def __repr__(self):
        return f"{len(self.results)} rows"

    def _repr_mimebundle_(self, **_):
        rows = [record(*result) for result in self.results]
        return {"text/markdown": table(self.results), JSON: rows}


def record(claim, verdict):
    """One row for machines: a dict of texts, lists of texts and numbers."""
    notebook, _, target = claim.chapter.partition("#")
    row = {
        "id": claim.id,
        "label": label(claim.id),
        "kind": KINDS[claim.id.partition(":")[0]],
        "where": claim.where,
        "section": section(claim),
        "says": claim.says,
        "verdict": verdict,
        "recorded": claim.verdict,
        "methods": list(claim.methods),
        "chapter": claim.chapter,
        "chapter_link": f"notebooks/{notebook}.html#{target}",
        "ledger_link": f"notebooks/ledger.html#{anchor(claim.id)}",
        "statement": f"{claim.statement.__module__}.{claim.statement.__qualname__}",
        "mutants": len(claim.mutants),
    }
    if claim.ground:
        row["ground"] = list(claim.ground)
    if claim.erratum is not None:
        row["correction"] = claim.erratum.says
        row["consequence"] = claim.erratum.consequence
        row["erratum_link"] = f"notebooks/errata.html#erratum-{anchor(claim.id)}"
    return row


def table(results):
    """The ledger: one row a claim, with a target and a link to the chapter."""
    lines = ["| item | § | says | verdict | by, ch. |", "|---|---|---|---|---|"]
    for claim, verdict in results:
        name = f"[{label(claim.id)}]{{#{anchor(claim.id)}}}"
        if claim.erratum:
            verdict = f"[{verdict}](errata.ipynb#erratum-{anchor(claim.id)})"
        if claim.ground:
            verdict += f": {', '.join(claim.ground)}"
        decided = f"{', '.join(claim.methods)}; {_chapter(claim)}"
        lines.append(
            f"| {name} | {section(claim)} | {linked(claim.says)} | {verdict} | {decided} |"
        )
    return "\n".join(lines)


def errata(results):
    """What is wrong as printed: correction, consequence, and where the proof is.

    Items with the same ones stand together.
    """
    groups = {}
    for claim, verdict in results:
        if claim.erratum is not None:
            erratum = claim.erratum
            key = (verdict, erratum.says, erratum.consequence, claim.chapter)
            groups.setdefault(key, []).append(claim)
    sections = []
    for (verdict, says, consequence, _), claims in groups.items():
        names = ", ".join(f"[{label(claim.id)}]{{#erratum-{anchor(claim.id)}}}" for claim in claims)
        rows = ", ".join(f"[{label(c.id)}](ledger.ipynb#{anchor(c.id)})" for c in claims)
        places = "; ".join(dict.fromkeys(claim.where for claim in claims))
        decided = ", ".join(sorted({letter for claim in claims for letter in claim.methods}))
        says, consequence = (linked(text) for text in (says, consequence))
        sections.append(
            f"**{names}** ({places}), *{verdict}*\n"
            f": {says}\n\n  *Consequence.* {consequence}\n\n"
            f"  *Proof.* Chapter {_chapter(claims[0])}; decided by {decided} in the ledger: {rows}."
        )
    return "\n\n".join(sections)


def linked(text, ledger="ledger.ipynb"):
    """Ids of ours in a text, ``new:...`` between backticks, as links to their rows."""
    return re.sub(r"`(new:[\w-]+)`", lambda m: f"[{label(m[1])}]({ledger}#{anchor(m[1])})", text)


def methods():
    """A legend for the letters in the ledger's column *by*, and for the grounds after a verdict."""
    letters, grounds = (
        "; ".join(f"**{name}** {meaning}" for name, meaning in legend.items()) + "."
        for legend in (METHODS, GROUNDS)
    )
    return f"{letters}\n\nThe ground on which an item holds, or does so corrected: {grounds}"


def _chapter(claim):
    notebook, _, target = claim.chapter.partition("#")
    return f"[{int(notebook[:2])}]({notebook}.ipynb#{target})"
