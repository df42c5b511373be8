"""The built site, page by page, in a browser with the network cut off.

Nothing is built here: `make site` (or `make book`) comes first, and a site that is missing or older
than its sources fails every test. Screenshots of every page go to `_build/screenshots`.
"""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tools import audit, speed
from tools.notebooks import ROOT, toc_entries

HTML = ROOT / "_build" / "html"
SCREENSHOTS = ROOT / "_build" / "screenshots"
LANDING, *_ = toc_entries()
HEAVIEST_LANDING = 1_500_000  # bytes


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("entry", toc_entries())
def test_page(site: str, browser: Browser, entry: str, theme: str):
    """Loaded in a wide window when light and in a narrow one when dark, then seen in both."""
    width = audit.WIDE if theme == "light" else audit.NARROW
    with audit.in_theme(browser, theme, width) as context:
        page, problems = audit.visit(context, f"{site}/{entry}.html")
        problems += audit.stillness(page)
        if entry == LANDING:
            assert audit.weight(page) < HEAVIEST_LANDING
        assert page.locator("html").get_attribute("data-theme") == theme
        problems += audit.formulas(page) + audit.furniture(page)
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        name = f"{entry.replace('/', '-')}-{theme}.jpg"
        page.screenshot(path=SCREENSHOTS / name, full_page=True, type="jpeg", quality=90)
        problems += audit.accessibility(
            page, colours_only=theme == "dark", inside_formulas=entry == LANDING
        )
    assert not problems, "\n".join(problems)


def test_links_lead_somewhere_and_images_have_a_text(site: str):
    problems = audit.links(HTML)
    assert not problems, "\n".join(problems)


def test_search_works_offline(site: str, browser: Browser):
    with audit.in_theme(browser, "light") as context:
        page, problems = audit.visit(context, f"{site}/{toc_entries()[0]}.html")
        page.locator(".search-button-field").click()
        page.locator("#search-input:visible").fill("features")
        page.keyboard.press("Enter")
        page.wait_for_url("**/search.html?*")
        page.locator("#search-results ul.search li a").first.wait_for()
        page.wait_for_load_state("networkidle")
        assert page.locator("#search-results ul.search li").count() >= 1
    assert not problems, "\n".join(problems)


def test_a_first_visit_lands_on_the_landing_page(site: str, browser: Browser):
    with audit.in_theme(browser, None) as context:
        page, problems = audit.visit(context, f"{site}/")
        page.wait_for_url(f"**/{toc_entries()[0]}.html")
    assert not problems, "\n".join(problems)


CHECKS = (audit.stillness, audit.formulas, audit.furniture, audit.accessibility)


class TestTheChecksCatch:
    """Each check, on a page that is wrong in the way that the check is for."""

    @staticmethod
    def look(browser: Browser, folder: Path, body: str):
        head = "<html lang='en'><head><title>t</title></head>"
        (folder / "index.html").write_text(f"{head}<body>{body}</body></html>", encoding="utf-8")
        with audit.served(folder) as address, audit.in_theme(browser, "light") as context:
            page, problems = audit.visit(context, f"{address}/index.html")
            checks = {check.__name__: check(page) for check in CHECKS}
        return "\n".join(problems), {name: "\n".join(found) for name, found in checks.items()}

    PLAIN = "<header><input type=search aria-label=s></header><main><h1>t</h1><p>plain</p></main>"

    def test_and_a_plain_page_passes(self, browser, tmp_path):
        problems, checks = self.look(browser, tmp_path, self.PLAIN)
        assert problems == "" and not any(checks.values())
        assert audit.links(tmp_path) == []

    def test_missing_image(self, browser, tmp_path):
        body = self.PLAIN + "<img src='missing.png' alt='a'>"
        assert "status 404" in self.look(browser, tmp_path, body)[0]
        assert "missing.png leads nowhere" in audit.links(tmp_path)[0]

    def test_image_without_a_text(self, browser, tmp_path):
        body = self.PLAIN + "<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>"
        assert "image-alt" in self.look(browser, tmp_path, body)[1]["accessibility"]
        assert "no alt text" in audit.links(tmp_path)[0]

    def test_script_from_elsewhere(self, browser, tmp_path):
        body = self.PLAIN + "<script src='https://example.org/a.js'></script>"
        assert "outside the site" in self.look(browser, tmp_path, body)[0]
        assert "from another site" in audit.links(tmp_path)[0]

    def test_script_that_throws(self, browser, tmp_path):
        body = self.PLAIN + "<script>throw new Error('oops')</script>"
        assert "oops" in self.look(browser, tmp_path, body)[0]

    def test_dead_anchor(self, browser, tmp_path):
        self.look(browser, tmp_path, self.PLAIN + "<a href='index.html#gone'>there</a>")
        assert "no such anchor" in audit.links(tmp_path)[0]

    @pytest.mark.parametrize(
        ("formula", "caught"),
        [
            ("<span class='math'>\\(x\\)</span>", "0 of 1 formulas"),
            ("<p>where $x$ is</p>", "raw TeX"),
            ("<mjx-merror data-mjx-error='Undefined control sequence'></mjx-merror>", "Undefined"),
        ],
    )
    def test_formula(self, browser, tmp_path, formula, caught):
        body = self.PLAIN.replace("<p>plain</p>", formula)
        assert caught in self.look(browser, tmp_path, body)[1]["formulas"]

    @pytest.mark.parametrize(
        ("extra", "caught"),
        [
            ("<input type=search aria-label=s>", "2 visible search box"),
            ("<header>second</header>", "2 visible header"),
            ("<div style='width: 900px'>wide</div>", "wider than a window of 390 px"),
        ],
    )
    def test_furniture(self, browser, tmp_path, extra, caught):
        assert caught in self.look(browser, tmp_path, self.PLAIN + extra)[1]["furniture"]

    def test_what_moves(self, browser, tmp_path):
        late = "late.style.height = '300px'"
        body = self.PLAIN.replace("<h1>", "<div id='late'></div><h1>") + (
            f"<script>onload = () => setTimeout(() => {{ {late} }}, 200)</script>"
        )
        assert "moves by 0." in self.look(browser, tmp_path, body)[1]["stillness"]

    def test_weight(self, browser, tmp_path):
        (tmp_path / "heavy.js").write_text("/*" + "x" * 100_000 + "*/")
        page = self.PLAIN + "<script src='heavy.js'></script>"
        (tmp_path / "index.html").write_text(page, encoding="utf-8")
        with audit.served(tmp_path) as address, audit.in_theme(browser, "light") as context:
            heavy, _ = audit.visit(context, f"{address}/index.html")
            assert audit.weight(heavy) == 100_004 + len(page)
            found = speed.measure(browser, address, ["index"], times=1)["index"]
        assert found["kb"] == 100 and found["shift"] == 0 and found["ms"] > 0

    def test_poor_contrast(self, browser, tmp_path):
        body = self.PLAIN + "<p style='color: #ccc; background: #fff'>faint</p>"
        assert "color-contrast" in self.look(browser, tmp_path, body)[1]["accessibility"]
        page = browser.new_page()
        page.set_content(f"<html lang='en'><title>t</title><body>{body}</body></html>")
        assert "color-contrast" in audit.accessibility(page, colours_only=True)[0]
        page.close()

    def test_formulas_are_set_aside_for_axe_and_come_back(self, browser):
        page = browser.new_page()
        inside = "<mjx-math><b></b></mjx-math><math><mrow><mi>x</mi></mrow></math>"
        page.set_content(f"<p><mjx-container>{inside}</mjx-container></p>")
        with audit.without_formulas(page):
            assert page.locator("b, mi").count() == 0
            assert page.locator("p").text_content() == "x"
        assert page.locator("mjx-container").inner_html() == inside
        page.close()


@pytest.mark.parametrize(
    ("chapter", "rule"),
    [
        ("02-from-matrices-to-one-equation", "div.math.math { overflow: hidden }"),
        ("10-random-masks", "span.math.wide.wide { overflow: hidden }"),
    ],
)
def test_a_cut_formula_to_whose_end_nothing_leads_is_found(
    site: str, browser: Browser, chapter: str, rule: str
):
    with audit.in_theme(browser, "light", audit.NARROW) as context:
        page, problems = audit.visit(context, f"{site}/notebooks/{chapter}.html")
        assert not problems and not audit.furniture(page)
        page.add_style_tag(content=f".bd-article {rule}")
        assert any("is cut at 390 px" in problem for problem in audit.furniture(page))
