"""Docstrings as the reference shows them: formulas in plain text, and names that find their target.

Formulas: docstrings write sizes as |W e_i|; reStructuredText takes a bar for the beginning of a
substitution, so bars are escaped before it looks. An apostrophe that means the transpose would be
set as a closing quotation mark, and 1e-140 be broken after its hyphen.

Names: docstrings name things as one would in code, `linear_net.train` or `Objective`, where Sphinx
asks for the full name. A name that stands for no object of the reference, a parameter say, is code
like any other.
"""

import re

from docutils import nodes
from sphinx.util.nodes import make_refnode

CODE = re.compile(r"(``.*?``|`[^`]*`)")
# after a letter alone or a bracket, and no genitive
TRANSPOSE = re.compile(r"(?:(?<=[)\]}])|(?<=\b[A-Za-z]))'(?!s\b)")
RANGE = re.compile(r"(?<=\d\))-(?=\(\d)")
EXPONENT = re.compile(r"(?<=\de)-(?=\d)")


def plain_formula(text):
    """Text that reStructuredText leaves as it is, with primes, dashes and numbers in one piece."""
    text = RANGE.sub("\N{EN DASH}", TRANSPOSE.sub("\N{PRIME}", text))
    return EXPONENT.sub("\N{NON-BREAKING HYPHEN}", text).replace("|", r"\|")


def plain_formulas(app, what, name, obj, options, lines):
    """Mend, in place, every formula outside code: literal blocks and doctests are left alone."""
    literal = None  # the indent of the line that a literal block belongs to
    for i, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if literal is not None and line.strip() and indent <= literal:
            literal = None
        if literal is None and not line.lstrip().startswith(">>>"):
            parts = CODE.split(line)
            parts[::2] = [plain_formula(part) for part in parts[::2]]
            lines[i] = "".join(parts)
            if line.rstrip().endswith("::"):
                literal = indent


def plain_code(contnode):
    """The name without the marks of a link; bare text, as in a signature, has none."""
    if isinstance(contnode, nodes.Element):
        contnode["classes"] = []
    return contnode


def nearest_name(app, env, node, contnode):
    """The object of that name whose module has most in common with where it is named.

    Of several, the one with the shortest name; outside `vision` nothing inside it is meant (its
    JEPA and MAE are others). Plain words in lower case may be anything, such as parameters: they
    are code.
    """
    if node.get("refdomain") != "py":
        return None
    name = node.get("reftarget", "")
    if not ("." in name or name[:1].isupper()):
        return plain_code(contnode)
    home = (node.get("py:module") or "").split(".")

    def distance(full):
        parts = full.split(".")
        shared = next(
            (i for i, (a, b) in enumerate(zip(home, parts, strict=False)) if a != b), len(home)
        )
        return -shared, len(parts), full

    objects = env.get_domain("py").objects
    found = [
        full
        for full in objects
        if full.endswith(f".{name}") and ("vision" in home or ".vision." not in full)
    ]
    if not found:
        return plain_code(contnode)
    entry = objects[min(found, key=distance)]
    docname = node.get("refdoc", env.docname)
    return make_refnode(app.builder, docname, entry.docname, entry.node_id, contnode)


def setup(app):
    app.connect("autodoc-process-docstring", plain_formulas, priority=400)
    app.connect("missing-reference", nearest_name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
