"""Ask every link that leaves the book: `make links`. It needs the network, so no test waits for it.

A link is dead if its site says that the page is gone, or if nothing answers however often it is
asked. A site that answers, but refuses a program, leaves the question open.
"""

import re
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urldefrag

from bs4 import BeautifulSoup

from jepabook._support.command import Parser
from tools.notebooks import ROOT

BARE = re.compile(r"https?://[^\s<>\"'`)\]}]+")
REFUSALS = (401, 402, 403, 405, 406, 429)
AGENT = "Mozilla/5.0 (compatible; jepabook link check)"


def collect(html, texts):
    """The addresses in a folder of pages and in plain texts, with the names of their files."""
    found = {}
    for page in sorted(html.rglob("*.html")):
        soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
        for tag in soup.find_all("a", href=re.compile("^https?://")):
            found.setdefault(urldefrag(tag["href"]).url, set()).add(page.name)
    for text in texts:
        for address in BARE.findall(text.read_text(encoding="utf-8")):
            found.setdefault(urldefrag(address.rstrip(".,;:")).url, set()).add(text.name)
    return {address: sorted(names) for address, names in sorted(found.items())}


def ask(address, *, tries=3, pause=5.0):
    """`"ok"`, `"open: …"` or `"dead: …"`; only silence and a server's own error are asked again.

    Parameters
    ----------
    address : str
        A link with scheme http or https.
    tries : int
        How often to ask.
    pause : float
        Seconds between two tries.
    """
    request = urllib.request.Request(address, headers={"User-Agent": AGENT})
    said = ""
    for attempt in range(tries):
        if attempt:
            time.sleep(pause)
        try:
            with urllib.request.urlopen(request, timeout=30.0):
                return "ok"
        except urllib.error.HTTPError as error:
            error.close()
            said = f"status {error.code}"
            if error.code in REFUSALS:
                return f"open: {said}"
            if error.code < 500:
                return f"dead: {said}"
        except (OSError, HTTPException) as error:
            said = str(getattr(error, "reason", error)) or type(error).__name__
    return f"dead: {said}, {tries} times"


def main():
    parser = Parser("python -m tools.weblinks", description="Ask every link that leaves the book.")
    parser.add_argument("--html", type=Path, default=ROOT / "_build" / "html")
    arguments = parser.parse_args()
    texts = [*sorted(ROOT.glob("*.md")), ROOT / "CITATION.cff"]
    links = collect(arguments.html, texts)
    with ThreadPoolExecutor(8) as pool:
        answers = dict(zip(links, pool.map(ask, links), strict=True))
    for address, answer in answers.items():
        if answer != "ok":
            print(f"{answer}: {address} in {', '.join(links[address])}")
    dead = sum(answer.startswith("dead") for answer in answers.values())
    print(f"{len(links)} links, {dead} dead")
    return int(dead > 0)


if __name__ == "__main__":
    sys.exit(main())
