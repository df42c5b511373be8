"""The reference: every public name of the package is in it, with a docstring.

What the pages of `book/api` document is read from their directives. The modules that they leave out
are named below, with the reason.
"""

import importlib
import inspect
import pkgutil
import re
from types import SimpleNamespace

import pytest

import jepabook
from jepabook import claims
from tools.notebooks import ROOT, toc_entries

PAGES = sorted((ROOT / "book" / "api").glob("*.md"))
DIRECTIVE = re.compile(
    r"^\.\. auto(module|class|function):: (\S+)\n((?:   :.*\n)*)", flags=re.MULTILINE
)
CLAIMS = "statements and checks of the ledger: each is described by its row, which its claim says"
FOLDER = "has no names of its own"
LEFT_OUT = {
    "jepabook": "its names are those of its modules",
    "jepabook.claims.mutants": "makes wrong variants of statements, for the tests of the ledger",
    "jepabook.claims.pages": "makes the pages of the ledger",
    "jepabook.claims.paper": FOLDER,
    "jepabook.claims.ours": FOLDER,
    "jepabook.claims.checks": FOLDER,
    "jepabook.claims.paper.*": CLAIMS,
    "jepabook.claims.ours.*": CLAIMS,
    "jepabook.claims.checks.*": CLAIMS,
    "jepabook.theory": FOLDER,
    "jepabook.training": FOLDER,
    "jepabook.worlds": FOLDER,
    "jepabook.training.networks": "the inside of linear_net, which hands on all that is public",
    "jepabook.spectrum.*": "the inside of spectrum, which hands on all that is public",
    "jepabook.watch.*": "the inside of watch, which hands on all that is public",
    "jepabook.vision": FOLDER,
    "jepabook.vision.convert": "a command; its function is handed on by vision.images",
    "jepabook.vision.crops": "the inside of vision.images",
    "jepabook.vision.decoding": "the inside of vision.convert",
    "jepabook.vision.layout": "the inside of vision.convert",
    "jepabook.vision.sources": "the inside of vision.convert",
    "jepabook.vision.stored": "the inside of vision.convert and vision.images",
    "jepabook.vision.survey": "the inside of vision.convert",
    "jepabook.vision.tables": "the inside of vision.convert",
}
COMMAND = {"main", "parser"}  # of a module that is a command: its --help describes it


def modules():
    """All modules but private ones and the commands that packages are."""
    walked = pkgutil.walk_packages(jepabook.__path__, "jepabook.")
    names = ["jepabook", *(module.name for module in walked)]
    return [name for name in names if not re.search(r"\._", name)]


def documented():
    """The names in directives of the pages, by kind; every module with all of its members."""
    found = {"module": set(), "class": set(), "function": set()}
    for page in PAGES:
        for kind, name, options in DIRECTIVE.findall(page.read_text(encoding="utf-8")):
            assert name not in found[kind], f"{name} twice"
            assert kind == "function" or ":members:" in options, f"{name} without members"
            hidden = re.findall(r":exclude-members: (.*)", options)
            assert {n for line in hidden for n in line.split(", ")} <= COMMAND, name
            found[kind].add(name)
    return found


def left_out(name):
    return name in LEFT_OUT or f"{name.rpartition('.')[0]}.*" in LEFT_OUT


def public(module):
    """The functions and classes that a module offers, by name."""
    own = vars(module)
    names = own.get("__all__") or [
        name
        for name, value in own.items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]
    things = {name: own[name] for name in names}
    return {
        name: thing
        for name, thing in things.items()
        if inspect.isclass(thing) or inspect.isfunction(thing)
    }


def undocumented(name, thing):
    """Names without a docstring: of a thing, and of a class's own public methods (may inherit)."""
    found = [] if (thing.__doc__ or "").strip() else [name]
    if inspect.isclass(thing):
        found = found or ([name] if thing.__doc__.startswith(f"{thing.__name__}(") else [])
        for key, value in vars(thing).items():
            told = getattr(value, "fget", getattr(value, "__func__", value))
            if inspect.isfunction(told) and not key.startswith("_"):
                found += [] if inspect.getdoc(getattr(thing, key)) else [f"{name}.{key}"]
    return found


def test_every_module_is_in_the_reference_or_left_out_for_a_reason():
    shown = documented()["module"]
    assert shown <= set(modules())
    missing = [name for name in modules() if name not in shown and not left_out(name)]
    assert not missing, "add these modules to a page of book/api, or to LEFT_OUT with the reason"
    assert not [name for name in shown if name in LEFT_OUT]
    stale = [name for name in LEFT_OUT if not name.endswith("*") and name not in modules()]
    assert not stale, "LEFT_OUT names modules that do not exist"


@pytest.mark.parametrize("name", sorted(documented()["module"]))
def test_public_names_have_docstrings(name):
    module = importlib.import_module(name)
    offered = public(module)
    assert module.__doc__, f"{name} has no docstring"
    missing = [said for key, thing in offered.items() for said in undocumented(key, thing)]
    assert not missing, f"{name}: these have no docstring, so the reference lacks them"


def test_what_an_inner_module_offers_alone_is_found_there():
    for kind in ("class", "function"):
        for name in documented()[kind]:
            home, _, key = name.rpartition(".")
            thing = getattr(importlib.import_module(home), key)
            assert thing.__module__ == home and not undocumented(key, thing)


def by_position(module):
    """The public functions and methods of a module that take depth or epsilon by position."""
    things = dict(public(module))
    for name, thing in public(module).items():
        if inspect.isclass(thing):
            methods = {key: value for key, value in vars(thing).items() if key[0] != "_"}
            things |= {f"{name}.{key}": value for key, value in methods.items()}
    return [
        name
        for name, thing in things.items()
        if inspect.isfunction(thing)
        and any(
            parameter.kind != parameter.KEYWORD_ONLY
            for key, parameter in inspect.signature(thing).parameters.items()
            if key in ("depth", "epsilon")
        )
    ]


def test_depth_and_epsilon_are_given_by_keyword():
    """Everywhere but in statements of the ledger and their checks, which call each other."""
    parts = ("jepabook.claims.paper", "jepabook.claims.ours", "jepabook.claims.checks")
    named = [name for name in modules()[1:] if not name.startswith(parts)]
    found = {name: by_position(importlib.import_module(name)) for name in named}
    assert len(named) > 50 and not {name: bad for name, bad in found.items() if bad}


def test_statements_of_the_ledger_are_described_by_their_rows():
    assert all(entry.says.strip() for entry in claims.book().values())


def test_the_pages_are_in_the_table_of_contents():
    entries = {f"book/api/{page.stem}" for page in PAGES}
    assert len(PAGES) >= 5 and entries <= set(toc_entries())


class TestItWouldBeCaught:
    def test_a_function_without_a_docstring(self):
        def bare():
            return None

        assert undocumented("bare", bare) == ["bare"]

    def test_a_method_without_one(self):
        class Told:
            """It has one."""

            def bare(self):
                return None

            @property
            def likewise(self):
                return None

            def _private(self):
                return None

        assert undocumented("Told", Told) == ["Told.bare", "Told.likewise"]

    def test_a_dataclass_that_only_has_what_python_writes(self):
        from dataclasses import make_dataclass

        assert undocumented("Bare", make_dataclass("Bare", ["x"])) == ["Bare"]

    def test_a_depth_that_is_given_by_position(self):
        def scale(rho, depth):
            return rho**depth

        class Kind:
            def power(self, *, depth):
                return depth

            def size(self, epsilon):
                return epsilon

        offered = {"__all__": ["scale", "Kind"], "scale": scale, "Kind": Kind}
        assert by_position(SimpleNamespace(**offered)) == ["scale", "Kind.size"]

    def test_a_module_that_nobody_listed(self):
        assert not left_out("jepabook.brand_new") and left_out("jepabook.claims.ours.brand_new")
