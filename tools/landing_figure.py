"""Figures out of the notebooks' outputs: the README's, and the stills of live pictures."""

import base64

from tools.notebooks import ROOT, read

NOTEBOOK = ROOT / "notebooks" / "01-two-ways-to-predict.ipynb"
FIGURE = "fig-two-orders"
TARGET = ROOT / "book" / "_static" / "two-orders.png"


def figure_with_text(path, name):
    """The PNG of the cell whose figure has this name, and its alt text.

    Raises
    ------
    LookupError
        If there is none.
    """
    for cell in read(path).cells:
        shown = cell.metadata.get("mystnb", {})
        if shown.get("figure", {}).get("name") == name:
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    return base64.b64decode(output.data["image/png"]), shown["image"]["alt"]
    raise LookupError(f"{path.name} has no output for the figure {name}")


if __name__ == "__main__":
    TARGET.write_bytes(figure_with_text(NOTEBOOK, FIGURE)[0])
