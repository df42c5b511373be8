"""The ledger: numbered items of the paper, and the running check that decides each.

A claim is a *statement* and a *check*. The statement is a function that says what the paper
prints, in whatever form the check reads (usually it returns both sides of an equation); the check
maps a statement to True, to False, or to None where an experiment decides neither. The check that
judges the printed statement also judges its correction, and must reject every mutant. To add a
claim, write the statement as a function in a module of this package and decorate it with `claim`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from types import ModuleType
from typing import Any

import numpy as np

from jepabook._support import validate

DEFINITION = "definition"
HOLDS = "holds"
CORRECTED = "holds with a correction"
FAILS = "fails as printed"
NOT_REPRODUCED = "not reproduced"
INCONCLUSIVE = "inconclusive"
#: What a check can find.
VERDICTS = (DEFINITION, HOLDS, CORRECTED, FAILS, NOT_REPRODUCED, INCONCLUSIVE)

#: How a check can decide.
METHODS = {
    "S": "symbolic (sympy, or exact rational arithmetic)",
    "N": "numeric at 50 digits (mpmath)",
    "R": "rigorous enclosure (python-flint balls)",
    "E": "experiment",
}

#: On what ground an item holds.
GROUNDS = {
    "proved": "by algebra that the check runs, in the sizes in which it runs it (exact numbers at "
    "random points count, where a false identity fails), or by a proof in the chapter, of which "
    "the check tries instances",
    "checked": "on instances, in numbers: at 50 digits, enclosed, or in double precision",
    "measured": "by an experiment, with seeds; it says nothing beyond its settings",
}


@dataclass(frozen=True)
class Erratum:
    """What is wrong with an item as printed.

    Attributes
    ----------
    statement : object
        The corrected statement, for the same check.
    says : str
        The correction in one line (MyST Markdown).
    consequence : str
        What depends on it.
    changes_result : bool
        False: a slip whose intention is clear; the verdict is "holds with a correction".
        True: what the item asserts is not true; the verdict is "fails as printed".
    """

    statement: Any
    says: str
    consequence: str
    changes_result: bool = False

    @property
    def verdict(self):
        """The verdict of an item that the corrected statement puts right."""
        return FAILS if self.changes_result else CORRECTED


@dataclass(frozen=True)
class Claim:
    """One row of the ledger; see `claim` for the fields."""

    id: str
    where: str
    says: str
    methods: str
    grounds: tuple
    chapter: str
    statement: Any
    check: Callable[[Any], bool | None]
    mutants: tuple
    erratum: Erratum | None
    definition: bool
    unreproduced: bool
    undecided: bool

    @property
    def verdict(self):
        """The recorded verdict, one of `VERDICTS`, at which the check must arrive."""
        if self.erratum is not None:
            return self.erratum.verdict
        if self.unreproduced:
            return NOT_REPRODUCED
        if self.undecided:
            return INCONCLUSIVE
        return DEFINITION if self.definition else HOLDS

    @property
    def ground(self):
        """On what ground it holds, or does so corrected: names of `GROUNDS`, or none."""
        return self.grounds if self.verdict in (HOLDS, CORRECTED) else ()


def decided_by(methods):
    """Decorator of a check, or of a function that returns one: how it decides.

    Parameters
    ----------
    methods : str
        Letters of `METHODS`.
    """
    methods = _letters(methods)

    def mark(check):
        @wraps(check)
        def marked(*arguments, **options):
            result = check(*arguments, **options)
            if callable(result):
                result.methods = methods
            return result

        marked.methods = methods
        return marked

    return mark


def _letters(methods):
    if not isinstance(methods, str) or not methods or not set(methods) <= set(METHODS):
        known = "".join(METHODS)
        raise ValueError(f"methods must be letters of {known}, got {validate.one_line(methods)}")
    return methods


def _grounds(ground, methods):
    """Names of `GROUNDS` in their order; by default what the methods alone give."""
    if ground is None:
        ground = "proved" if "S" in methods else "measured" if methods == "E" else "checked"
    told = (ground,) if isinstance(ground, str) else ground
    known = [name for name in GROUNDS if isinstance(told, tuple) and name in told]
    if not known or len(known) != len(told):
        raise ValueError(f"ground must be of {', '.join(GROUNDS)}, got {validate.one_line(ground)}")
    return tuple(known)


def claim(
    id,
    *,
    says,
    chapter,
    check,
    mutants=(),
    erratum=None,
    definition=False,
    unreproduced=False,
    undecided=False,
    where=None,
    methods=None,
    ground=None,
):
    """Decorator that makes a claim of the decorated statement.

    Parameters
    ----------
    id : str
        ``eq:77``, ``assumption:3.1``, ``thm:3.4``, ``lemma:B.6``, ``cor:3.6``, ``fig:2``, or
        ``new:...`` for what is ours.
    says : str
        What it says, in one line of our words (MyST Markdown).
    chapter : str
        ``notebook-name#target`` of the cell that discusses it.
    check : callable
        Maps a statement to True or False; that of an experiment to None if it decides neither.
    mutants : sequence of statements, optional
        Misreadings that no single token makes (of an order: also those that are not sharp); the
        check must reject all, and all that `jepabook.claims.mutants` makes of one token.
    erratum : Erratum, optional
    definition, unreproduced, undecided : bool
        Whether a statement that passes is a definition; whether it is an experiment that came out
        otherwise: the check must return False; or one that decides neither way: None.
    where : str, optional
        The place in the paper. Default: ``WHERE`` of the statement's module; "this book" for ours.
    methods : str, optional
        Letters of `METHODS`. Default: how the check decides, see `decided_by`.
    ground : str or tuple of str, optional
        On what ground it holds, names of `GROUNDS`; several where parts of it differ. Default: as
        the methods tell: proved if they are symbolic, measured if it is an experiment.

    Returns
    -------
    The statement itself, with the claim added to its attribute ``claims``; decorators stack.
    """
    for name, text in {"id": id, "says": says, "chapter": chapter}.items():
        validate.instance(name, text, str)
    kinds = {"definition": definition, "unreproduced": unreproduced, "undecided": undecided}
    for name, told in kinds.items():
        validate.flag(name, told)
    if sum(kinds.values()) > 1:
        raise ValueError(f"only one of {', '.join(kinds)} may be True, got {kinds}")
    if not callable(check):
        raise ValueError(f"check must be a function, got {validate.one_line(check)}")
    if erratum is not None:
        validate.instance("erratum", erratum, Erratum)
    methods = _letters(getattr(check, "methods", None) if methods is None else methods)
    grounds = _grounds(ground, methods)
    if not isinstance(mutants, (list, tuple)):
        raise ValueError(f"mutants must be a sequence, got {validate.one_line(mutants)}")

    def enter(statement):
        module = getattr(statement, "__globals__", {})
        place = where or ("this book" if id.startswith("new:") else module.get("WHERE"))
        validate.instance("where", place, str)
        entry = Claim(
            id=id,
            where=place,
            says=says,
            methods=methods,
            grounds=grounds,
            chapter=chapter,
            statement=statement,
            check=check,
            mutants=tuple(mutants),
            erratum=erratum,
            definition=definition,
            unreproduced=unreproduced,
            undecided=undecided,
        )
        statement.claims = (entry, *getattr(statement, "claims", ()))
        return statement

    return enter


def collect(modules):
    """The claims made in `modules`, by id: equations by number, ours last.

    Other items stand before the equation that follows them in their module.
    """
    modules = tuple(modules) if np.iterable(modules) else (modules,)
    for module in modules:
        validate.instance("modules", module, ModuleType)
    entries = [
        entry
        for module in modules
        for value in vars(module).values()
        if getattr(value, "__module__", None) == module.__name__
        for entry in getattr(value, "claims", ())
    ]
    book = {entry.id: entry for entry in entries}
    if len(book) < len(entries):
        ids = [entry.id for entry in entries]
        raise ValueError(f"ids must be unique, got {sorted({i for i in ids if ids.count(i) > 1})}")
    places, place = {}, 1000.0
    for entry in reversed(entries):
        kind, _, number = entry.id.partition(":")
        place = float(number) if kind == "eq" else place
        places[entry.id] = float("inf") if kind == "new" else place - (0 if kind == "eq" else 0.5)
    return {id: book[id] for id in sorted(book, key=places.get)}


def decide(claim):
    """Run a claim's check on its statement as printed and on its correction; return the verdict."""
    validate.instance("claim", claim, Claim)
    found = claim.check(claim.statement)
    if found is None:
        return INCONCLUSIVE
    if found:
        return DEFINITION if claim.definition else HOLDS
    if claim.erratum is not None and claim.check(claim.erratum.statement):
        return claim.erratum.verdict
    return NOT_REPRODUCED if claim.unreproduced else FAILS


def surviving_mutants(claim):
    """The positions of the mutants that the claim's check fails to reject (should be empty)."""
    validate.instance("claim", claim, Claim)
    return [i for i, mutant in enumerate(claim.mutants) if claim.check(mutant)]
