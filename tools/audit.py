"""What a page of the site must be: the checks that `tests/browser/test_site.py` runs on every page.

Each check returns a list of sentences, one for each thing wrong; an empty list means that the page
passes. `links` reads the HTML alone; the others look at the page in a browser.
"""

import functools
import http.server
import os
import re
import shutil
import threading
from contextlib import contextmanager, nullcontext
from urllib.parse import unquote, urlsplit

from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup

from tools.policy import POLICY

HOST = "127.0.0.1"
WIDE, NARROW = 1280, 390
# of content that moves while a page loads, as browsers count it: below 0.1 is called good; what is
# measured here is 0, or a thousandth or two when the contents beside a page wrap a line anew
SHIFT_LIMIT = 0.02
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
WATCH_SHIFTS = """
    window.auditShifts = [];
    new PerformanceObserver(list => auditShifts.push(
        ...list.getEntries().filter(shift => !shift.hadRecentInput))).observe(
            {type: 'layout-shift', buffered: true});
"""
NEXT_FRAME = """() => new Promise(next => {
    requestAnimationFrame(() => setTimeout(next));
    setTimeout(next, 1000);  // a browser without a window may owe the last frame
})"""
# most of a page's HTML; there are no links inside
FORMULA = re.compile(r"<mjx-container\b.*?</mjx-container>", flags=re.DOTALL)
# dollars and TeX delimiters that no program turned into a formula
RAW_TEX = re.compile(r".{0,30}(?:\$|\\\(|\\\[|\\begin\{).{0,30}")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *given, policy, **named):
        self.policy = policy
        super().__init__(*given, **named)

    def end_headers(self):
        if self.policy:
            self.send_header("Content-Security-Policy", self.policy)
        super().end_headers()

    def log_message(self, *_):
        """Say nothing: a failed request is reported by the page that made it."""


@contextmanager
def served(folder, policy=POLICY):
    """Serve a folder on this machine only, under a policy, and give its address.

    A browser tells whatever it refuses by the policy as an error on the console.
    """
    handler = functools.partial(_Quiet, directory=str(folder), policy=policy)
    with http.server.ThreadingHTTPServer((HOST, 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def launch(playwright):
    """Start the Chromium that the system has, or the one that $CHROMIUM names."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found:
        raise FileNotFoundError("no Chromium on PATH: install one, or set CHROMIUM to its path")
    return playwright.chromium.launch(executable_path=found, args=list(FLAGS))


def in_theme(browser, theme, width=WIDE, *, motion=False, has_touch=False):
    """A fresh browser profile that has chosen the light or the dark theme, or None of them yet.

    It asks pages for little motion, unless told otherwise.
    """
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=theme,
        reduced_motion="no-preference" if motion else "reduce",
        has_touch=has_touch,
    )
    context.add_init_script(WATCH_SHIFTS)
    if theme:
        context.add_init_script(
            f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')"
        )
    return context


def visit(context, url):
    """Open a page with the rest of the network cut off; say what it asked for in vain.

    The list goes on growing while the page is open.
    """
    page, problems = context.new_page(), []

    def guard(route):
        if urlsplit(route.request.url).hostname == HOST:
            route.fallback()  # to the context's handlers, if it has any
        else:
            problems.append(f"asks for {route.request.url}, outside the site")
            route.abort()

    page.route("**/*", guard)
    page.on("pageerror", lambda error: problems.append(f"script error: {error}"))
    page.on(
        "console",
        lambda said: said.type == "error" and problems.append(f"console error: {said.text}"),
    )
    page.on(
        "response",
        lambda got: got.status >= 400 and problems.append(f"status {got.status}: {got.url}"),
    )
    page.on("requestfailed", lambda sent: problems.append(f"failed request: {sent.url}"))
    page.goto(url, wait_until="networkidle")
    page.wait_for_load_state()  # a long page may be read after all has come
    page.evaluate("document.fonts.ready.then(() => true)")
    return page, problems


def weight(page):
    """How many bytes a page and all that it asked for have, without what a server packs."""
    return page.evaluate(
        """() => ['navigation', 'resource'].flatMap(kind => performance.getEntriesByType(kind))
            .reduce((sum, one) => sum + one.encodedBodySize, 0)"""
    )


def shift(page):
    """How much the content moved by itself so far: the sum of all moves."""
    page.evaluate(NEXT_FRAME)
    return page.evaluate("auditShifts.reduce((sum, one) => sum + one.value, 0)")


def stillness(page):
    """The content does not move while the page loads: formulas and images have their room."""
    moved = shift(page)
    if moved <= SHIFT_LIMIT:
        return []
    what = page.evaluate(
        """() => auditShifts.flatMap(one => one.sources).map(one => one.node).filter(Boolean).map(
            node => `${node.nodeName} ${node.textContent.trim().slice(0, 40)}`).slice(0, 3)"""
    )
    return [f"moves by {moved:.3f} while it loads, at most {SHIFT_LIMIT} allowed: {what}"]


def formulas(page):
    """Every formula is rendered, and none is left as raw TeX."""
    problems = []
    count = page.locator("body").evaluate(
        """body => ({
            sources: body.querySelectorAll('.math').length,
            rendered: body.querySelectorAll('.math mjx-container').length,
            errors: [...body.querySelectorAll('mjx-merror, [data-mjx-error]')]
                .map(error => error.getAttribute('data-mjx-error') || error.textContent),
        })"""
    )
    if count["sources"] != count["rendered"]:
        problems.append(f"{count['rendered']} of {count['sources']} formulas are rendered")
    problems += [f"a formula fails: {error}" for error in count["errors"]]
    prose = page.locator("main").evaluate(
        """main => {
            const copy = main.cloneNode(true);
            copy.querySelectorAll('pre, code, script, style, mjx-container').forEach(
                element => element.remove());
            return copy.textContent;
        }"""
    )
    problems += [f"raw TeX in the text: {found.strip()!r}" for found in RAW_TEX.findall(prose)]
    return problems


# formulas of which a part lies where no scrolling leads; accents may stand out by some pixels
CUT = """() => [...document.querySelectorAll('main mjx-container')].filter(one => {
    if (!one.checkVisibility({contentVisibilityAuto: true})) return false;
    const inside = one.querySelector('mjx-math').getBoundingClientRect();
    for (let box = one; box.tagName !== 'MAIN'; box = box.parentElement) {
        const {left, right} = box.getBoundingClientRect();
        const before = left - inside.left > 8;
        const how = getComputedStyle(box).overflowX;
        if (how === 'visible' || !(before || inside.right - right > 8)) continue;
        return how === 'hidden' || how === 'clip' || (before && box.scrollLeft === 0);
    }
}).map(one => one.querySelector('annotation').textContent)"""


def furniture(page):
    """At every width one header, one way to search, no sideways scrolling, no formula cut."""
    problems = []
    for width in (NARROW, WIDE):
        page.set_viewport_size({"width": width, "height": 900})
        for what, selector in (
            ("header", "header, .bd-header-article"),
            ("search box", ".search-button-field, .search-button, input[type=search]"),
        ):
            visible = page.locator(selector).filter(visible=True)
            for _ in range(20):  # the sidebar takes a moment to come and go
                if (seen := visible.count()) == 1:
                    break
                page.wait_for_timeout(100)
            else:
                problems.append(f"{seen} visible {what} elements at {width} px, not one")
        overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        if overflow > 0:
            problems.append(f"{overflow} px wider than a window of {width} px")
        page.evaluate(NEXT_FRAME)  # book.js hears of the new width
        problems += [f"a formula is cut at {width} px: {tex}" for tex in page.evaluate(CUT)]
    return problems


@contextmanager
def without_formulas(page):
    """Leave of each formula a box of its size and its name, for a while.

    Nine elements in ten of a page with many formulas are inside them.
    """
    page.evaluate(
        """() => {
            const boxes = [...document.querySelectorAll('mjx-container')].map(one => {
                const {width, height} = one.getBoundingClientRect();
                return [one, Math.max(width, one.scrollWidth), height];  // one may be scrolled
            });
            window.auditFormulas = boxes.flatMap(([one, width, height]) => {
                const box = document.createElement('span');
                box.style.cssText = `display: inline-block; width: ${width}px; height: ${height}px`;
                const name = [...one.querySelectorAll('math mrow')].at(0)?.textContent ?? '';
                return [['mjx-math', box], ['math', name]].map(([inside, instead]) => {
                    const part = one.querySelector(inside);
                    const was = [...part?.childNodes ?? []];
                    part?.replaceChildren(instead);
                    return () => part?.replaceChildren(...was);
                });
            });
        }"""
    )
    try:
        yield
    finally:
        page.evaluate("() => auditFormulas.forEach(restore => restore())")


def accessibility(page, *, colours_only=False, inside_formulas=False):
    """No violation that axe-core calls serious or critical.

    The rules for all but contrast say the same in both themes. What is inside formulas is made by
    one program from one pattern: it need not be looked at on every page.
    """
    # preloading would fetch style sheets again, and from the wrong place where one imports another
    options = {"resultTypes": ["violations"], "preload": False}
    if colours_only:
        options["runOnly"] = ["color-contrast"]
    with nullcontext() if inside_formulas else without_formulas(page):
        found = Axe().run(page, options=options).response["violations"]
    return [
        f"axe {rule['impact']} {rule['id']}: {node['target']} {node['html'][:160]}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


def _anchors(soup):
    named = {tag["id"] for tag in soup.find_all(id=True)}
    return named | {tag["name"] for tag in soup.find_all("a", attrs={"name": True})}


def links(html):
    """Every link, image, script and style of a folder of pages leads somewhere in the folder.

    Links to other sites are left alone; images, scripts and styles from other sites are not
    allowed. Every image has a text for those who do not see it. A fragment with "=" holds the
    settings of a live picture.
    """
    problems = []
    pages = {path.resolve(): path for path in html.rglob("*.html") if "_static" not in path.parts}
    soups = {
        path: BeautifulSoup(FORMULA.sub("", path.read_text(encoding="utf-8")), "html.parser")
        for path in pages
    }
    anchors = {path: _anchors(soup) for path, soup in soups.items()}
    for path, soup in soups.items():
        name = path.relative_to(html.resolve()).as_posix()
        for image in soup.find_all("img"):
            if not image.get("alt", "").strip():
                problems.append(f"{name}: no alt text on {image.get('src')}")
        for tag in soup.find_all(["a", "img", "script", "link", "source"]):
            address = tag.get("href") or tag.get("src")
            if not address or address.startswith(("data:", "javascript:", "mailto:")):
                continue
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                if tag.name != "a":
                    problems.append(f"{name}: <{tag.name}> from another site, {address}")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target = target / "index.html"
            if not target.is_file():
                problems.append(f"{name}: {address} leads nowhere")
            elif parts.fragment and "=" not in parts.fragment and target in anchors:
                if unquote(parts.fragment) not in anchors[target]:
                    problems.append(f"{name}: {address} has no such anchor")
    return problems
