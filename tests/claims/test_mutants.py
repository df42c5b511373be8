"""Variants of one token that the checks must reject: a sample here, all by `make mutants`."""

from random import Random

import pytest

from jepabook import claims
from jepabook.claims import mutants
from jepabook.claims.ledger import Erratum, claim
from tools.mutants import excused

BOOK = claims.book()
SAMPLE = 2  # of a claim
LISTED = excused()


@pytest.fixture(scope="module")
def made():
    return mutants.of_book(BOOK)


@pytest.mark.parametrize("id", BOOK)
def test_a_sample_of_variants_is_rejected(id, made):
    wrong = [variant for variant in made[id] if variant.name not in LISTED.get(id, {})]
    tried = Random(id).sample(wrong, min(SAMPLE, len(wrong)))
    passed = [v.name for v in tried if not mutants.is_rejected(BOOK[id], v)]
    assert not passed, "mend the check, or list what says the same in tests/claims/equivalent.toml"


def test_every_check_has_something_to_reject(made):
    assert not [id for id, claim in BOOK.items() if not claim.mutants and not made[id]]


def test_what_is_listed_is_there_and_has_a_reason(made):
    for id, listed in LISTED.items():
        names = {variant.name for variant in made[id]}
        assert not listed.keys() - names, id
        assert all(len(reason) > 10 for reason in listed.values()), id


def test_names_of_a_claims_variants_differ(made):
    for variants in made.values():
        assert len({variant.name for variant in variants}) == len(variants)


def half(x, y):
    """Of the sum."""
    return (x + y) / 2


TWICE = 2
REPEATED = ("in ('y', 'y')", "in ('x', 'x')")


def claim_of(statement, check, **more):
    given = {"says": "it is", "chapter": "none#none", "mutants": [half], "methods": "S"}
    return claim("new:test", check=check, **given | more)(statement).claims[0]


def of(statement, **more):
    """The variants of a statement, as a claim of its own."""
    entry = claim_of(statement, lambda statement: True, **more)
    return mutants.of_book({"new:test": entry})["new:test"]


def changed(variants):
    return [variant.after for variant in variants]


def test_every_token_is_changed_and_left_out_once():
    found = changed(of(half))
    assert found == [
        "return (x + y) * 2",
        "return x + y",
        "return 2",
        "return (x - y) / 2",
        "return x / 2",
        "return y / 2",
        "return (y + y) / 2",
        "return (x + x) / 2",
        "return (x + y) / 3",
        "return (x + y) / 1",
    ]
    assert [v.make()(3, 5) for v in of(half)] == [16, 8, 2, -1, 1.5, 2.5, 5, 3, 8 / 3, 8]


@pytest.mark.parametrize(
    ("statement", "tails"),
    [
        (lambda a: -a.T, ["a.T", "-a"]),
        (lambda a: a.lam, ["a.rho"]),
        (lambda a: a < 0.5, ["a <= 0.5", "a > 0.5", "a < 0.55", "a < 0.45"]),
        (lambda a, b: a and not b, ["a or not b", "b and (not b)", "a and b", "a and (not a)"]),
        (lambda a: a in ("x", "y"), [f"a {x}" for x in ("not in ('x', 'y')", *REPEATED)]),
        (lambda a: max(a) ** TWICE, ["max(a) * TWICE", "max(a)", "a ** TWICE", "min(a) ** TWICE"]),
        (lambda a: max(x for x in a), ["min((x for x in a))"]),
        (lambda a, b: int(a) @ b, ["int(a) + b", "int(a)", "b", "int(b) @ b", "int(a) @ a"]),
        (lambda a: True, ["False"]),
        (lambda a, b: list(zip(a, b, strict=True)), ["list(zip(b, b, strict=True))"]),
        (lambda a: f"{a + 1}", []),
    ],
)
def test_tokens_of_every_kind(statement, tails):
    found = [after.partition(": ")[2] for after in changed(of(statement))]
    assert found[: len(tails)] == tails


def laid_out_otherwise(x, y):
    return (
        (x + y)  # of both
        / (2)
    )


def test_names_do_not_depend_on_how_a_statement_is_laid_out():
    """They are made of its syntax tree, so that the list outlives another layout."""
    assert changed(of(laid_out_otherwise)) == changed(of(half))


def test_two_lambdas_of_one_line_are_told_apart():
    one, other = (lambda a: a + 1), (lambda a: a - 1)
    assert changed(of(one))[0] == "lambda a: a - 1"
    assert changed(of(other))[0] == "lambda a: a + 1"


def test_a_variant_keeps_closure_and_defaults():
    def around(shift):
        def moved(x, by=2):
            return x * by + shift

        return moved

    values = {v.after: v.make()(3) for v in of(around(10))}
    assert values["return x * by - shift"] == -4 and values["return x / by + shift"] == 11.5
    assert values["args x, by=3"] == 19


def test_the_correction_is_what_is_changed():
    found = of(lambda a: a + 1, erratum=Erratum(lambda a: a * 5, says="5", consequence="none"))
    assert changed(found)[0] == "lambda a: a / 5"


@pytest.mark.parametrize("kind", ["unreproduced", "undecided"])
def test_an_item_that_is_not_reproduced_or_undecided_has_none(kind):
    assert of(lambda a: a + 1, **{kind: True}) == []


def test_formulas_that_a_statement_calls_are_changed_with_it_and_once(made):
    where = [id for id in BOOK if any(v.function == "signed_size" for v in made[id])]
    assert where == ["new:negative-covariance"]
    variant = next(v for v in made[where[0]] if v.function == "signed_size")
    assert variant.make()(3, 1, 1, 1, 1, 2) != BOOK[where[0]].statement(3, 1, 1, 1, 1, 2)


@pytest.mark.parametrize(
    ("check", "rejected"),
    [
        (lambda s: True, False),
        (lambda s: False, True),
        (lambda s: 1 / 0, True),
        (lambda s: s(1, 2), False),
    ],
)
def test_a_variant_is_rejected_by_false_or_an_exception(check, rejected):
    entry, variant = claim_of(half, check), of(half)[0]
    assert mutants.is_rejected(entry, variant) == rejected


def test_a_variant_that_never_ends_is_rejected(monkeypatch):
    monkeypatch.setattr(mutants, "PATIENCE", 0.2)

    def for_ever(statement):
        while True:
            statement(1, 2)

    assert mutants.is_rejected(claim_of(half, for_ever), of(half)[0])


def test_ctrl_c_is_no_verdict():
    def stopped(statement):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mutants.is_rejected(claim_of(half, stopped), of(half)[0])
