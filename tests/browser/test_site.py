"""The built site, page by page, in a browser with the network cut off.

Nothing is built here: `make site` (or `make book`) comes first, and a site that is missing or older
than its sources fails every test. Screenshots of every page go to `_build/screenshots`.
"""

import random
import re
import shutil
from urllib.parse import quote

import pytest
import searching

from jepabook import figures
from tools import audit, passive, policy, speed
from tools.notebooks import ROOT, toc_entries

HTML = ROOT / "_build" / "html"
SCREENSHOTS = ROOT / "_build" / "screenshots"
LANDING, *_ = toc_entries()
HEAVIEST_LANDING = 1_500_000  # bytes


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("entry", toc_entries())
def test_page(site, browser, entry, theme):
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


def test_links_lead_somewhere_and_images_have_a_text(site):
    problems = audit.links(HTML)
    assert not problems, "\n".join(problems)


def test_every_page_carries_the_policy_before_all_that_it_rules(site):
    for path in HTML.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        before, meta, after = text.partition(policy.META)
        assert meta and not re.search("<(script|link|style|img)", before), path.name
        assert not policy.breaches(audit.FORMULA.sub("", after)), path.name


def results(page):
    """How many pages a search found, when it has ended."""
    page.locator("#search-results .search-summary:not(:empty)").wait_for()
    return page.locator("#search-results ul.search li").count()


def test_search_works_offline(site, browser):
    with audit.in_theme(browser, "light") as context:
        page, problems = audit.visit(context, f"{site}/{LANDING}.html")
        page.locator(".search-button-field").click()
        page.locator("#search-input:visible").fill("features")
        page.keyboard.press("Enter")
        page.wait_for_url("**/search.html?*")
        assert results(page) >= 1
        page.wait_for_load_state("networkidle")
    assert not problems, "\n".join(problems)


def test_what_was_searched_is_marked_in_the_page_that_was_found_alone(site, browser):
    with audit.in_theme(browser, "light") as context:
        page, problems = audit.visit(context, f"{site}/search.html?q=slowdown+exponent")
        assert results(page) >= 1
        page.wait_for_load_state("networkidle")
        # the icon in the field covers none of its words, and no formula is found as TeX
        icon = page.locator(".bd-search-container .fa-magnifying-glass").bounding_box()
        field = page.locator(".bd-search-container input[type=search]")
        inside = field.bounding_box()["x"] + float(
            field.evaluate("one => parseFloat(getComputedStyle(one).paddingLeft)")
        )
        assert icon["x"] + icon["width"] <= inside
        snippets = " ".join(page.locator("#search-results .context").all_inner_texts())
        assert len(snippets) > 500 and "\\" not in snippets
        page.locator("#search-results li a[href*='solving-the-dynamics']").first.click()
        page.wait_for_load_state()
        page.locator("article .highlighted").first.wait_for()
        assert "highlight" not in page.url
        assert page.locator(".highlighted").count() == page.locator("article .highlighted").count()
        assert page.locator("mjx-container .highlighted").count() == 0
        page.get_by_role("button", name="Hide Search Matches").click()
        assert page.locator(".highlighted").count() == 0
        page.goto(f"{site}/{LANDING}.html")
        page.wait_for_timeout(100)
        assert page.locator(".highlighted, [data-unmark]").count() == 0
    assert not problems, "\n".join(problems)


def test_titles_links_and_figures_are_as_a_reader_takes_them(site):
    text = (HTML / f"{LANDING}.html").read_text(encoding="utf-8")
    assert "<title>How JEPA avoids noisy features, reproduced</title>" in text
    figures = 0
    for entry in toc_entries():
        text = audit.FORMULA.sub("", (HTML / f"{entry}.html").read_text(encoding="utf-8"))
        text = text.partition("<article")[2].partition("</article>")[0]
        assert not re.search(r"<a [^>]*>\s+\S", text), entry
        figures += len(re.findall(r'<a class="figure-large" href="\.\./_images/[^"]+"><img ', text))
        assert not re.search(r'<figure[^>]*>\s*<img [^>]*src="\.\./_images', text), entry
    assert figures > 30


FIGURES_ON_A_PHONE = """(smallest) => {
    const told = (link) => getComputedStyle(link, '::after').content.replaceAll('"', '');
    const text = (image) => image.getBoundingClientRect().width / image.naturalWidth * smallest;
    document.querySelectorAll('details').forEach(one => { one.open = true; });
    const seen = [...document.querySelectorAll('article a.figure-large')].filter(
        link => link.checkVisibility());
    return seen.map(link => {
        const image = link.querySelector('img');
        const [small, cue] = [text(image), told(link)];
        link.click();
        const [large, back] = [text(image), told(link)];
        const aside = document.documentElement.scrollWidth - innerWidth;
        link.click();
        const name = link.closest('figure')?.id;
        return {name, small, cue, large, back, aside, again: text(image)};
    });
}"""


def test_a_figure_too_small_on_a_phone_opens_large_in_its_place(site, browser):
    """Text below 8 pixels: a visible cue, and a tap that makes it larger and moves no page."""
    smallest = figures.STYLE["xtick.labelsize"] / 72 * figures.STYLE["figure.dpi"]  # in the file
    seen = 0
    with audit.in_theme(browser, "light", audit.NARROW) as context:
        for entry in [one for one in toc_entries() if re.match(r"notebooks/\d", one)]:
            page, problems = audit.visit(context, f"{site}/{entry}.html")
            for figure in page.evaluate(FIGURES_ON_A_PHONE, smallest):
                if figure["small"] < 8:
                    seen += 1
                    assert figure["cue"] == "open large", figure
                    assert figure["back"] == "fit to the page", figure
                    assert figure["large"] >= 9 and figure["aside"] <= 0, figure
                    assert abs(figure["again"] - figure["small"]) < 0.1, figure
            assert not problems, problems
            page.close()
    assert seen > 60


def test_what_is_cut_at_the_right_fades_until_its_end_is_seen(site, browser):
    with audit.in_theme(browser, "light", audit.NARROW) as context:
        seen = 0
        for entry in [one for one in toc_entries() if one.startswith("notebooks/0")]:
            page, problems = audit.visit(context, f"{site}/{entry}.html")
            page.evaluate(audit.NEXT_FRAME)
            boxes = page.evaluate(
                """() => [...document.querySelectorAll('article .wide')].filter(
                    one => one.checkVisibility({contentVisibilityAuto: true})
                        && one.scrollWidth > one.clientWidth + 2).map(one => {
                    const fades = () => getComputedStyle(one).maskImage !== 'none';
                    const before = fades();
                    one.scrollLeft = one.scrollWidth;
                    one.dispatchEvent(new Event('scroll'));
                    return [before, fades()];
                })"""
            )
            assert all(one == [True, False] for one in boxes), (entry, boxes)
            seen += len(boxes)
            assert not problems
            page.close()
    assert seen > 20


HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.mark.parametrize("words", ["constructor", "__proto__ valueOf", HOSTILE])
def test_any_words_can_be_searched(site, browser, words):
    with audit.in_theme(browser, "light") as context:
        page, problems = audit.visit(context, f"{site}/search.html?q={quote(words)}#{HOSTILE}")
        found = results(page)
        page.wait_for_load_state("networkidle")
        assert page.locator("#search-results li").count() == found
        assert page.locator(".bd-search-container input").input_value() == words
        assert page.locator("[src=x]").count() == 0
    assert not problems, "\n".join(problems)


def test_a_word_that_names_what_all_objects_have_is_found_where_it_stands(site, browser, tmp_path):
    """An index with such words, and the site's own scripts."""
    index = {
        "docnames": ["a", "b"],
        "filenames": ["a.md", "b.md"],
        "titles": ["A", "B"],
        "terms": {"__proto__": 0, "constructor": [0, 1], "it's": 1, "word": [0, 1]},
        "titleterms": {"__proto__": 1},
        **{name: {} for name in ("alltitles", "indexentries", "objects", "objnames")},
    }
    with (tmp_path / "index.js").open("w", encoding="utf-8") as file:
        searching.ParsedIndex().dump(index, file)
    with (tmp_path / "index.js").open(encoding="utf-8") as file:
        assert searching.ParsedIndex().load(file) == index
    names = (
        "documentation_options",
        "doctools",
        "sphinx_highlight",
        "searchtools",
        "language_data",
    )
    for name in names:
        shutil.copy(HTML / "_static" / f"{name}.js", tmp_path)
    scripts = "".join(f'<script src="{name}.js"></script>' for name in (*names, "index"))
    (tmp_path / "index.html").write_text(
        f"<title>t</title>{scripts}<p id=search-progress>", encoding="utf-8"
    )
    with audit.served(tmp_path) as address, audit.in_theme(browser, "light") as context:
        page, problems = audit.visit(context, f"{address}/index.html")

        def found(words):
            script = "words => Search._performSearch(...Search._parseQuery(words))"
            return sorted((one[0], one[4]) for one in page.evaluate(script, words))

        assert found("__proto__") == [("a", 5), ("b", 15)]
        assert found("constructor") == [("a", 5), ("b", 5)]
        assert found("__proto__ constructor word") == [("a", 5), ("b", 15)]
        assert [name for name, _ in found("constr")] == ["a", "b"]
        for words in ("hasOwnProperty", "valueOf toString", "isPrototypeOf", "__defineGetter__"):
            assert found(words) == []
    assert not problems, "\n".join(problems)


def test_buttons_work_and_the_theme_is_chosen_before_anything_is_drawn(site, browser):
    with audit.in_theme(browser, None) as context:
        context.add_init_script(
            """window.print = () => { window.printed = true; };
            new MutationObserver((_, observer) => {
                if (!document.documentElement.dataset.mode) return;
                window.bodyAtChoice = document.body;
                observer.disconnect();
            }).observe(document, {attributes: true, subtree: true, childList: true});"""
        )
        page, problems = audit.visit(context, f"{site}/{LANDING}.html?highlight={quote(HOSTILE)}")
        modes = set()
        for _ in range(3):
            page.locator(".theme-switch-button:visible").click()
            modes.add(page.locator("html").get_attribute("data-mode"))
        assert modes == {"light", "dark", "auto"}
        page.reload(wait_until="networkidle")
        assert page.evaluate("bodyAtChoice") is None
        page.locator(".btn-download-pdf-button").evaluate("button => button.click()")
        assert page.evaluate("printed") is True
    assert not problems, "\n".join(problems)


def test_without_scripts_no_button_is_dead(site, browser):
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{site}/{LANDING}.html")
        buttons = page.locator(
            ".search-button-field, .search-button, .theme-switch-button, [data-print]"
        )
        assert buttons.count() >= 4 and buttons.filter(visible=True).count() == 0


def test_the_site_works_from_files(site, browser):
    with browser.new_context() as context:
        page, problems = context.new_page(), []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto((HTML / f"{LANDING}.html").as_uri())
        page.locator(".theme-switch-button:visible").click()
        page.locator(".search-button-field").click()
        page.locator("#search-input:visible").fill("features")
        page.keyboard.press("Enter")
        page.wait_for_url("**/search.html?*")
        assert results(page) >= 1
    assert not problems, "\n".join(problems)


def test_a_first_visit_lands_on_the_landing_page(site, browser):
    with audit.in_theme(browser, None) as context:
        page, problems = audit.visit(context, f"{site}/")
        page.wait_for_url(f"**/{toc_entries()[0]}.html")
    assert not problems, "\n".join(problems)


PIECES = (
    *(
        "<p>",
        "</p>",
        "<b",
        "<b>",
        "<td",
        "<table>",
        "<a href=",
        "<img src=",
        "<script>",
        "</script>",
    ),
    *(
        "<style>",
        "<svg>",
        "<math>",
        "<title>",
        "<!--",
        "-->",
        "<![CDATA[",
        "<?",
        "</",
        "<",
        ">",
        "/>",
    ),
    *(
        ' title="',
        ' onerror="',
        " onclick=",
        ' href="',
        '"',
        "'",
        "`",
        "=",
        " ",
        "\n",
        "\0",
        "/",
        "\\",
    ),
    *(
        "a.png",
        "//x.org",
        "https://x.org",
        "javascript:x",
        "data:text/html,",
        "&quot;",
        "&#106;",
        "&lt",
    ),
)
# all elements and attributes of pieces of HTML in a page, and whether the page goes on after them
READ = r"""texts => texts.filter(text => {
    const page = new DOMParser().parseFromString(`<main>${text}</main><i id="end">`, "text/html");
    const read = address => URL.parse(address, "https://here.org/a/b.html");
    const bad = one => [...one.attributes].some(({name, value}) =>
        name === "href" ? !/^(https?|mailto):$/.test(read(value)?.protocol ?? "http:")
        : name === "src" ? read(value) && read(value).host !== "here.org"
        : name !== "title" && name !== "id");
    const all = [...page.body.querySelectorAll("*")];
    return !page.querySelector("i#end:not(main title *)") || all.some(bad)
        || all.some(one => !/^(MAIN|P|B|TABLE|TBODY|TR|TD|A|IMG|I)$/.test(one.nodeName))
        || document.createTreeWalker(page, NodeFilter.SHOW_COMMENT).nextNode();
})"""


def test_html_that_notebooks_may_hold_is_passive_as_a_browser_reads_it(browser):
    rng = random.Random(0)
    texts = ["".join(rng.choices(PIECES, k=rng.randint(1, 9))) for _ in range(4_000)]
    wraps = ('<a title="{}">x</a>', '<a href="{}">x</a>', '<img src="{}">', "<p>{}</p>")
    texts += [rng.choice(wraps).format(text) for text in texts]
    taken = {text for text in texts if not passive.html(text)}
    page = browser.new_page()
    assert page.evaluate(READ, sorted(taken)) == []
    acting = page.evaluate(READ, sorted(set(texts) - taken))
    page.close()
    assert len(taken) > 1000 and len(acting) > 3000  # both kinds were tried


CHECKS = (audit.stillness, audit.formulas, audit.furniture, audit.accessibility)


class TestTheChecksCatch:
    """Each check, on a page that is wrong in the way that the check is for."""

    @staticmethod
    def look(browser, folder, body, ruled=None):
        head = "<html lang='en'><head><title>t</title></head>"
        (folder / "index.html").write_text(f"{head}<body>{body}</body></html>", encoding="utf-8")
        with audit.served(folder, ruled) as address, audit.in_theme(browser, "light") as context:
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

    def test_what_the_policy_refuses(self, browser, tmp_path):
        body = (
            f"{self.PLAIN}<script>document.title = 'ran'</script><p onclick='ran'>"
            "<style>p { color: red }</style><img src='data:,' onerror='ran' alt=a>"
            "<iframe title=t src='data:text/html,x'></iframe>"
        )
        told = self.look(browser, tmp_path, body, policy.POLICY)[0]
        for part in ("inline script", "inline event handler", "inline style", "Framing"):
            assert part in told, (part, told)

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
        ("07-from-matrices-to-one-equation", "div.math.math { overflow: hidden }"),
        (
            "10-random-masks",
            "span.math.math { display: inline-block; max-width: 2em; overflow: hidden }",
        ),
    ],
)
def test_a_cut_formula_to_whose_end_nothing_leads_is_found(site, browser, chapter, rule):
    with audit.in_theme(browser, "light", audit.NARROW) as context:
        page, problems = audit.visit(context, f"{site}/notebooks/{chapter}.html")
        assert not problems and not audit.furniture(page)
        page.evaluate(
            """rule => {
                const sheet = new CSSStyleSheet();
                sheet.replaceSync(rule);
                document.adoptedStyleSheets.push(sheet);
            }""",
            f".bd-article {rule}",
        )
        assert any("is cut at 390 px" in problem for problem in audit.furniture(page))
