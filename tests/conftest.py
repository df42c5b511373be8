"""Hypothesis: no deadline (machines differ), and in CI the same examples every time.

And what the browser tests share: the built site, served, and a browser.
"""

import os
import signal

import pytest
from hypothesis import settings

settings.register_profile("book", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("book")

# a job in the background ignores Ctrl-C, and so would each program that a test starts and stops
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def open_page(site, browser):
    """Open a page of the site at a state; in the end nothing may have gone wrong or out."""
    from tools import audit

    opened = []

    def opening(name, state="", theme="light", width=audit.WIDE, **context_options):
        context = audit.in_theme(browser, theme, width, **context_options)
        page, problems = audit.visit(context, f"{site}/{name}.html{state}")
        opened.append((context, problems))
        return page

    yield opening
    for context, problems in opened:
        context.close()
        assert not problems, problems


@pytest.fixture(scope="session")
def site():
    """The address of the site, if it is the site of the present sources."""
    from tools import audit, book
    from tools.notebooks import ROOT

    about = book.build_of(ROOT)
    if about is None:
        pytest.fail("there is no site in _build/html: run `make site` or `make book` first")
    if about["sources"] != book.fingerprint(ROOT):
        pytest.fail("the site in _build/html is older than its sources: run `make site` again")
    with audit.served(ROOT / "_build" / "html") as address:
        yield address


@pytest.fixture(scope="session")
def browser():
    """A Chromium without a window."""
    from playwright.sync_api import sync_playwright

    from tools import audit

    with sync_playwright() as playwright:
        chromium = audit.launch(playwright)
        yield chromium
        chromium.close()
