"""The letters of the chapters' formulas, page by page, for `tests/book/test_notation.py`.

A letter is counted with its accent or font (`\\bar W`, `\\mathcal T`) and without indices and
primes; `\\tau_{\\mathrm{K}}`, with an upright letter as its index, is one of its own. Read are the
text that is not folded and the captions of figures: a folded proof or solution, and an
exercise, may have letters of its own.
"""

import re

MATH = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$", flags=re.DOTALL)
FENCED = re.compile(r"^```.*?^```", flags=re.DOTALL | re.MULTILINE)
FOLDED = (
    re.compile(r"^:::\{solution-start\}.*?^:::\{solution-end\}\n:::", re.DOTALL | re.MULTILINE),
    re.compile(r"^:::\{(?:solution|exercise)\}.*?^:::$", re.DOTALL | re.MULTILINE),
    re.compile(r"^:::\{admonition\}[^\n]*\n:class: dropdown.*?^:::$", re.DOTALL | re.MULTILINE),
)
WORDS = re.compile(r"\\(?:text|mathrm|operatorname|tag|begin|end)\*?\s*(?:\{[^{}]*\}|[A-Za-z])")
LETTER = re.compile(
    r"(?:\\(?P<accent>bar|hat|tilde|mathcal)\s*\{?\s*)?"
    r"(?P<letter>\\[A-Za-z]+|[A-Za-z])(?P<upright>_\{\\mathrm\{[A-Z]\}\})?"
)
GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta vartheta kappa lambda mu nu xi rho sigma "
    "varsigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Phi Psi Omega "
    "Sigma ell"
).split()
KNOWN = {rf"\{name}" for name in GREEK}


def visible(notebook):
    """The text of a notebook that nobody has to unfold, and its captions."""
    told = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            told.append(cell.source)
        else:
            figure = cell.metadata.get("mystnb", {}).get("figure", {})
            told.append(figure.get("caption", ""))
    text = FENCED.sub("", "\n\n".join(told))
    for folded in FOLDED:
        text = folded.sub("", text)
    return text


def letters(text):
    """The letters in the formulas of a text, a set."""
    found = set()
    for match in MATH.finditer(text):
        formula = WORDS.sub(
            lambda word: word[0] if word[0].startswith(r"\mathrm{") and len(word[0]) == 10 else " ",
            match[1] or match[2],
        )
        for letter in LETTER.finditer(formula):
            sign = letter["letter"]
            if sign.startswith("\\") and sign not in KNOWN:
                continue
            accent = rf"\{letter['accent']} " if letter["accent"] else ""
            upright = "_" + letter["upright"][-3] if letter["upright"] else ""
            found.add(f"{accent}{sign}{upright}")
    return found
