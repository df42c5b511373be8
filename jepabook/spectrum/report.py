"""An estimate and its prediction as a folder: table, figure, directions, and the facts as JSON."""

import csv
import hashlib
import io
import json
import math
import os
from pathlib import Path

import numpy as np

from jepabook._support import files, validate
from jepabook.spectrum.estimates import Spectrum
from jepabook.spectrum.labelled import Labels
from jepabook.spectrum.prediction import VERDICTS, Prediction
from jepabook.theory.objectives import JEPA, MAE

FORMAT = 1
FACTS = "spectrum.json"
OTHERS = {"features.csv", "generalised.csv", "directions.npy", "figure.png"}
FILES = OTHERS | {FACTS}
SUMS = "sha256"  # in the facts: of the other files, and of the facts without these sums
MOST = 0.9  # of what labels tell
MOST_DRAWN = 24  # features named, and in the panel of the two orders
MOST_PICTURES = 8
# results/random_starts.py: gain of a layer, trials in which what JEPA kept were the features of
# largest rho by the time at which training usually stops, and all trials
CAME_TRUE = ((0.4, 166, 208), (0.58, 171, 208), (1.41, 167, 208))
CERTAIN = 0.95


def check_folder(folder):
    """Raise ValueError unless a report may be written to `folder`.

    It must be new, empty, or a report as it was written: nothing added, nothing changed.
    """
    folder = validate.path("--out", folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out must be a folder, got a file: {folder}")
    whole = folder.resolve()
    if whole == Path.cwd():
        raise ValueError(f"--out must be another folder than the one you are in, got {folder}")
    if whole in (Path(os.path.expanduser("~")).resolve(), Path(whole.anchor)):
        raise ValueError(f"--out must be a folder for the report alone, got {folder}")
    if not whole.parent.is_dir():
        raise ValueError(f"--out must lie in a folder that exists, got {folder}")
    _check_ours(whole, folder)


def _check_ours(whole, folder):
    """Raise ValueError, with the name `folder`, unless the folder `whole` may be replaced."""
    names = {path.name for path in whole.iterdir()} if whole.exists() else set()
    if not names:
        return
    if names != FILES:
        foreign = min(names - FILES, default="") or f"no {min(FILES - names)}"
        raise ValueError(
            f"--out must be new, empty or an earlier report, got {folder}, in which is {foreign}"
        )
    if any(not path.is_file() or path.is_symlink() for path in whole.iterdir()):
        odd = min(p.name for p in whole.iterdir() if not p.is_file() or p.is_symlink())
        raise ValueError(
            f"--out must be an earlier report, got {folder}, in which {odd} is no file of it"
        )
    facts = files.read_json(
        whole / FACTS, {SUMS: dict.fromkeys(FILES, files.is_checksum)}, FORMAT, rest=True
    )
    sums = facts.pop(SUMS)
    found = {name: files.sha256(whole / name) for name in OTHERS} | {FACTS: _sum(facts)}
    changed = min((name for name in FILES if found[name] != sums[name]), default=None)
    if changed:
        raise ValueError(
            f"--out must be an earlier report as it was written, got {folder}, in which {changed} "
            "was changed: move it or choose another folder"
        )


def _sum(facts):
    """A checksum of what JSON holds."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def write(folder, spectrum, prediction, facts, labels=None, side=None):
    """Write the report, whole or not at all; an earlier report in its place is replaced.

    Parameters
    ----------
    folder : path
    spectrum : Spectrum
    prediction : Prediction
    facts : dict
        Provenance, for the JSON.
    labels : Labels, optional
        Where labels stand: columns of the table, a panel of the figure.
    side : int, optional
        Pixels a side, where a feature is a square picture: the figure shows the first ones.

    Raises
    ------
    ValueError
        If something else than an earlier report is there.
    OSError
        If there is no room.
    """
    check_folder(folder)
    facts = {"format": FORMAT} | _summary(spectrum, prediction, labels) | facts
    with files.whole_folder(folder, FILES, lambda old: _check_ours(old, folder)) as new:
        (new / "features.csv").write_text(table(spectrum, prediction, labels), encoding="utf-8")
        (new / "generalised.csv").write_text(_generalised(spectrum), encoding="utf-8")
        np.save(new / "directions.npy", spectrum.directions)
        save_figure(new / "figure.png", spectrum, prediction, labels, side)
        sums = {name: files.sha256(new / name) for name in OTHERS} | {FACTS: _sum(facts)}
        text = json.dumps(facts | {SUMS: sums}, indent=2, allow_nan=False)
        (new / FACTS).write_text(text + "\n", encoding="utf-8")


def table(spectrum, prediction, labels=None):
    """The features as CSV text: lam and rho with intervals, verdicts, times, places, and pulls.

    Columns of `Spectrum`, `Prediction` and, if they are given, `Labels` (``label_...``), under
    their names; a place of 0 is none.
    """
    _refuse_others(spectrum, prediction, labels)
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
        "overlap": spectrum.overlap,
    }
    for objective in (JEPA, MAE):
        name = objective.name.lower()
        columns[f"{name}_learned"] = prediction.learned[objective]
        columns[f"{name}_growth"] = prediction.growth[objective]
        columns[f"{name}_time"] = prediction.times[objective]
        columns[f"{name}_place"] = prediction.ranks(objective)
        columns[f"{name}_pull"] = prediction.pull[objective]
    if labels is not None:
        for name in ("share", "error", "told", "weight"):
            columns[f"label_{name}"] = getattr(labels, name)
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
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    return repr(float(value)) if math.isfinite(value) else ""


def _summary(spectrum, prediction, labels):
    found = {} if labels is None else {"labels": label_summary(labels, prediction)}
    return found | {
        "pairs": spectrum.count,
        "held_out": spectrum.held_out,
        "centred": spectrum.centred,
        "features": len(spectrum),
        "depth": prediction.depth,
        "epsilon": prediction.epsilon,
        "fraction": prediction.fraction,
        "confidence": spectrum.confidence,
        "explained": spectrum.explained,
        "correlation": spectrum.correlation,
        "misalignment": spectrum.misalignment if math.isfinite(spectrum.misalignment) else None,
        "cautions": list(spectrum.cautions),
        "learned": {o.name: _counted(prediction.learned[o]) for o in (JEPA, MAE)},
        "near_start": {o.name: prediction.near(o).tolist() for o in (JEPA, MAE)},
        "undisturbed": {o.name: prediction.undisturbed(o).tolist() for o in (JEPA, MAE)},
        "order": {o.name: prediction.order(o).tolist() for o in (JEPA, MAE)},
        "random_starts": kept_first(spectrum, prediction).tolist(),
        "disagreements": [vars(pair) for pair in prediction.disagreements],
    }


def label_summary(labels, prediction):
    """Where labels stand, as JSON has it: None for what cannot be told, place 0 for never."""
    told = np.isfinite(labels.rho)
    found = {
        "classes": None if labels.classes is None else len(labels.classes),
        "sure": int((labels.told == "sure").sum()),
        "likely": int((labels.told == "likely").sum()),
        "cautions": list(labels.cautions),
    }
    for name in ("lam", "lam_error", "rho", "rho_error"):
        found[name] = getattr(labels, name) if told else None
    for objective in (JEPA, MAE):
        curve = labels.curve(prediction, objective)
        found[objective.name] = {
            "half": labels.place(prediction, objective) if told else None,
            "most": labels.place(prediction, objective, MOST) if told else None,
            "in_all": float(curve[-1]) if told else None,
        }
    return found


def kept_first(spectrum, prediction):
    """JEPA's features from the largest rho on: what it keeps from random starts begins this list.

    How far it goes depends on the gain and on time (chapter 6, ``new:random-survivors``).
    """
    order = prediction.order(JEPA)
    return order[np.argsort(-spectrum.rho[order], kind="stable")]


def came_true(prediction):
    """Of the recorded gains the one nearest to this start's, trials that came true, and all."""
    gain = prediction.epsilon ** (1 / prediction.depth)
    return min(CAME_TRUE, key=lambda row: abs(np.log(row[0] / gain)))


def _counted(verdicts):
    """How many features each verdict has."""
    return {verdict: int((verdicts == verdict).sum()) for verdict in VERDICTS}


def _refuse_others(spectrum, prediction, labels=None):
    """Raise ValueError unless these are an estimate and what is predicted and told from it."""
    validate.instance("spectrum", spectrum, Spectrum)
    if labels is not None:
        validate.instance("labels", labels, Labels)
        if len(labels) != len(spectrum):
            raise ValueError(f"labels must be of the spectrum's {len(spectrum)} features")
    validate.instance("prediction", prediction, Prediction)
    if any(len(times) != len(spectrum) for times in prediction.times.values()):
        raise ValueError(f"prediction must be of the spectrum's {len(spectrum)} features")


def save_figure(path, spectrum, prediction, labels=None, side=None):
    """Draw `draw`, where labels stand, and the first features as pictures, into a file."""
    from matplotlib import rc_context, rcdefaults, rcParams
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from jepabook.figures import STYLE

    with rc_context():
        rcdefaults()  # a user's settings, of TeX say, are for figures of their own
        rcParams.update(STYLE)
        panels, first = (2 if labels is None else 3), _first(prediction)[:MOST_PICTURES]
        shown = side is not None and len(first)
        figure = Figure(figsize=(4.5 * panels, 6.0 if shown else 4.4), layout="constrained")
        FigureCanvasAgg(figure)
        heights = (4.4, 1.6) if shown else (1,)
        top, *rest = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        axes = top.subplots(1, panels)
        if labels is not None:
            draw_labels(axes[2], labels, prediction)
            axes[2].set_title("What your labels tell, and when it is there")
        axes[0].set_title("What the views share: one point a feature")
        axes[1].set_title("Which feature comes first")
        for bottom in rest:
            _pictures(bottom, spectrum, prediction, first, side)
        draw(axes[:2], spectrum, prediction)
        figure.savefig(path)


def _first(prediction):
    """Features that are learned, from those that come first in either order on."""
    places = np.stack([prediction.ranks(o) for o in (JEPA, MAE)])
    soonest = np.where(places > 0, places, np.inf).min(0)
    return np.argsort(soonest, kind="stable")[: np.isfinite(soonest).sum()]


def _pictures(figure, spectrum, prediction, first, side):
    """A row of features as grey pictures, with their places."""
    ranks = [(objective.name, prediction.ranks(objective)) for objective in (JEPA, MAE)]
    axes = figure.subplots(1, MOST_PICTURES)
    for ax in axes:
        ax.axis("off")
    for ax, feature in zip(axes, first, strict=False):
        picture = spectrum.directions[:, feature].reshape(side, side)
        most = 1.5 * np.abs(picture).max()
        ax.imshow(picture, cmap="gray", vmin=-most, vmax=most)
        places = "\n".join(f"{name}: {rank[feature] or 'never'}" for name, rank in ranks)
        ax.set_title(f"feature {feature}\n{places}", fontsize=8)
    told = "The first features as pictures, bright against dark, and their places in either order"
    figure.suptitle(told, fontsize=9)


def draw(axes, spectrum, prediction):
    """Two panels: rho over lam with intervals, and the two orders with their conflicts.

    Parameters
    ----------
    axes : pair of matplotlib Axes
    spectrum : Spectrum
    prediction : Prediction
    """
    _refuse_others(spectrum, prediction)
    from matplotlib.axes import Axes

    several = isinstance(axes, (list, tuple)) or (isinstance(axes, np.ndarray) and axes.ndim == 1)
    if not several or len(axes) != 2 or any(not isinstance(panel, Axes) for panel in axes):
        raise ValueError(f"axes must be two of matplotlib's, got {validate.one_line(axes)}")
    learned = np.stack([prediction.ranks(o) for o in (JEPA, MAE)]) > 0
    named = _first(prediction)[:MOST_DRAWN]
    _plane(axes[0], spectrum, learned, named)
    _orders(axes[1], prediction, named)


def draw_labels(ax, labels, prediction):
    """One panel: how much of what labels tell each objective has, over the features it has learned.

    Parameters
    ----------
    ax : matplotlib Axes
    labels : Labels
    prediction : Prediction
    """
    from matplotlib.axes import Axes

    from jepabook.figures import COLOURS, LINES, MARKERS

    if not isinstance(ax, Axes):
        raise ValueError(f"ax must be one of matplotlib's, got {validate.one_line(ax)}")
    validate.instance("labels", labels, Labels)
    curves = {objective: labels.curve(prediction, objective) for objective in (JEPA, MAE)}
    if np.isfinite(labels.rho):
        for objective, curve in curves.items():
            style = {"color": COLOURS[objective], "linestyle": LINES[objective]}
            ax.step(range(len(curve)), curve, where="post", label=objective.name, **style)
            ax.hlines(curve[-1], len(curve) - 1, len(labels), linewidth=0.8, **style)
            place = labels.place(prediction, objective)
            if place:
                mark = {"color": COLOURS[objective], "markersize": 6}
                ax.plot(place, curve[place], MARKERS[objective], **mark)
        ax.legend(loc="lower right", fontsize=8)
    else:
        told = "what the labels tell\nis not clear of chance"
        ax.text(0.5, 0.5, told, ha="center", va="center", transform=ax.transAxes)
    ax.axhline(0.5, color="0.6", linewidth=0.8, zorder=0)
    ax.text(len(labels), 0.505, "half ", ha="right", va="bottom", fontsize=7, color="0.35")
    ax.set_xscale("symlog", linthresh=1)
    ticks = [0, *4 ** np.arange(1 + int(np.log(len(labels)) / np.log(4)))]
    ax.set_xticks(ticks, [f"{tick}" for tick in ticks])
    ax.set_xticks([], minor=True)
    ax.set(xlim=(0, len(labels)), ylim=(-0.05, 1.1), xlabel="features learned (thin: no more are)")
    ax.set_ylabel("share of what the labels tell")


def _plane(ax, spectrum, learned, named):
    """Features that grow in the plane of lam and rho, `named` ones with their numbers."""
    from jepabook.figures import COLOURS

    grows, (by_jepa, by_mae) = spectrum.lam > 0, learned
    lam, rho = spectrum.lam[grows], spectrum.rho[grows]
    lam_ends = spectrum.interval(spectrum.lam_replicates)[:, grows]
    rho_ends = spectrum.interval(spectrum.rho_replicates)[:, grows]
    ax.set(xscale="log", xlabel=r"covariance $\lambda$", ylabel=r"regression coefficient $\rho$")
    ax.hlines(rho, *lam_ends, color="0.7", linewidth=0.8)
    ax.vlines(lam, *rho_ends, color="0.7", linewidth=0.8)
    sides = {
        "learned by both": (by_jepa & by_mae, "k", "o"),
        "by JEPA only": (by_jepa & ~by_mae, COLOURS[JEPA], "s"),
        "by MAE only": (by_mae & ~by_jepa, COLOURS[MAE], "^"),
        "by neither": (grows & ~by_mae & ~by_jepa, "0.6", "x"),
    }
    for label, (which, colour, marker) in sides.items():
        if which.any():
            at = spectrum.lam[which], spectrum.rho[which]
            ax.plot(*at, marker, color=colour, markersize=4, label=label)
    if grows.any():
        # an interval may reach below 0, which has no place on this axis
        ax.set_xlim(lam.min() / 2, 2 * np.max(lam_ends, initial=lam.max(), where=lam_ends > 0))
        ax.legend(fontsize=8)
    if not grows.all():
        left_out = rf"{(~grows).sum()} with $\lambda \leq 0$ not shown"
        ax.set_xlabel(rf"covariance $\lambda$ ({left_out})")
    _numbers(ax, spectrum, named)


def _numbers(ax, spectrum, named):
    """The features' numbers, except where one that comes first has the room."""
    # where the points are is settled by the layout
    ax.get_figure(root=True).draw_without_rendering()
    taken = []
    for feature in named:
        at = spectrum.lam[feature], spectrum.rho[feature]
        label = ax.annotate(str(feature), at, (3, 3), textcoords="offset points", fontsize=7)
        box = label.get_window_extent()
        if any(box.overlaps(other) for other in taken):
            label.remove()
        else:
            taken.append(box)


def _orders(ax, prediction, named):
    """Places in MAE's order at the left, in JEPA's at the right, joined by lines."""
    from jepabook.figures import COLOURS, LINES

    certain = {
        index
        for pair in prediction.disagreements
        if pair.certainty >= CERTAIN
        for index in (pair.jepa_first, pair.mae_first)
    }
    here = {}
    for objective in (JEPA, MAE):
        among = [feature for feature in prediction.order(objective) if feature in named]
        here[objective] = {feature: place for place, feature in enumerate(among, start=1)}
    last = len(named) + 1.5
    for feature in named:
        ends = [here[o].get(feature, last) for o in (MAE, JEPA)]
        style = {"color": "0.75", "linewidth": 0.8}
        if feature in certain and ends[0] != ends[1]:
            sooner = JEPA if ends[1] < ends[0] else MAE
            style = {"color": COLOURS[sooner], "linestyle": LINES[sooner], "linewidth": 1.4}
        ax.plot((0, 1), ends, **style)
        for x, side, place in ((-0.04, "right", ends[0]), (1.04, "left", ends[1])):
            if place < last:
                ax.text(x, place, str(feature), ha=side, va="center", fontsize=7)
    for x, side, objective in ((-0.04, "right", MAE), (1.04, "left", JEPA)):
        if len(here[objective]) < len(named):
            ax.text(x, last, "never", ha=side, va="center", fontsize=7)
    for x, objective in enumerate((MAE, JEPA)):
        ax.text(x, 0.2, f"{objective.name}'s order", color=COLOURS[objective], ha="center")
    told = f"coloured: surely before another in one order and after it in the other ({CERTAIN:.0%})"
    if not certain:
        told = "no two are surely in another order for JEPA than for MAE"
    if not named.size:
        ax.text(0.5, 0.9, "of no feature can it be told that it is learned", ha="center")
    ax.text(0.5, last + 1.3, told, ha="center", va="center", fontsize=8, color="0.35")
    ax.set(xlim=(-0.3, 1.3), ylim=(last + 1.8, -0.5))
    ax.axis("off")
