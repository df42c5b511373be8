"""Helper package of the book *How JEPA avoids noisy features, reproduced*.

Needs numpy and scipy only; `jepabook.claims` also needs the extra ``symbolic``.
"""

__version__ = "0.1.0"

from jepabook import _command  # isort: skip

_command.begin()

from jepabook import clock, critical_time, dynamics, features, generative, lerch, objectives
from jepabook.features import FeatureSpectrum
from jepabook.objectives import JEPA, MAE

__all__ = [
    "JEPA",
    "MAE",
    "FeatureSpectrum",
    "clock",
    "critical_time",
    "dynamics",
    "features",
    "generative",
    "lerch",
    "objectives",
]
