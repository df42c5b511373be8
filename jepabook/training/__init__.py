"""Training of deep linear networks, many at once: the engine, its minibatches, what was learned.

Needs the extra ``torch``, but for `learning_order`.
"""
