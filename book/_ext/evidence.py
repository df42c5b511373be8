"""What decides a row of the ledger, in the open: its code, its check, the wrong variants.

Every row of the ledger's page gets a link to the lines of its statement, in a page with the source
of that module. Where scripts run, `ledger.js` makes a button of the link, which unfolds all of it
under the row: out of a script of its own, for a page that is read from a file may fetch no other.

The marks in the chapters, which name rows with their verdicts, are told the grounds here as well.

The code is cut from its files: the statement, what it is corrected to, the expression that makes
the check and the variants that are written by hand; and, after each, what it calls of the ledger's
own functions and constants: in full what is near, as links into the source what is far.
"""

import ast
import json
import re
import textwrap
from dataclasses import dataclass
from functools import cache
from html import escape
from itertools import groupby, pairwise
from pathlib import Path

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from jepabook import claims
from jepabook.claims import ledger, mutants, pages
from tools.mutants import excused
from tools.notebooks import ROOT
from tools.policy import META

PAGE = "notebooks/ledger"
STATIC = "_static/ledger"
PACKAGE = "jepabook.claims"
NEAR = 1  # calls from a function, within which what is called is shown in full
SHEETS = ("../../pygments.css", "../../book.css", "../ledger.css")
LEXER = PythonLexer(ensurenl=False)
DEFINED = (ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)


@dataclass(frozen=True)
class Part:
    """A piece of source: its module, its first line there, its name if it has one, its text."""

    module: str
    line: int
    name: str
    text: str
    far: bool = False

    @property
    def place(self):
        """Where it stands, in words."""
        return f"{self.module.replace('.', '/')}.py, line {self.line}"

    @property
    def address(self):
        """Where it stands on the site, from the ledger's page."""
        return f"../{STATIC}/source/{self.module}.html#line-{self.line}"


class Module:
    """A file of the package: its text, what it defines, what it imports."""

    def __init__(self, name):
        self.name = name
        path = ROOT.joinpath(*name.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        self.lines = path.read_text(encoding="utf-8").splitlines()
        self.defined = {}
        self.imported = {}
        for node in ast.parse("\n".join(self.lines)).body:
            if isinstance(node, ast.ImportFrom):
                for name in node.names:
                    self.imported[name.asname or name.name] = (node.module, name.name)
            elif isinstance(node, DEFINED):
                targets = node.targets if isinstance(node, ast.Assign) else [node]
                for target in targets:
                    for one in ast.walk(target) if isinstance(node, ast.Assign) else [target]:
                        name = getattr(one, "id", None) or getattr(one, "name", None)
                        if name:
                            self.defined[name] = node

    def part(self, node, far=False):
        """The source of a node, less the decorators that make claims."""
        first, end = node.lineno, node.end_lineno
        lines = self.lines[first - 1 : end]
        if isinstance(node, ast.expr):  # what else stands in its lines is none of it
            lines[-1] = lines[-1].encode()[: node.end_col_offset].decode()
            lines[0] = " " * node.col_offset + lines[0].encode()[node.col_offset :].decode()
        for one in reversed(getattr(node, "decorator_list", [])):
            if not _makes_a_claim(one):
                lines = self.lines[one.lineno - 1 : one.end_lineno] + lines
                first = min(first, one.lineno)
        targets = getattr(node, "targets", [])
        name = getattr(node, "name", "") or ", ".join(map(ast.unparse, targets))
        return Part(self.name, first, name, textwrap.dedent("\n".join(lines)), far)

    def find(self, name, attribute):
        """Where the ledger defines what is called by a name, or an attribute of a module."""
        if name in self.defined:
            return self, self.defined[name]
        source, original = self.imported.get(name, ("", ""))
        if not source.startswith(PACKAGE) or source == ledger.__name__:
            return None
        if attribute and _is_module(f"{source}.{original}"):
            return module(f"{source}.{original}").find(attribute, None)
        return None if _is_module(f"{source}.{original}") else module(source).find(original, None)


@cache
def module(name):
    return Module(name)


def _is_module(name):
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def _makes_a_claim(node):
    return isinstance(node, ast.Call) and getattr(node.func, "id", None) == "claim"


def _names(node):
    """The names in a piece of code, each with the attribute that is taken of it; in its order."""
    skipped = [one for one in getattr(node, "decorator_list", []) if _makes_a_claim(one)]
    waiting = [node]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name):
            yield one.value.id, one.attr
        elif isinstance(one, ast.Name):
            yield one.id, None
        waiting = [n for n in ast.iter_child_nodes(one) if n not in skipped] + waiting


class Reader:
    """Cuts pieces of code, and what they call, from their files: each function once."""

    def __init__(self):
        self.told = set()

    def read(self, starts):
        """The pieces, then the ledger's functions and constants that they lead to."""
        parts = []
        waiting = [(*start, -1 if isinstance(start[1], ast.expr) else 0) for start in starts]
        while waiting:
            where, node, depth = waiting.pop(0)
            if node not in self.told:
                self.told.add(node)
                parts.append(where.part(node, depth > NEAR))
                found = [found for one in _names(node) if (found := where.find(*one))]
                waiting += [(*one, depth + 1) for one in found]
        return parts


@dataclass(frozen=True)
class Evidence:
    """All that decides a row.

    `equivalent` holds the variants that are listed as saying the same, each with the reason.
    """

    statement: list[Part]
    correction: list[Part]
    check: list[Part]
    by_hand: list[Part]
    called_by_hand: list[Part]
    by_machine: list[mutants.Variant]
    equivalent: list[tuple[mutants.Variant, str]]


def gather(claim, variants, listed):
    """The evidence of a claim."""
    where, reader = module(claim.statement.__module__), Reader()
    node = where.defined[claim.statement.__name__]
    (made,) = (one for one in node.decorator_list if _makes_a_claim(one) and _id(one) == claim.id)
    given = {keyword.arg: (where, keyword.value) for keyword in made.keywords}
    written = []
    if "mutants" in given:  # else the machine's are all
        wrong = _resolved(*given["mutants"])
        elements = wrong[1].elts if isinstance(wrong[1], (ast.List, ast.Tuple)) else [wrong[1]]
        written = [_resolved(wrong[0], one) for one in elements]
    return Evidence(
        statement=reader.read([(where, node)]),
        correction=reader.read([_corrected(*given["erratum"])]) if claim.erratum else [],
        check=reader.read([_resolved(*given["check"])]),
        by_hand=[place.part(one) for place, one in written],
        called_by_hand=_all_but(reader, written),
        by_machine=[one for one in variants if one.name not in listed],
        equivalent=[(one, listed[one.name]) for one in variants if one.name in listed],
    )


def _id(made):
    return made.args[0].value if isinstance(made.args[0], ast.Constant) else None


def _resolved(where, node):
    """What a name stands for: the function, or the expression that is assigned to it."""
    while isinstance(node, (ast.Name, ast.Attribute)):
        found = next((found for one in _names(node) if (found := where.find(*one))), None)
        if found is None:
            break
        where, node = found
        node = node.value if isinstance(node, ast.Assign) else node
    return where, node


def _corrected(where, node):
    """The corrected statement in what makes an erratum."""
    where, node = _resolved(where, node)
    named = [keyword.value for keyword in node.keywords if keyword.arg == "statement"]
    return _resolved(where, (*node.args, *named)[0])


def _all_but(reader, starts):
    """What pieces of code call, without the pieces."""
    reader.told.update(node for _, node in starts)
    calls = [found for at, node in starts for one in _names(node) if (found := at.find(*one))]
    return reader.read(calls)


# --- as HTML ---------------------------------------------------------------------------------


@cache
def coloured(text):
    """Python as HTML, in the classes of the site's style sheet."""
    return highlight(text, LEXER, HtmlFormatter(nowrap=True)).rstrip("\n")


def changed(before, after):
    """The second line as HTML, marked where its tokens differ from those of the first."""
    number = re.search(r"(  # \d+)?$", after)[0]  # tells equal ones apart
    one, other = (
        [value for _, value in LEXER.get_tokens(text)]
        for text in (before, after.removesuffix(number))
    )
    ends = min(len(one), len(other))
    head = next((i for i in range(ends) if one[i] != other[i]), ends)
    tail = next((i for i in range(ends - head) if one[-1 - i] != other[-1 - i]), ends - head)
    last = len(other) - tail
    if last == head:  # something is gone: its neighbour is marked
        head -= head > 0 and not other[head - 1].isspace()
        last = head + 1
    parts = (escape("".join(part), quote=False) for part in _cut(other, head, last))
    return "{}<mark>{}</mark>{}".format(*parts) + number


def _cut(tokens, *places):
    return [tokens[a:b] for a, b in pairwise((0, *places, len(tokens)))]


def _block(part, place=True):
    link = f'<a href="{part.address}">{escape(part.place)}</a>'
    told = f'<p class="ledger-place">{link}</p>' if place else ""
    return f'{told}<div class="highlight"><pre tabindex="0">{coloured(part.text)}</pre></div>'


def _called(parts):
    """What a piece of code calls, folded."""
    if not parts:
        return ""
    near = "".join(_block(part) for part in parts if not part.far)
    links = [f'<a href="{one.address}"><code>{one.name}</code></a>' for one in parts if one.far]
    far = f"<p>These call {', '.join(links)}.</p>" if links else ""
    return f"<details><summary>what it calls ({len(parts)})</summary>{near}{far}</details>"


def _variants(variants):
    out = []
    for (function, before), group in groupby(variants, lambda v: (v.function, v.before)):
        lines = "".join(f"<li><code>{changed(before, v.after)}</code></li>" for v in group)
        line = f'<code class="highlight">{coloured(before)}</code>'
        out.append(f"<p>{line} in {escape(function)}</p><ul>{lines}</ul>")
    return "".join(out)


def _section(title, html, note=""):
    note = f"<p>{note}</p>" if note else ""
    return f"<section><h3>{title}</h3>{note}{html}</section>" if html else ""


def fragment(id, evidence):
    """The evidence of a claim as HTML."""
    statement, *helpers = evidence.statement
    check, *parts = evidence.check
    # the function that makes the check, where it is made for this row
    made = [] if check.name else parts[:1]
    parts = parts[len(made) :]
    by_hand = "".join(_block(part, place=False) for part in evidence.by_hand)
    same = "".join(
        f"<li><code>{changed(variant.before, variant.after)}</code> {escape(reason)}</li>"
        for variant, reason in evidence.equivalent
    )
    corrected = evidence.correction
    title = "The statement as printed" if corrected else "The statement"
    count = len(evidence.by_machine)
    return "".join(
        [
            _section(title, _block(statement) + _called(helpers)),
            _section(
                "The statement corrected",
                "".join(map(_block, corrected[:1])) + _called(corrected[1:]),
            ),
            _section("The check", "".join(map(_block, [check, *made])) + _called(parts)),
            _section(
                f"Misreadings that it must reject, written by hand ({len(evidence.by_hand)})",
                by_hand and by_hand + _called(evidence.called_by_hand),
            ),
            _section(
                f"Wrong variants that it must reject, made by machine ({count})",
                _variants(evidence.by_machine),
                f"Each has one token changed. <code>make mutants ID={id}</code> tries them all.",
            ),
            _section(
                f"Variants that are not wrong ({len(evidence.equivalent)})",
                same and f"<ul>{same}</ul>",
                "They pass the check, each for the reason told.",
            ),
        ]
    )


def source_page(name):
    """A page with the source of a module."""
    source = "\n".join(module(name).lines)
    text = highlight(source, LEXER, HtmlFormatter(linespans="line"))
    sheets = "\n".join(f'<link rel="stylesheet" href="{sheet}" />' for sheet in SHEETS)
    return f"""<!DOCTYPE html>
<html lang="en" data-theme="light">
<head>
<meta charset="utf-8" />
{META}
<meta name="viewport" content="width=device-width, initial-scale=1" />
<meta name="robots" content="noindex" />
<title>{name}</title>
{sheets}
</head>
<body class="ledger-source">
<main class="bd-article">
<h1>{name}</h1>
<p><a href="../../../{PAGE}.html">The ledger</a></p>
{text}
</main>
</body>
</html>
"""


def modules():
    """The modules of the ledger, statements and checks."""
    files = ROOT.joinpath(*PACKAGE.split(".")).rglob("*.py")
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files]
    return sorted(name.removesuffix(".__init__") for name in names)


def link_rows(app, doctree, docname):
    """Put the link to its statement's source into every row of the ledger."""
    if docname != PAGE or app.builder.format != "html":
        return
    book = {pages.anchor(id): claim for id, claim in claims.book().items()}
    for row in doctree.findall(nodes.row):
        cell = row[0]
        for anchor in [id for one in cell.findall(nodes.Element) for id in one["ids"]]:
            if anchor in book:
                where = module(book[anchor].statement.__module__)
                part = where.part(where.defined[book[anchor].statement.__name__])
                name = escape(f"evidence for {pages.label(book[anchor].id)}")
                link = (
                    f'<a class="ledger-more" href="{part.address}" aria-label="{name}">evidence</a>'
                )
                cell[-1].append(nodes.raw("", link, format="html"))


def tell_grounds(app, doctree, docname):
    """Say in the marks of a chapter on what grounds items hold: once where all agree."""
    book = {pages.anchor(id): claim for id, claim in claims.book().items()}
    for mark in doctree.findall(nodes.paragraph):
        if not mark.astext().startswith(pages.MARK):
            continue
        verdict, groups = None, {}
        for node in list(mark.findall(nodes.Element)):
            if isinstance(node, nodes.emphasis):
                verdict = node
            elif isinstance(node, nodes.reference) and verdict is not None:
                claim = book.get(node.get("refuri", "").rpartition("#")[2])
                if claim is not None:
                    groups.setdefault(verdict, []).append((node, claim.ground))
        for verdict, links in groups.items():
            grounds = {ground for _, ground in links}
            if len(grounds) == 1:
                told = f" ({', '.join(*grounds)}):" if any(grounds) else ":"
                verdict[0] = nodes.Text(verdict.astext().removesuffix(":") + told)
                continue
            for link, ground in links:
                if ground:
                    told = nodes.Text(f" ({', '.join(ground)})")
                    link.parent.insert(link.parent.index(link) + 1, told)


def write_evidence(app, exception):
    """Write the script of every row, and the pages with the source."""
    if exception is not None or app.builder.format != "html" or PAGE not in app.env.found_docs:
        return
    scripts, sources = (Path(app.outdir, STATIC, name) for name in ("evidence", "source"))
    for folder in (scripts, sources):
        folder.mkdir(parents=True, exist_ok=True)
    book, listed = claims.book(), excused()
    variants = mutants.of_book(book)
    for id, claim in book.items():
        anchor = pages.anchor(id)
        html = fragment(id, gather(claim, variants[id], listed.get(id, {})))
        script = f"showEvidence({json.dumps([anchor, html], ensure_ascii=False)[1:-1]});\n"
        (scripts / f"{anchor}.js").write_text(script, encoding="utf-8")
    for name in modules():
        (sources / f"{name}.html").write_text(source_page(name), encoding="utf-8")


def setup(app):
    app.connect("doctree-resolved", link_rows)
    app.connect("doctree-resolved", tell_grounds)
    app.connect("build-finished", write_evidence)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
