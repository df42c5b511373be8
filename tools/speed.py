"""How fast the pages of the site load: `python -m tools.speed`, for the status page.

Every page is opened from this machine, with nothing in the browser's cache, in a wide window and in
a phone's. A page is usable when its largest part is drawn, its fonts are there, no script that
takes 50 ms or more is running and the next frame is drawn.
"""

import statistics
import sys

from playwright.sync_api import sync_playwright

from tools import audit, book, measured
from tools.notebooks import ROOT, toc_entries

NAME = "pages"
TIMES = 3  # the median of so many visits
WATCH = """{
    window.auditLoad = {drawn: 0, busy: 0};
    const watch = (type, note) => new PerformanceObserver(
        list => list.getEntries().forEach(note)).observe({type, buffered: true});
    watch('largest-contentful-paint', one => { auditLoad.drawn = one.startTime; });
    watch('longtask', one => { auditLoad.busy = one.startTime + one.duration; });
    auditLoad.ready = new Promise(told => addEventListener('load', async () => {
        await document.fonts.ready;
        const tell = () => told(performance.now());
        requestAnimationFrame(() => setTimeout(tell));
        setTimeout(tell, 10000);
    }));
}"""
TO_THE_END = f"""async () => {{
    const frame = {audit.NEXT_FRAME};
    for (let y = 0; y < document.documentElement.scrollHeight; y += innerHeight) {{
        scrollTo(0, y);
        await frame();
        await frame();
    }}
}}"""


def visit(browser, url, width):
    """One visit: bytes, milliseconds until usable, and how much moved, to the end of the page."""
    with audit.in_theme(browser, "light", width) as context:
        context.add_init_script(WATCH)
        page = context.new_page()
        page.goto(url, wait_until="networkidle")
        usable = page.evaluate(
            "auditLoad.ready.then(at => Math.max(at, auditLoad.drawn, auditLoad.busy))"
        )
        page.evaluate(TO_THE_END)
        return {"bytes": audit.weight(page), "ms": usable, "shift": audit.shift(page)}


def measure(browser, address, entries, times=TIMES):
    """The worse of the two widths, for each page."""
    visit(browser, f"{address}/{entries[0]}.html", audit.WIDE)  # the browser's own first time
    pages = {}
    for entry in entries:
        both = []
        for width in (audit.WIDE, audit.NARROW):
            visits = [visit(browser, f"{address}/{entry}.html", width) for _ in range(times)]
            both.append({name: [one[name] for one in visits] for name in visits[0]})
        pages[entry] = {
            "kb": round(max(max(one["bytes"]) for one in both) / 1000),
            "ms": round(max(statistics.median(one["ms"]) for one in both), -1),
            "shift": round(max(max(one["shift"]) for one in both), 3),
        }
    return pages


def main(root=ROOT):
    about = book.build_of(root)
    if about is None or about["sources"] != book.fingerprint(root):
        print("no site of the present sources: run make site first", file=sys.stderr)
        return 1
    with sync_playwright() as playwright, audit.served(root / "_build" / "html") as address:
        browser = audit.launch(playwright)
        pages = measure(browser, address, toc_entries(root))
        browser.close()
    for entry, found in pages.items():
        print(f"  {entry:45} {found['kb']:5} kB {found['ms']:6.0f} ms  {found['shift']:.3f}")
    measured.note(root, NAME, {NAME: pages})
    return 0


if __name__ == "__main__":
    sys.exit(main())
