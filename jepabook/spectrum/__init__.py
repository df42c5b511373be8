"""The theory on data: which features of given pairs (x, y) JEPA and MAE learn first.

``spectrum.estimate(x, y)`` finds lambda_i and rho_i; ``spectrum.predict(found, depth, epsilon)``
what the theory makes of them. The same as a command: ``python -m jepabook.spectrum x.npy y.npy
--depth 5 --epsilon 1e-2 --out report``.
"""

from jepabook._support.processes import among_processes
from jepabook.spectrum.estimates import Spectrum, estimate
from jepabook.spectrum.labelled import Labels, label_shares
from jepabook.spectrum.prediction import Prediction, predict
from jepabook.spectrum.report import draw, draw_labels, table

__all__ = [
    "Labels",
    "Prediction",
    "Spectrum",
    "among_processes",
    "draw",
    "draw_labels",
    "estimate",
    "label_shares",
    "predict",
    "table",
]
