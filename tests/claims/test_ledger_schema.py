"""What `ledger.json` and `python -m jepabook.claims --json` promise: `ledger.schema.json`."""

import copy
import json

import pytest
from jsonschema import Draft202012Validator

from jepabook import claims
from jepabook.claims import __main__, pages
from jepabook.claims.ledger import GROUNDS, METHODS, VERDICTS
from tools import book
from tools.notebooks import ROOT

SCHEMA = json.loads((ROOT / "book/ledger" / book.LEDGER_SCHEMA).read_text(encoding="utf-8"))
ROW = SCHEMA["$defs"]["row"]
MADE = {
    "commit": {"hash": "0123abc", "date": "2026-01-31", "changed": False},
    "versions": {"Python": "3.11.7"},
}
ROWS = [pages.record(claim, claim.verdict) for claim in claims.book().values()]


def test_the_schema_is_one_and_knows_the_version_the_verdicts_the_methods_and_the_grounds():
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["version"]["const"] == book.LEDGER_VERSION
    assert SCHEMA["$defs"]["verdict"]["enum"] == list(VERDICTS)
    assert ROW["properties"]["methods"]["items"]["enum"] == list(METHODS)
    assert ROW["properties"]["ground"]["items"]["enum"] == list(GROUNDS)


def test_every_field_of_a_row_is_described_and_what_all_rows_have_is_required():
    described = {name for name, field in ROW["properties"].items() if field.get("description")}
    assert described == ROW["properties"].keys() == {"line"}.union(*ROWS)
    assert set(ROW["required"]) == set.intersection(*map(set, ROWS))


@pytest.mark.parametrize("commit", [MADE["commit"], None])
def test_all_rows_are_published_with_a_version_and_their_origin(commit):
    ledger = book.published(ROWS, MADE | {"commit": commit}, SCHEMA)
    assert json.loads(json.dumps(ledger)) == ledger and ledger["rows"] == ROWS
    assert ledger["version"] == 1 and ledger["made_from"]["commit"] == commit
    assert len({row["id"] for row in ROWS}) == len(ROWS)


def test_the_command_prints_a_list_of_such_rows(capsys):
    assert __main__.main(["--json", "eq:46", "eq:1"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert isinstance(rows, list) and len(rows) == 2
    of_row = Draft202012Validator({"$defs": SCHEMA["$defs"], "$ref": "#/$defs/row"})
    assert not [error for row in rows for error in of_row.iter_errors(row)]


def without(name):
    return lambda row: row.pop(name)


def to(name, value):
    return lambda row: row.update({name: value})


@pytest.mark.parametrize(
    "damage",
    [
        *map(without, ROW["required"]),
        to("verdict", "holds?"),
        to("methods", []),
        to("methods", "S"),
        to("methods", ["S", "S"]),
        to("methods", ["X"]),
        to("ground", []),
        to("ground", ["sure"]),
        to("ground", "proved"),
        to("id", "eq 46"),
        to("says", ""),
        to("mutants", -1),
        to("mutants", "3"),
        to("chapter_link", "https://x.org/a.html#b"),
        to("chapter_link", "notebooks/a.html"),
        to("correction", "$x$"),  # without a consequence
        to("statement", "os.system"),
    ],
)
def test_a_row_that_breaks_the_schema_is_not_published(damage):
    rows = copy.deepcopy(ROWS)
    damage(next(row for row in rows if "correction" not in row))
    with pytest.raises(book.BuildFailed, match=r"ledger\.json breaks its schema at \$\.rows\["):
        book.published(rows, MADE, SCHEMA)


@pytest.mark.parametrize("made", [{}, {"commit": "abc", "versions": {}}, {"commit": None}])
def test_an_origin_that_breaks_the_schema_is_not_published(made):
    with pytest.raises(book.BuildFailed, match=r"\$\.made_from"):
        book.published(ROWS, made, SCHEMA)
    with pytest.raises(book.BuildFailed, match=r"\$\.rows"):
        book.published([], MADE, SCHEMA)
