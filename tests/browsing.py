"""Waiting for a page: for browser tests."""

import time


def until(page, program, argument=None, seconds=30):
    """Ask a page again and again until a program (JavaScript) is true.

    Playwright's own `wait_for_function` asks from inside the page, by `eval`, which the pages'
    policy forbids to all but the first question.
    """
    end = time.monotonic() + seconds
    while not page.evaluate(program, argument):
        assert time.monotonic() < end, f"not true within {seconds} s: {program}"
        page.wait_for_timeout(50)
