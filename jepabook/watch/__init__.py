"""What to watch instead of the loss: which case a training is, by embeddings or a log (ours).

``watch.embeddings(checkpoints)`` takes the embeddings of held-out pairs of views at several
checkpoints, ``watch.log(loss, variance)`` what a training wrote down. The same as a command:
``python -m jepabook.watch early.npy late.npy`` or ``python -m jepabook.watch log.csv``. The rule by
which a case is told is `watch.rule`'s.
"""

from jepabook.watch.curves import log
from jepabook.watch.pairs import embeddings
from jepabook.watch.rule import CANNOT, CASES, Change, Reading

__all__ = ["CANNOT", "CASES", "Change", "Reading", "embeddings", "log"]
