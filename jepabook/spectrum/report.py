"""An estimate and its prediction as a folder: table, figure, directions, and the facts as JSON."""

import csv
import io
import json
import math
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np

from jepabook.objectives import JEPA, MAE

FACTS = "spectrum.json"
MOST_DRAWN = 24  # features in the panel of the two orders
CERTAIN = 0.95


def check_folder(folder):
    """Raise ValueError unless a report may be written to `folder`: new, empty, or a report."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out must be a folder, got a file: {folder}")
    if folder.exists() and any(folder.iterdir()) and not (folder / FACTS).exists():
        raise ValueError(f"--out must be new, empty or an earlier report, got {folder}")
    if not folder.absolute().parent.is_dir():
        raise ValueError(f"--out must lie in a folder that exists, got {folder}")


def write(folder, spectrum, prediction, facts):
    """Write the report, whole or not at all; an earlier report in its place is replaced.

    Parameters
    ----------
    folder : path
    spectrum : Spectrum
    prediction : Prediction
    facts : dict
        Provenance, for the JSON.
    """
    check_folder(folder)
    folder = Path(folder).absolute()
    new = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        (new / "features.csv").write_text(table(spectrum, prediction), encoding="utf-8")
        (new / "generalised.csv").write_text(_generalised(spectrum), encoding="utf-8")
        np.save(new / "directions.npy", spectrum.directions)
        save_figure(new / "figure.png", spectrum, prediction)
        text = json.dumps(_summary(spectrum, prediction) | facts, indent=2, allow_nan=False)
        (new / FACTS).write_text(text + "\n", encoding="utf-8")
        new.chmod(0o755)
        if folder.exists():
            old = new.with_name(new.name + "-old")
            os.rename(folder, old)
            os.rename(new, folder)
            shutil.rmtree(old)
        else:
            os.rename(new, folder)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise


def table(spectrum, prediction):
    """The features as CSV text: lam and rho with intervals, times and places in the two orders."""
    lows_highs = [*spectrum.interval(spectrum.lam_replicates)]
    lows_highs += [*spectrum.interval(spectrum.rho_replicates)]
    columns = {
        "feature": range(len(spectrum)),
        "lam": spectrum.lam,
        "lam_low": lows_highs[0],
        "lam_high": lows_highs[1],
        "rho": spectrum.rho,
        "rho_low": lows_highs[2],
        "rho_high": lows_highs[3],
        "sigma_squared": spectrum.sigma_squared,
    }
    for objective in (JEPA, MAE):
        name = objective.name.lower()
        columns[f"{name}_time"] = prediction.times[objective]
        columns[f"{name}_place"] = prediction.ranks(objective)
    return _csv(columns)


def _generalised(spectrum):
    rho, directions = spectrum.generalised()
    lam = ((spectrum.sigma_yx @ directions) * directions).sum(0)
    return _csv({"feature": range(len(rho)), "rho": rho, "lam": lam})


def _csv(columns):
    """CSV text; what never happens, inf, is an empty field."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in zip(*columns.values(), strict=True):
        writer.writerow([_cell(value) for value in row])
    return text.getvalue()


def _cell(value):
    if isinstance(value, (int, np.integer)):
        return int(value)
    return repr(float(value)) if math.isfinite(value) else ""


def _summary(spectrum, prediction):
    return {
        "pairs": spectrum.count,
        "features": len(spectrum),
        "depth": prediction.depth,
        "epsilon": prediction.epsilon,
        "fraction": prediction.fraction,
        "confidence": spectrum.confidence,
        "explained": spectrum.explained,
        "misalignment": spectrum.misalignment if math.isfinite(spectrum.misalignment) else None,
        "order": {o.name: prediction.order(o).tolist() for o in (JEPA, MAE)},
        "disagreements": [vars(pair) for pair in prediction.disagreements],
    }


def save_figure(path, spectrum, prediction):
    """Draw `draw` into a file."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from jepabook.figures import STYLE

    with rc_context(STYLE):
        figure = Figure(figsize=(9.0, 4.2))
        FigureCanvasAgg(figure)
        draw(figure.subplots(1, 2), spectrum, prediction)
        figure.savefig(path)


def draw(axes, spectrum, prediction):
    """Two panels: rho over lam with intervals, and the two orders with their conflicts.

    Parameters
    ----------
    axes : pair of matplotlib Axes
    spectrum : Spectrum
    prediction : Prediction
    """
    from jepabook.figures import COLOURS

    left, right = axes
    grows = spectrum.lam > 0
    errors = [
        np.abs(spectrum.interval(replicates)[:, grows] - values[grows])
        for replicates, values in (
            (spectrum.lam_replicates, spectrum.lam),
            (spectrum.rho_replicates, spectrum.rho),
        )
    ]
    lam, rho = spectrum.lam[grows], spectrum.rho[grows]
    left.errorbar(lam, rho, errors[1], errors[0], fmt="none", ecolor="0.7", elinewidth=0.8)
    learned = {o: np.isfinite(prediction.times[o]) for o in (JEPA, MAE)}
    sides = {
        "learned by both": (learned[JEPA] & learned[MAE], "k", "o"),
        "by JEPA only": (learned[JEPA] & ~learned[MAE], COLOURS[JEPA], "s"),
        "by MAE only": (learned[MAE] & ~learned[JEPA], COLOURS[MAE], "^"),
        "by neither": (grows & ~learned[MAE] & ~learned[JEPA], "0.6", "x"),
    }
    for label, (which, colour, marker) in sides.items():
        if which.any():
            left.plot(
                spectrum.lam[which],
                spectrum.rho[which],
                marker,
                color=colour,
                markersize=4,
                label=label,
            )
    left.set(xscale="log", xlabel=r"covariance $\lambda$", ylabel=r"regression coefficient $\rho$")
    left.legend(fontsize=8)
    _orders(right, prediction)


def _orders(ax, prediction):
    """Places in MAE's order at the left, in JEPA's at the right, joined by lines."""
    from jepabook.figures import COLOURS

    certain = {
        index
        for pair in prediction.disagreements
        if pair.certainty >= CERTAIN
        for index in (pair.jepa_first, pair.mae_first)
    }
    drawn = prediction.order(MAE)[:MOST_DRAWN]
    here = {}
    for objective in (JEPA, MAE):
        among = [feature for feature in prediction.order(objective) if feature in drawn]
        here[objective] = {feature: place for place, feature in enumerate(among, start=1)}
    last = len(drawn) + 1.5
    for feature in drawn:
        ends = [here[o].get(feature, last) for o in (MAE, JEPA)]
        strong = feature in certain
        ax.plot((0, 1), ends, color="k" if strong else "0.7", linewidth=1.4 if strong else 0.8)
        for x, side, place in ((-0.04, "right", ends[0]), (1.04, "left", ends[1])):
            if place < last:
                ax.text(x, place, str(feature), ha=side, va="center", fontsize=7)
    if any(f not in here[JEPA] for f in drawn):
        ax.text(1.04, last, "never", ha="left", va="center", fontsize=7)
    for x, objective in enumerate((MAE, JEPA)):
        ax.text(x, -0.2, f"{objective.name}'s order", color=COLOURS[objective], ha="center")
    ax.set(xlim=(-0.3, 1.3), ylim=(last + 0.5, -0.8))
    ax.axis("off")
