"""One visual language for the book: JEPA blue and solid, MAE rust and dashed, in every figure.

Needs matplotlib, which the extra ``book`` installs.
"""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.colors import LinearSegmentedColormap, Normalize

from jepabook._support import validate
from jepabook.theory import critical_time, dynamics
from jepabook.theory.objectives import JEPA, MAE

COLOURS = {JEPA: "#0b5fa5", MAE: "#c1440e"}
LINES = {JEPA: "-", MAE: (0, (4, 1.6))}
MARKERS = {JEPA: "o", MAE: "s"}
_WHITE, _BLACK = np.ones(3), np.zeros(3)

#: matplotlib settings of every figure.
#:
#: :meta hide-value:
STYLE = {
    "figure.dpi": 130,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.7,
    "legend.frameon": False,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
}


def use_style():
    """Give the running notebook matplotlib's defaults with `STYLE`, whatever a user's file says.

    Raises
    ------
    RuntimeError
        Under ``python -O``: chapters check what they say with ``assert``, which it passes over.
    """
    if not __debug__:
        raise RuntimeError("run the chapters without python -O and PYTHONOPTIMIZE: they use assert")
    plt.rcdefaults()
    plt.rcParams.update(STYLE)


def palette(objective):
    """A colour map for families of curves: faint for the lowest value, strong for the highest."""
    validate.objective(objective)
    red, green, blue = (int(COLOURS[objective][i : i + 2], 16) / 255 for i in (1, 3, 5))
    base = np.array([red, green, blue])
    stops = [0.33 * _WHITE + 0.67 * base, base, 0.45 * base + 0.55 * _BLACK]
    return LinearSegmentedColormap.from_list(objective.name, stops)


def diverging():
    """A colour map from JEPA's colour over near-white to MAE's."""
    stops = [COLOURS[JEPA], "#f4f4f4", COLOURS[MAE]]
    return LinearSegmentedColormap.from_list("JEPA to MAE", stops)


def shades(objective, values):
    """One colour a value, from `palette`; shape (n, 4)."""
    values = validate.shaped("values", values, ("n",))
    return palette(objective)(Normalize(values.min(), values.max())(values))


def trajectories(ax, objective, lam, rho, *, depth, epsilon, shade_by, t_max):
    """Draw w(t) of several features from the closed form.

    Parameters
    ----------
    ax : matplotlib Axes
    objective : Objective
    lam, rho : arrays (n,)
    depth : int
    epsilon : float
    shade_by : array (n,)
        The value that the shade of a curve shows, low faint and high strong.
    t_max : float
        End of the time axis, in the paper's clock.
    """
    from matplotlib.axes import Axes

    validate.instance("ax", ax, Axes)
    t_max = validate.number("t_max", t_max, validate.positive)
    shade_by = validate.shaped("shade_by", shade_by, ("n",))
    t, colours = np.linspace(0, t_max, 800), shades(objective, shade_by)
    lam, rho, _ = validate.broadcast(
        lam=validate.positive("lam", lam),
        rho=validate.positive("rho", rho),
        shade_by=np.empty(len(colours)),
    )
    if lam.shape != (len(colours),):
        raise ValueError(f"shade_by must have shape {lam.shape}, got ({len(colours)},)")
    w = dynamics.trajectory(objective, t[:, None], lam, rho, depth=depth, epsilon=epsilon)
    for curve, colour in zip(ax.plot(t, w, linestyle=LINES[objective]), colours, strict=True):
        curve.set_color(colour)
    ax.set_xlim(0, t_max)
    ax.set_ylim(bottom=0)


def half_time_span(objective, lam, rho, *, depth, epsilon, margin=1.6):
    """The end of a time axis that shows every feature past half of its size."""
    margin = validate.number("margin", margin, validate.positive)
    times = critical_time.exact(objective, lam, rho, depth=depth, epsilon=epsilon)
    if not np.size(times):
        raise ValueError(f"lam must be of one feature or more, got shape {np.shape(times)}")
    return margin * float(np.max(times))
