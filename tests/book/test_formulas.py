"""Formulas set at build time, and the sizes of images: `book/_ext/formulas.py` and `light.py`."""

import re

import formulas
import light
import pytest
from PIL import Image

from tools.notebooks import ROOT

RHO = r"\rho_i"


@pytest.fixture(scope="module")
def typesetter():
    return formulas.Typesetter()


def test_a_formula_is_seen_heard_and_found_by_its_tex(typesetter):
    html = typesetter.html(r"\rho<\frac{c}{2}", False)
    assert 'aria-hidden="true"' in html and "<mjx-frac>" in html
    assert "<mfrac><mi>c</mi><mn>2</mn></mfrac>" in html
    assert r'<annotation encoding="application/x-tex">\rho&lt;\frac{c}{2}</annotation>' in html
    assert html.startswith("<mjx-container") and html.endswith("</mjx-container>")


def test_on_a_line_of_its_own(typesetter):
    assert 'display="true"' in typesetter.html("x", True).partition(">")[0]
    assert "display" not in typesetter.html("x", False).partition(">")[0]
    assert "(7)" in re.sub("<[^>]*>", "", typesetter.html(r"x \tag{7}", True))


def test_a_link_that_is_a_formula_has_a_name(typesetter):
    formula = f"<span class='math'>{typesetter.html(RHO, False)}</span>"
    body = f'<a href="1">{formula}</a> <a href="2">size {formula}</a> <a href="3">b</a>{formula}'
    found = formulas.NAMELESS.sub(formulas.named, body)
    assert re.findall("<a [^>]*>", found) == [
        '<a aria-label="&#x3C1;i" href="1">',
        '<a href="2">',
        '<a href="3">',
    ]
    assert re.sub(' aria-label="[^"]*"', "", found) == body


@pytest.mark.parametrize(
    ("tex", "why"),
    [(r"\nothing", "Undefined control sequence"), (r"\frac{1", "Missing close brace")],
)
def test_an_error_names_the_formula(typesetter, tex, why):
    with pytest.raises(formulas.Rejected, match=re.escape(why)) as caught:
        typesetter.html(tex, False)
    assert tex in str(caught.value)


def test_the_sheet_has_what_was_set_and_names_fonts_that_exist(typesetter):
    typesetter.html(r"\mathcal{L}", False)
    sheet = typesetter.sheet()
    assert "mjx-c4C.TEX-C" in sheet and "mjx-assistive-mml" in sheet
    fonts = {path.name for path in (typesetter.mathjax / formulas.FONTS).iterdir()}
    assert {*re.findall(r"formulas/([\w-]+\.woff)", sheet), formulas.LINE, *formulas.FIRST} <= fonts


def test_styles_of_single_signs_are_rules_of_the_sheet(typesetter):
    tex = r"\hat x_2^{3}\quad\color{#f00}{y}"
    html, again = (typesetter.html(tex, display) for display in (False, True))
    assert " style=" not in html + again
    named = set(re.findall(r'data-s="(\d+)"', html))
    rules = dict(re.findall(r'\[data-s="(\d+)"\] \{ (.*) \}', typesetter.sheet()))
    assert len(named) > 2 and named <= rules.keys()
    assert "color: #f00 !important;" in rules.values()
    assert all(rule.endswith(" !important;") for rule in rules.values())


def test_images_say_their_size(tmp_path):
    Image.new("L", (30, 20)).save(tmp_path / "a b.png")
    found = light.mend('<img alt="x" src="a%20b.png" /><img src="data:x.png">', tmp_path)
    assert found == '<img width="30" height="20" alt="x" src="a%20b.png" /><img src="data:x.png">'
    assert light.mend(found, tmp_path) == found
    (tmp_path / "b.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"b\.png is no PNG"):
        light.mend('<img src="b.png">', tmp_path)


def test_icons_are_loaded_once(tmp_path):
    kept = '<link rel="preload" as="font" href="v/webfonts/fa-solid-900.woff2" />\n'
    gone = kept.replace("solid-900", "brands-400") + kept.replace("solid-900", "regular-400")
    script = '<script src="v/fontawesome/6.5.2/js/all.min.js?digest=1"></script>\n'
    assert light.mend(kept + gone + script, tmp_path) == kept


@pytest.mark.parametrize(("before", "waits"), [(100, True), (50_000, False)])
def test_a_table_at_the_top_is_waited_for(tmp_path, before, waits):
    page = (
        '<title>t</title><article class="bd-article">'
        f"{'x' * before}<table></table><table></table></article>"
    )
    found = light.mend(page, tmp_path)
    assert (light.WAIT in found) == waits
    assert ('<table></table><span id="first-table-read" hidden></span><table>' in found) == waits
    assert light.mend(found, tmp_path) == found


def test_every_icon_of_the_site_is_in_the_font_that_is_loaded():
    folder = ROOT / "_build" / "html"
    if not folder.is_dir():
        pytest.skip("there is no site: make site")
    pages = [path for path in folder.rglob("*.html") if "_static" not in path.parts]
    used = {
        name
        for path in pages
        for name in re.findall(
            r'class="[^"]*\b(fa[brs]?|fa-(?:solid|regular|brands)) ', path.read_text("utf-8")
        )
    }
    assert used <= {"fas", "fa-solid"}
