"""Copy the figure that the README and the landing page show out of chapter 1's outputs."""

import base64
from pathlib import Path

from tools.notebooks import ROOT, read

NOTEBOOK = ROOT / "notebooks" / "01-two-ways-to-predict.ipynb"
FIGURE = "fig-two-orders"
TARGET = ROOT / "book" / "_static" / "two-orders.png"


def figure_of(path: Path, name: str) -> bytes:
    """The PNG of the cell whose figure has this name; LookupError if there is none."""
    for cell in read(path).cells:
        if cell.metadata.get("mystnb", {}).get("figure", {}).get("name") == name:
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    return base64.b64decode(output.data["image/png"])
    raise LookupError(f"{path.name} has no output for the figure {name}")


if __name__ == "__main__":
    TARGET.write_bytes(figure_of(NOTEBOOK, FIGURE))
