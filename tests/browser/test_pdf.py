"""The book as PDF: a little book printed here, and the whole one where `make pdf` has left it."""

import re
import unicodedata

import pytest
from pypdf import PdfReader

from tools import audit, pdf
from tools.book import BuildFailed
from tools.notebooks import ROOT, toc_entries

WHOLE = ROOT / "_build" / "jepabook.pdf"
PAGE = """<html lang="en"><head><title>t</title></head><body><article class="bd-article">
<section id="top"><h1>{title}<a class="headerlink" href="#top">#</a></h1>{body}</section>
</article></body></html>"""
FILLED = "<p>Some words.</p>" * 80
FIRST = f"""<button>Press</button><script>throw new Error("paper runs no script")</script>
<p>See <a href="../notebooks/second.html#end">the end of the second</a>, <a href="#end">the end</a>,
<a href="#label">here</a>, <a href="../rows.json">a file</a>, <a href="https://example.org/x">elsewhere</a>.</p>
<section id="middle"><span id="label"></span><h2>Its middle</h2>{FILLED}</section>
<section id="end"><h2>Its end</h2><p>That was it.</p></section>"""
SECOND = f"""<table class="table"><thead><tr><th>a</th><th>b</th></tr></thead><tbody>
<tr><td>one</td><td>{"unbreakable" * 8}</td></tr></tbody></table>
<p><img src="../_images/dot.png" alt="a dot"></p>{FILLED}
<section id="end"><h2>The last end</h2><pre>{"x" * 96}</pre></section>"""
DOT = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154"
    "08d763f8cfc000000301010018dd8db00000000049454e44ae426082"
)
TOC = {
    "root": "book/first",
    "parts": [{"caption": "The rest", "chapters": [{"file": "notebooks/second"}]}],
}


def site_of(folder, first=FIRST, second=SECOND):
    """A folder of two pages and an image."""
    for name, title, body in (
        ("book/first", "The first", first),
        ("notebooks/second", "The second", second),
    ):
        path = folder / f"{name}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PAGE.format(title=title, body=body), encoding="utf-8")
    (folder / "_images").mkdir()
    (folder / "_images" / "dot.png").write_bytes(DOT)
    return folder


def printed(browser, folder, out):
    """Print the pages of a folder."""
    book = pdf.whole(folder, TOC, "A little book", "About nothing.", ["Nobody"])
    with audit.served(folder) as address:
        return pdf.print_book(browser, address, book, out)


def texts(reader):
    """What stands on each page. A font may have one letter for two, such as fi: they are undone."""
    return [unicodedata.normalize("NFKC", page.extract_text()) for page in reader.pages]


def outline(reader):
    """(heading, page) for every heading, as Chromium found them when it laid the pages out."""

    def flat(items):
        for item in items:
            yield from flat(item) if isinstance(item, list) else [item]

    return [
        (item["/Title"], reader.get_destination_page_number(item) + 1)
        for item in flat(reader.outline)
    ]


def told_in_the_contents(reader):
    """(heading, page) for each line of the contents, in order, but those that end in a formula."""
    last = min(number for name, number in pdf.numbers(reader).items() if name != "contents")
    lines = "\n".join(texts(reader)[1 : last - 1]).splitlines()
    found = [re.fullmatch(r"(.*?\S) ?(\d+)", line) for line in lines]
    told = [(match[1], int(match[2])) for match in found if match]
    return [(heading, page) for heading, page in told if re.search(r"\w{3}", heading)]


def fonts_left_out(reader):
    """Fonts that a page uses and the file does not hold."""
    left_out = set()
    for page in reader.pages:
        for font in page["/Resources"].get("/Font", {}).values():
            font = font.get_object()
            if font["/Subtype"] == "/Type3":  # its glyphs are in the font itself
                continue
            inner = [part.get_object() for part in font.get("/DescendantFonts", [font])]
            for one in inner:
                if not any(key.startswith("/FontFile") for key in one["/FontDescriptor"]):
                    left_out.add(font["/BaseFont"])
    return left_out


def links(reader):
    """The names that links lead to, and the addresses outside."""
    names, addresses = set(), set()
    for page in reader.pages:
        for note in page.get("/Annots", []):
            note = note.get_object()
            if "/Dest" in note:
                names.add(str(note["/Dest"]).removeprefix("/"))
            elif "/A" in note:
                addresses.add(note["/A"]["/URI"])
    return names, addresses


@pytest.fixture(scope="module")
def little(browser, tmp_path_factory):
    """A little book, printed, and how many pages were said to be in it."""
    folder = tmp_path_factory.mktemp("little")
    out = folder / "little.pdf"
    pages = printed(browser, site_of(folder / "html"), out)
    return PdfReader(out), pages


class TestALittleBook:
    def test_it_has_a_cover_contents_and_every_page(self, little):
        reader, pages = little
        text = texts(reader)
        assert len(reader.pages) == pages > 6
        assert "A little book" in text[0] and "Nobody" in text[0] and "Contents" in text[1]
        assert "The first" in text[2] and "That was it." in "".join(text)
        width, height = reader.pages[0].mediabox[2:]
        assert abs(width - 595) < 1 and abs(height - 842) < 1

    def test_contents_tell_the_pages(self, little):
        reader, _ = little
        text, told = texts(reader), told_in_the_contents(reader)
        headings = ["The first", "Its middle", "Its end", "The second", "The last end"]
        assert [heading for heading, _ in told] == headings
        for heading, page in told:
            first = next(n for n, one in enumerate(text[2:], 3) if heading in one.splitlines())
            # a running head repeats the title of a chapter, from its first page on
            assert page == first

    def test_every_page_but_the_cover_has_its_number(self, little):
        text = texts(little[0])
        assert not re.search(r"\d", text[0])
        for number, one in enumerate(text[1:], 2):
            assert str(number) in one.splitlines()

    def test_links_lead_somewhere(self, little):
        names, addresses = links(little[0])
        assert names <= pdf.numbers(little[0]).keys()
        assert {"second--end", "first--end", "first--label", "first", "second"} <= names
        assert addresses == {"https://example.org/x"}

    def test_fonts_are_in_the_file(self, little):
        assert not fonts_left_out(little[0])

    def test_it_has_an_outline(self, little):
        titles = [one["/Title"] for one in little[0].outline if not isinstance(one, list)]
        assert titles == ["Contents", "The first", "The second"]

    def test_what_only_a_screen_can_use_is_left_out(self, little):
        text = "".join(texts(little[0]))
        assert "Press" not in text and "#" not in text and "a file" in text


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("<div style='width: 900px'>wide</div>", "243 px too wide: <div> in second: wide"),
        (f"<pre>{'x' * 300}</pre>", "px too wide: <pre> in second"),
        (f"<p>{'x' * 300}</p>", "px too wide: <p> in second"),
        ("<div style='overflow: hidden !important; width: 99px'><pre>" + "x" * 40, "cut|too wide"),
        (
            "<figure><div style='height: 30cm'>tall</div></figure>",
            "tall, more than a page: <figure>",
        ),
        ("<p><img src='../_images/gone.png' alt='gone'></p>", "status 404"),
        (r"<span class='math'>\(x\)</span>", "0 of 1 formulas"),
    ],
)
def test_what_does_not_fit_is_not_printed(browser, tmp_path, body, said):
    site_of(tmp_path / "html", second=body)
    with pytest.raises(BuildFailed, match=said):
        printed(browser, tmp_path / "html", tmp_path / "out.pdf")
    assert not (tmp_path / "out.pdf").exists()


def test_a_link_to_no_section_is_told(browser, tmp_path):
    site_of(tmp_path / "html", first=FIRST.replace("#end", "#gone"))
    with pytest.raises(BuildFailed, match="links lead nowhere: second--gone, first--gone"):
        printed(browser, tmp_path / "html", tmp_path / "out.pdf")


def test_pages_of_one_name_are_refused(tmp_path):
    toc = {"root": "book/first", "parts": [{"chapters": [{"file": "notebooks/first"}]}]}
    with pytest.raises(ValueError, match="different names"):
        pdf.whole(tmp_path, toc, "t", "a", [])


@pytest.fixture(scope="module")
def whole():
    """The whole book, if it has been printed from the site that is there."""
    stamp = ROOT / "_build" / "site.json"
    if not WHOLE.is_file() or not stamp.is_file():
        pytest.skip("there is no _build/jepabook.pdf: make pdf")
    if WHOLE.stat().st_mtime < stamp.stat().st_mtime:
        pytest.skip("_build/jepabook.pdf is older than the site: make pdf")
    return PdfReader(WHOLE)


class TestTheWholeBook:
    def test_contents_tell_the_pages(self, whole):
        told = told_in_the_contents(whole)
        assert len(told) > 150 and [page for _, page in told] == sorted(page for _, page in told)
        headings = {(re.sub(r"\W", "", heading), page) for heading, page in outline(whole)}
        plain = {(re.sub(r"\W", "", heading), page) for heading, page in told if heading.isascii()}
        assert len(plain) > 0.8 * len(told)
        assert plain <= headings, plain - headings

    def test_it_has_every_page_of_the_site(self, whole):
        places = pdf.numbers(whole)
        numbers = [places[entry.rpartition("/")[2]] for entry in toc_entries()]
        assert numbers == sorted(set(numbers)) and len(whole.pages) > 200

    def test_links_lead_somewhere(self, whole):
        names, addresses = links(whole)
        assert names <= pdf.numbers(whole).keys() and len(names) > 500
        assert not any(audit.HOST in address for address in addresses)

    def test_fonts_are_in_the_file(self, whole):
        assert not fonts_left_out(whole)
