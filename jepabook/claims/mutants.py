"""Wrong variants of a claim's statement, made by machine: each changes or leaves out one token.

`of_book` makes them of the statement that passes the check, and of the formulas of `paper` and
`ours` that it calls, unless these are statements themselves. A check must reject every one of them:
it returns False, or an exception says that the variant has no value. Those that say the same in
other words, or less, are listed by hand, each with a reason, in ``tests/claims/equivalent.toml``.
"""

import ast
import builtins
import copy
import signal
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from threading import current_thread, main_thread
from types import CodeType, FunctionType

import numpy as np

from jepabook._support import validate
from jepabook.claims.ledger import INCONCLUSIVE, NOT_REPRODUCED, Claim

PACKAGES = ("jepabook.claims.paper.", "jepabook.claims.ours.")
PATIENCE = 120.0  # seconds after which a variant counts as one that has no value

_OPERATORS = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.Pow: (ast.Mult,),
    ast.MatMult: (ast.Add,),  # of diagonal matrices, `*` is the same
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
# names and attributes of one kind
_ALIKE = (
    *(("min", "max"), ("minimum", "maximum"), ("all", "any"), ("sum", "prod"), ("exp", "log")),
    *(("argmin", "argmax"), ("mean", "median"), ("zeros", "ones"), ("sin", "cos")),
    *(("JEPA", "MAE"), ("lam", "rho"), ("xx", "yx"), ("encoder", "decoder"), ("w", "epsilon")),
    *(("product", "transposes"), ("CCA", "CKA"), ("TOP", "BOTTOM"), ("p", "star")),
)
# only this way: the other one says less, which is no mistake
_STRONGER = {"big_o": ("theta",)}
_SWAPPED = {
    **{one: (other,) for one, other in _ALIKE},
    **{other: (one,) for one, other in _ALIKE},
    **_STRONGER,
}
_DROPPED = ("T", "mT", "real", "imag")
# left out with an operand: of these both, of a power the exponent
_LEFT_OUT = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.MatMult)
# functions that change no value: nothing is left out with them
_CONVERSIONS = {"mpf", "array", "int", "bool", "float", "Fraction", "number", "tuple", "list"}


@dataclass(frozen=True)
class Variant:
    """A statement with one token changed.

    Attributes
    ----------
    function : str
        The name of the function changed: of the statement, or of one that it calls.
    before, after : str
        The line of its source, as it is and changed.
    make : callable
        Makes the statement that the check is asked about.
    """

    function: str
    before: str
    after: str
    make: Callable = field(repr=False, compare=False)

    @property
    def name(self):
        """How lists name it: the function and the line as changed."""
        return f"{self.function}: {self.after}"


def of_book(book):
    """The variants of every claim, of the statement that passes its check.

    A function that several statements call is changed in the first of these only; one that has
    branches in none, for those may be there for a wrong statement that is written by hand.

    Parameters
    ----------
    book : dict of str to ledger.Claim

    Returns
    -------
    dict of str to list of Variant
        In the order of the source, with different names within a claim; none where no statement
        passes the check.
    """
    validate.instance("book", book, dict)
    made, tried = {}, set()
    for id, claim in book.items():
        validate.instance("book", claim, Claim)
        if claim.verdict in (NOT_REPRODUCED, INCONCLUSIVE):
            made[id] = []
            continue
        statement = passing(claim)
        called = _called(statement)
        helpers = [f for f in called.values() if f not in tried and _is_plain(f)]
        tried.update(helpers)
        parts = [_variants(statement, called, f) for f in (statement, *helpers)]
        made[id] = _named_apart([variant for part in parts for variant in part])
    return made


def _is_plain(function):
    """Whether a function is no statement itself, and one formula: other branches are for others."""
    branches = (ast.If, ast.IfExp)
    return not hasattr(function, "claims") and not any(
        isinstance(node, branches) for node in ast.walk(node_of(function))
    )


def passing(claim):
    """The statement of a claim that passes its check: the correction if there is one."""
    return claim.statement if claim.erratum is None else claim.erratum.statement


def _variants(statement, called, function):
    """The variants of a statement in which `function`, itself or one that it calls, is changed."""
    tree = copy.deepcopy(node_of(function))
    if isinstance(tree, ast.FunctionDef):
        tree.decorator_list, tree.returns = [], None
    spoken = "lambda" if function.__name__ == "<lambda>" else function.__name__
    for path, new in list(_changes(tree, function.__globals__)):
        before, old = _line(tree, path), _put(tree, path, new)
        after = _line(tree, path)
        _put(tree, path, old)
        if after != before:
            made = partial(_world, statement, called, function, (tree, path, new))
            yield Variant(spoken, before, after, made)


def _named_apart(made):
    """The same with different names: equal changes of equal tokens are numbered."""
    seen, result = Counter(), []
    for one in made:
        seen[one.name] += 1
        number = seen[one.name]
        result.append(one if number == 1 else replace(one, after=f"{one.after}  # {number}"))
    return result


def _called(statement):
    """The functions of `PACKAGES` that a function calls by name, directly or not, by name."""
    found, waiting = {}, [statement]
    while waiting:
        function = waiting.pop(0)
        for name in _names(function.__code__):
            value = function.__globals__.get(name)
            own = isinstance(value, FunctionType) and value.__module__.startswith(PACKAGES)
            if own and value is not statement and value not in found.values():
                if "<lambda>" not in value.__qualname__ and "__wrapped__" not in vars(value):
                    found[name] = value
                    waiting.append(value)
    return found


def _names(code):
    inner = [name for c in code.co_consts if isinstance(c, CodeType) for name in _names(c)]
    return list(dict.fromkeys([*code.co_names, *inner]))


@cache
def _functions(path):
    """The functions in a file: {line where it begins, its decorators with it: nodes of `ast`}."""
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.Lambda)):
            first = min(n.lineno for n in (node, *getattr(node, "decorator_list", ())))
            found.setdefault(first, []).append(node)
    return found


def node_of(function):
    """A function's part of its file, a node of `ast`."""
    code = function.__code__
    *_, node = (n for n in _functions(code.co_filename)[code.co_firstlineno] if _is_of(n, code))
    return node  # the innermost, where several lambdas hold it


def _is_of(node, code):
    if isinstance(node, ast.FunctionDef):
        return node.name == code.co_name
    body = node.body
    first, last = (body.lineno, body.col_offset), (body.end_lineno, body.end_col_offset)
    return code.co_name == "<lambda>" and all(
        first <= (line, column) and (end_line, end_column) <= last
        for line, end_line, column, end_column in code.co_positions()
        if None not in (line, end_line, column, end_column) and (column, end_column) != (0, 0)
    )


def _world(statement, called, changed, change):
    """The statement, among functions of its own that it calls, one of which is changed."""
    original, path, new_node = change
    tree = copy.deepcopy(original)
    _put(tree, path, new_node)
    involved = {**called, statement.__name__: statement}
    spaces = {f.__module__: dict(f.__globals__) for f in involved.values()}
    new = {}
    for function in involved.values():
        space = spaces[function.__module__]
        if function is changed:
            new[function] = _compiled(tree, function, space)
        else:
            new[function] = FunctionType(
                function.__code__,
                space,
                function.__name__,
                function.__defaults__,
                function.__closure__,
            )
            new[function].__kwdefaults__ = function.__kwdefaults__
    for space in spaces.values():
        for name, value in tuple(space.items()):
            if isinstance(value, FunctionType) and value in new:
                space[name] = new[value]
    return new[statement]


def _compiled(tree, function, space):
    """The function of a changed tree, with the closure of the one that it was made of."""
    cells = function.__closure__ or ()
    free = dict(zip(function.__code__.co_freevars, cells, strict=True))
    given = ast.arguments([], [ast.arg(name) for name in free], None, [], [], None, [])
    if isinstance(tree, ast.Lambda):
        body = [ast.Return(tree)]
    else:
        body = [tree, ast.Return(ast.Name(tree.name, ast.Load()))]
    outer = ast.FunctionDef("_outer", given, body, [], None)
    module = ast.Module([outer], [])
    ast.fix_missing_locations(module)
    local = {}
    exec(compile(module, f"<variant of {function.__name__}>", "exec"), space, local)
    return local["_outer"](*(cell.cell_contents for cell in free.values()))


def _changes(tree, known):
    """Pairs (path to a node, the node to be put there)."""
    for path, node, scopes in _walk(tree, (), ()):
        for new in _instead(node, scopes, known, tree):
            yield path, new


def _walk(node, path, scopes):
    """Every node that counts, in the order of the source, with its path and its scopes."""
    if isinstance(node, (ast.FunctionDef, ast.Lambda)):
        scopes = (_scope(node), *scopes)
    yield path, node, scopes
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "ctx", "type_comment"):
            continue
        parts = value if isinstance(value, list) else [value]
        for index, part in enumerate(parts):
            if isinstance(part, ast.AST) and not _says_nothing(part):
                here = (name, index if isinstance(value, list) else None)
                yield from _walk(part, (*path, here), scopes)


def _says_nothing(node):
    """A docstring, the texts of an f-string, and how strictly pairs are made."""
    told = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    strict = isinstance(node, ast.keyword) and node.arg == "strict"
    return told or strict or isinstance(node, ast.JoinedStr)


def _scope(node):
    """The parameters of a function."""
    given = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
    return [a.arg for a in given if not a.arg.startswith("_")]


def _instead(node, scopes, known, tree):
    if isinstance(node, (ast.BinOp, ast.BoolOp, ast.AugAssign)):
        yield from (_with(node, op=other()) for other in _OPERATORS.get(type(node.op), ()))
        if isinstance(node, ast.BinOp):
            yield from _operands(node)
    elif isinstance(node, ast.Call):
        yield from _argument(node)
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.Compare):
        for index, op in enumerate(node.ops):
            for other in _OPERATORS.get(type(op), ()):
                yield _with(node, ops=[*node.ops[:index], other(), *node.ops[index + 1 :]])
    elif isinstance(node, ast.Constant):
        yield from map(ast.Constant, _numbers(node.value, tree))
    elif isinstance(node, ast.Attribute):
        yield from (_with(node, attr=name) for name in _SWAPPED.get(node.attr, ()))
        if node.attr in _DROPPED:
            yield node.value
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        yield from (_with(node, id=name) for name in _others(node.id, scopes, known))


def _operands(node):
    """What is left of a sum or a product without one of its two parts, of a power without one."""
    if isinstance(node.op, _LEFT_OUT):
        yield from (node.left, node.right)
    elif isinstance(node.op, ast.Pow):
        yield node.left


def _argument(node):
    """What is left of a call without the function, if it has one argument."""
    name = getattr(node.func, "attr", getattr(node.func, "id", None))
    if len(node.args) == 1 and not node.keywords and name not in _CONVERSIONS:
        (argument,) = node.args
        if not isinstance(argument, (ast.GeneratorExp, ast.Starred)):
            yield argument


def _with(node, **changes):
    new = copy.copy(node)
    vars(new).update(changes)
    return new


def _numbers(value, tree):
    """Other values of a constant: one more, one less; a tenth for what lies between integers."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1]
    if isinstance(value, float):
        if value == int(value):
            return [value + 1, value - 1]
        return [float(f"{value * 1.1:.6g}"), float(f"{value * 0.9:.6g}")]
    if isinstance(value, str):  # another text of the same function
        texts = [
            n.value
            for n in ast.walk(tree)
            if isinstance(n, ast.Constant) and isinstance(n.value, str) and n.value != value
        ]
        return list(dict.fromkeys(t for t in texts if "\n" not in t))
    return []


def _others(name, scopes, known):
    """Names of the same kind: the next parameter, or its twin among what the module knows."""
    for given in scopes:
        if name in given:
            return [given[(given.index(name) + 1) % len(given)]] if len(given) > 1 else []
    twins = list(_SWAPPED.get(name, ()))
    for one, other in (("jepa_", "mae_"), ("mae_", "jepa_")):
        if one in name:
            twins.append(name.replace(one, other))
    return [twin for twin in twins if twin in known or hasattr(builtins, twin)]


def _follow(tree, path):
    nodes = [tree]
    for name, index in path:
        value = getattr(nodes[-1], name)
        nodes.append(value if index is None else value[index])
    return nodes


def _put(tree, path, new):
    """Put a node in the place of another; return that one."""
    *way, (name, index) = path
    parent = _follow(tree, way)[-1]
    old = _follow(parent, ((name, index),))[-1]
    if index is None:
        setattr(parent, name, new)
    else:
        getattr(parent, name)[index] = new
    return old


def _line(tree, path):
    """The line of source that a node stands in: its statement, of a compound one the head."""
    nodes = _follow(tree, path)
    for depth in range(len(nodes) - 1, -1, -1):
        if isinstance(nodes[depth], ast.stmt):
            if not hasattr(nodes[depth], "body"):
                return ast.unparse(nodes[depth])
            part = nodes[depth + 1]
            return f"{path[depth][0]} {ast.unparse(part)}"
    return ast.unparse(tree)


def is_rejected(claim, variant):
    """Whether a claim's check rejects a variant: False, or an exception, or no end in `PATIENCE`.

    Parameters
    ----------
    claim : ledger.Claim
    variant : Variant
    """
    validate.instance("claim", claim, Claim)
    validate.instance("variant", variant, Variant)
    with warnings.catch_warnings(), np.errstate(all="ignore"), _limited(PATIENCE):
        warnings.simplefilter("ignore")
        try:
            return not claim.check(variant.make())
        except Exception:
            return True


@contextmanager
def _limited(seconds):
    """TimeoutError in the body after these seconds, where the system can (not in Windows)."""
    if not hasattr(signal, "setitimer") or current_thread() is not main_thread():
        yield
        return

    def late(*_):
        raise TimeoutError(f"the check must end within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
