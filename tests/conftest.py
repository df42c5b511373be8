"""Hypothesis: no deadline (machines differ), and in CI the same examples every time."""

import os

from hypothesis import settings

settings.register_profile("book", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("book")
