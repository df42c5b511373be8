"""What a page of the site may do: the policy that it carries, and what in its HTML would break it.

Nothing acts that stands in a page itself: scripts and styles are files of the site, and no other
place is asked for anything. The policy is in every page, so that it holds wherever the site is put
and from a file, too; the browser tests also serve it as a header.
"""

from html.parser import HTMLParser
from urllib.parse import urlsplit

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",  # the theme's style sheets hold small images
        "font-src 'self'",
        "connect-src 'self'",  # the search reads the pages that it has found
        "form-action 'self'",
        "base-uri 'none'",
        "object-src 'none'",
    )
)
META = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}" />'
NOT_RUN = ("application/json", "application/ld+json")  # types of scripts that hold data
DOCUMENTS = ("applet", "base", "embed", "frame", "frameset", "iframe", "object", "portal")
ADDRESSES = ("action", "background", "data", "formaction", "href", "poster", "src", "srcset")
LINK_SCHEMES = ("", "http", "https", "mailto")  # of what a reader may follow


def scheme(address):
    """The scheme of an address as a browser reads it; empty if it stays in the site.

    "?" where browsers skip or turn some of its signs, or cannot read it.
    """
    if "\\" in address or any(sign < " " for sign in address):
        return "?"
    try:
        parts = urlsplit(address.strip())
    except ValueError:
        return "?"
    return parts.scheme or ("http" if parts.netloc else "")


class _Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        given = {name: value or "" for name, value in attrs}

        def tell(what):
            self.found.append(f"{what}: {self.get_starttag_text()[:120]}")

        if tag == "script" and "src" not in given and given.get("type") not in NOT_RUN:
            tell("a script in the page itself")
        if tag == "style" or "style" in given:
            tell("a style in the page itself")
        if tag in DOCUMENTS:
            tell("a document in the page")
        if given.get("http-equiv", "").lower() == "refresh":
            if scheme(given.get("content", "").partition("=")[2]):
                tell("a page that leads elsewhere by itself")
        followed = tag in ("a", "area") or given.get("rel") == "canonical"
        allowed = LINK_SCHEMES if followed else ("", "data") if tag == "img" else ("",)
        for name, value in given.items():
            if name.startswith("on") or name == "srcdoc":
                tell("a script in an attribute")
            if name.rpartition(":")[2] in ADDRESSES and scheme(value) not in allowed:
                tell("an address that the site has no use for")


def breaches(html):
    """What in a page would act, or ask another place for something, but for the policy."""
    page = _Page()
    page.feed(html)
    page.close()
    return page.found
