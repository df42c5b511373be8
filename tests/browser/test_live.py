"""Live pictures other than the explorer: their numbers against the package, their controls.

All of it needs `make site` first, as tests/browser/test_site.py.
"""

import itertools
import re

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from jepabook import (
    JEPA,
    MAE,
    critical_time,
    dynamics,
    generative,
    linear_net,
    loss_curves,
    minibatch,
    random_masks,
)
from tests.browsing import until
from tools import audit
from tools.landing_figure import figure_with_text
from tools.notebooks import ROOT, toc_entries

BOTH = (JEPA, MAE)
TOLERANCE = 1e-9
STATIC = ROOT / "book" / "_static" / "live"
HTML = ROOT / "_build" / "html"
PAGES = {  # the page of every live picture
    found[1]: f"book/{path.stem}"
    for path in sorted((ROOT / "book").glob("*.md"))
    if (found := re.search(r"^```{live} (\w+)$", path.read_text("utf-8"), flags=re.MULTILINE))
}


@pytest.fixture
def visit(open_page):
    """Open a live picture at a state."""
    return lambda name, *state, **options: open_page(PAGES[name], *state, **options)


def close(found, expected, rtol=TOLERANCE, atol=0):
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)


def set_hash(page, settings):
    """Put a state into the address of an open page, as a reader who follows a link does."""
    page.evaluate(
        """hash => new Promise(done => {
            addEventListener("hashchange", done, { once: true });
            location.hash = hash;
        }).then(() => null)""",
        "#" + "&".join(f"{name}={value}" for name, value in settings.items()),
    )


# --- all of them --------------------------------------------------------------------------------


def test_every_panel_has_its_page_and_every_page_one_panel_at_most():
    panels = {path.stem for path in (ROOT / "book" / "live").glob("*.html")}
    assert panels == PAGES.keys()
    for entry in toc_entries():
        text = (HTML / f"{entry}.html").read_text(encoding="utf-8")
        assert text.count('<div class="live"') == (entry in PAGES.values())
        assert ("live/live.css" in text) == (entry in PAGES.values())


def test_they_weigh_little():
    """What the picture's own script weighs, and all that pictures share."""
    shared = ("numbers.js", "theory.js", "courses.js", "plot.js", "controls.js", "features.js")
    assert sum((STATIC / name).stat().st_size for name in shared) < 55_000
    own = [path for path in STATIC.glob("*.js") if path.name not in shared]
    assert {path.stem for path in own} >= PAGES.keys()
    assert max(path.stat().st_size for path in own) < 30_000


@pytest.mark.parametrize("name", sorted(PAGES))
def test_without_scripts_a_still_image_with_its_text_stands_instead(site, browser, name):
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{site}/{PAGES[name]}.html")
        image = page.locator(f"#live-{name} img")
        assert image.is_visible() and len(image.get_attribute("alt")) > 60
        assert image.evaluate("image => image.complete && image.naturalWidth > 300")
        assert image.evaluate("image => image.width * image.height > 0")
        controls = page.locator(f"#live-{name} :is(button, input, svg)")
        assert controls.count() == 0 or not controls.filter(visible=True).count()


@pytest.mark.parametrize("name", sorted(PAGES))
@pytest.mark.parametrize("width", [audit.NARROW, audit.WIDE])
def test_every_control_has_a_name_and_nothing_sticks_out(visit, name, width):
    page = visit(name, width=width)
    unnamed = page.locator(f"#live-{name} :is(button, input, select, svg[tabindex])").evaluate_all(
        """all => all.filter(one => !(one.getAttribute("aria-label") || one.textContent.trim()
            || one.labels?.[0]?.textContent.trim())).map(one => one.outerHTML)"""
    )
    assert unnamed == []
    out = page.locator(f"#live-{name} :not([clip-path], [clip-path] *)").evaluate_all(
        """all => all.filter(one => one.checkVisibility()
            && one.getBoundingClientRect().right > innerWidth + 0.5).map(one => one.outerHTML)"""
    )
    assert out == []
    small = page.locator(f"#live-{name} :is(button, input)").evaluate_all(
        """all => all.filter(one => one.checkVisibility() && one.type !== "checkbox"
            && one.getBoundingClientRect().height < 24).map(one => one.outerHTML)"""
    )
    assert small == []  # for a finger
    assert not audit.accessibility(page)


@pytest.mark.parametrize("name", sorted(PAGES))
@pytest.mark.parametrize("hash_", ["#x=%%&<b>=1", "#at=1e999&L=-1e9&eps=%00&seed=__proto__"])
def test_any_address_is_survived_and_said(visit, name, hash_):
    page = visit(name, hash_)
    said = page.locator(f"#live-{name} .live-message").inner_text()
    assert "stands instead" in said or "does not know" in said
    assert "NaN" not in page.locator(f"#live-{name}").inner_html()
    assert page.locator(f"#live-{name} b", has_text="=").count() == 0


def test_figures_of_chapters_lead_to_their_live_pictures(site, browser):
    """Each link opens its picture with settings that it takes as they are."""
    links = set()
    for entry in toc_entries():
        text = (HTML / f"{entry}.html").read_text(encoding="utf-8")
        links |= set(re.findall(r'class="live-link[^"]*" href="\.\./([^"]+)"', text))
    assert links
    with audit.in_theme(browser, "light") as context:
        for link in sorted(links):
            page, problems = audit.visit(context, f"{site}/{link.replace('&amp;', '&')}")
            told = page.locator(".live-message").inner_text()
            assert not problems and told == "", (link, told)
            page.close()


# --- the race -----------------------------------------------------------------------------------

SIGNAL, DEPTH = 1.2, 5


def runners(page, objective):
    """Shares of the final size of the clean and the noisy feature, as drawn."""
    dots = page.locator(f"[data-part={objective.name}] circle")
    return dots.evaluate_all("all => all.map(dot => Number(dot.dataset.share))")[::-1]


def words(page):
    return page.locator("[data-part=words]").inner_text().replace("\u00a0", " ")


def spectrum(noise):
    return np.array([1, SIGNAL]), np.array([1, SIGNAL / (SIGNAL + noise)])


def test_the_race_waits_for_a_bet_and_tells_the_outcome(visit):
    page = visit("race")
    assert "Place a bet" in words(page)
    why = page.locator("[data-part=why]")
    assert not why.is_visible()
    page.get_by_role("button", name="the noisy one").click()  # motion is reduced: at once
    assert words(page).startswith(
        "Not what you bet on. JEPA learns the clean feature first; MAE learns the noisy feature"
    )
    assert why.is_visible()
    for objective, sums in ((JEPA, ("= 0.60", "= 0.40")), (MAE, ("= 1.00", "= 1.19"))):
        drawn = page.locator(f"[data-part=why-{objective.name}]").text_content()
        assert all(one in drawn for one in sums)
    page.get_by_role("button", name="the clean one").click()
    assert words(page).startswith("Your bet was right.")


def test_the_sliders_flip_the_winner_where_the_package_says(visit):
    page = visit("race")
    winners = set()
    for noise, eps in itertools.product((0, 0.1, 0.4, 0.8, 3), (1e-6, 1e-4, 3.2e-4, 1e-2, 0.1)):
        set_hash(page, {"noise": noise, "eps": eps, "at": 1, "bet": "none"})
        lam, rho = spectrum(noise)
        told = words(page).splitlines()[0]
        for objective in BOTH:
            known = eps < dynamics.fixed_point(objective, rho, depth=DEPTH)
            times = np.array(
                [
                    critical_time.exact(objective, a, r, depth=DEPTH, epsilon=eps)
                    if fits
                    else np.inf
                    for a, r, fits in zip(lam, rho, known, strict=True)
                ]
            )
            times = np.where(times <= 0, 0, times)
            first = ["clean", "noisy"][int(np.argmin(times))]
            if np.min(times) > 0 and np.ptp(times) / np.min(times) < 0.01:
                assert f"{objective.name} learns both at one time" in told
            elif objective is MAE and "so does MAE" in told:
                assert f"JEPA learns the {first} feature first" in told
            else:
                assert f"{objective.name} learns the {first} feature first" in told, (noise, eps)
                assert ("never" in told.partition(objective.name)[2].partition(";")[0]) == (
                    not known.all()
                )
            winners.add((objective.name, first))
    assert len(winners) == 4 or winners == {("JEPA", "clean"), ("JEPA", "noisy"), ("MAE", "noisy")}


@pytest.mark.parametrize("at", [0, 0.13, 0.41, 0.62, 1])
def test_the_runners_are_where_the_closed_form_is(visit, at):
    page = visit("race", f"#noise=0.5&eps=0.003&at={at}&bet=none")
    lam, rho = spectrum(0.5)
    for objective in BOTH:
        axis = page.evaluate(
            """name => {
                const all = courses.of(theory[name], [{lam: 1, rho: 1}, {lam: 1.2, rho: 1.2 / 1.7}],
                    {L: 5, eps: 0.003, p: 0.5});
                return courses.horizon(all);
            }""",
            objective.name,
        )
        w = [
            dynamics.trajectory(objective, at * axis, a, r, depth=DEPTH, epsilon=0.003)
            for a, r in zip(lam, rho, strict=True)
        ]
        close(runners(page, objective), w / dynamics.fixed_point(objective, rho, depth=DEPTH))


def test_the_race_runs_pauses_and_is_scrubbed(visit):
    page = visit("race", motion=True)
    play, scrub = page.locator("[data-part=play]"), page.locator("[data-part=scrub]")
    page.get_by_role("button", name="the clean one").click()
    until(page, "Number(document.querySelector('[data-part=scrub]').value) > 0.05")
    assert "Pause" in play.inner_text() and "Training runs" in words(page)
    play.click()
    held = scrub.input_value()
    page.wait_for_timeout(150)
    assert scrub.input_value() == held and 0 < float(held) < 1
    scrub.press("End")
    assert "Your bet was right" in words(page) and "Again" in play.inner_text()
    scrub.press("Home")
    assert "You bet on the clean one" in words(page)
    page.locator("#race-eps").press("Home")
    assert "JEPA learns the noisy feature first; so does MAE" in words(page)
    until(page, "location.hash.includes('eps=0.000001&at=1&bet=clean')")
    assert audit.shift(page) < audit.SHIFT_LIMIT


def test_the_race_by_touch_on_a_phone(visit):
    page = visit("race", width=audit.NARROW, has_touch=True)
    page.get_by_role("button", name="the clean one").tap()
    assert "Your bet was right" in words(page)
    page.locator("#race-noise").tap(position={"x": 4, "y": 10})
    assert "JEPA learns the noisy feature first" in words(page)


def test_the_race_works_from_a_file(site, browser):
    with browser.new_context(reduced_motion="reduce") as context:
        page, problems = context.new_page(), []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto((HTML / f"{PAGES['race']}.html").as_uri())
        page.get_by_role("button", name="the clean one").click()
        assert "Your bet was right" in words(page)
        until(page, "location.hash.includes('bet=clean')")
    assert not problems


def test_the_still_is_the_notebooks_figure():
    notebook = ROOT / "notebooks" / "01-two-ways-to-predict.ipynb"
    image, text = figure_with_text(notebook, "fig-two-orders")
    assert (HTML / "_static" / "live" / "stills" / "race.png").read_bytes() == image
    assert "clean" in text
    with pytest.raises(LookupError, match="no output for the figure fig-none"):
        figure_with_text(notebook, "fig-none")


# --- who goes first -----------------------------------------------------------------------------


def pair(page):
    fields = page.locator("#live-plane input[type=number]")
    x, depth, y, eps = (float(one) for one in fields.evaluate_all("all => all.map(f => f.value)"))
    return int(depth), eps, x, y


def check_plane(page):
    """Boundaries, order and region are the package's, for the settings shown. Returns these."""
    depth, eps, x, y = pair(page)
    text = words(page)
    known = page.locator("#live-plane data").evaluate_all(
        "all => all.map(one => [one.dataset.objective, Number(one.value)])"
    )
    firsts = []
    for objective in BOTH:
        size = dynamics.fixed_point(objective, x, depth=depth)
        if eps < 0.5 * min(size, 1):
            edge = critical_time.inversion_boundary(objective, 1.0, x, depth=depth, epsilon=eps)
            close(dict(known)[objective.name], edge)
            firsts.append("noisy" if y > edge else "clean")
            if y != edge:
                assert re.search(rf"{objective.name} learns the {firsts[-1]} one at t = ", text)
        elif eps >= size:
            assert f"{objective.name} learns the clean one at" in text
            assert "never the noisy one" in text and objective.name not in dict(known)
            firsts.append("never")
    if len(firsts) == 2:
        expected = {
            ("clean", "clean"): "In agreement: both learn the clean one first.",
            ("noisy", "noisy"): "In agreement: both learn the noisy one first.",
            ("clean", "noisy"): "In conflict: JEPA learns the clean one first, MAE the noisy one.",
            ("noisy", "clean"): "Reversed: ",
            ("never", "noisy"): "What MAE learns first JEPA never learns.",
            ("never", "clean"): "JEPA never learns the noisy one.",
        }[*firsts]
        assert text.startswith(expected), (pair(page), text)
    return (depth, eps, x, y), tuple(firsts)


def test_the_plane_says_what_the_package_says(visit):
    page, rng, seen = visit("plane"), np.random.default_rng(2), set()
    for _ in range(60):
        settings = {
            "L": rng.integers(1, 13),
            "eps": float(f"{10 ** rng.uniform(-7, -0.7):.3g}"),
            "x": round(rng.uniform(0.2, 1), 3),
            "y": round(np.exp(rng.uniform(np.log(0.8), np.log(2))), 3),
        }
        set_hash(page, settings)
        shown, firsts = check_plane(page)
        assert shown == tuple(settings.values())
        assert "NaN" not in page.locator("[data-part=plane]").inner_html()
        seen.add(firsts)
    assert len(seen) >= 4


def test_the_boundaries_are_drawn_where_they_are(visit):
    page = visit("plane", "#L=4&eps=0.001&x=0.7&y=1.1")
    left, right, top, bottom = 46, 590, 26, 320
    for objective, line in zip(BOTH, ("not(.MAE, .metre)", "is(.MAE)"), strict=True):
        points = page.locator(f"[data-part=plane] polyline:{line}").get_attribute("points")
        drawn = np.array([point.split(",") for point in points.split()], dtype=float)
        x = 0.2 + 0.8 * (drawn[:, 0] - left) / (right - left)
        y = 0.6 * (4 / 0.6) ** ((bottom - drawn[:, 1]) / (bottom - top))
        inside = (y > 0.6) & (y < 4) & (x < 0.999)
        expected = critical_time.inversion_boundary(
            objective, 1.0, x[inside], depth=4, epsilon=0.001
        )
        assert inside.sum() > 100
        steep = np.abs(np.gradient(np.log(expected), x[inside])) < 10
        close(y[inside][steep], expected[steep], rtol=2e-3)


def test_the_pair_is_dragged_by_mouse_and_moved_by_keys(visit):
    page = visit("plane")
    plane = page.locator("[data-part=plane]")
    box = plane.bounding_box()
    before = check_plane(page)[0]
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.down()
    assert check_plane(page)[1] == ("noisy", "noisy")
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.62 * box["height"], steps=4)
    page.mouse.up()
    assert check_plane(page)[1] == ("clean", "noisy")
    page.mouse.move(box["x"] + 10, box["y"] + 10)
    assert check_plane(page)[1] == ("clean", "noisy")
    plane.focus()
    _, _, x, y = check_plane(page)[0]
    for key in ("ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
    moved = check_plane(page)[0]
    assert moved[2] == pytest.approx(x - 0.01) and moved[3] == pytest.approx(1.02 * y, rel=5e-3)
    until(page, "location.hash.startsWith('#L=5&eps=0.01&x=')")
    assert moved != before
    page.get_by_role("button", name="four layers").click()
    assert check_plane(page) == ((4, 0.001, 0.6, 1.2), ("clean", "noisy"))
    page.locator("#plane-L").press("ArrowLeft")
    assert check_plane(page) == ((3, 0.001, 0.6, 1.2), ("noisy", "noisy"))


def test_the_pair_is_dragged_by_touch(visit):
    page = visit("plane", width=audit.NARROW, has_touch=True)
    grip = page.locator("[data-part=grip]").bounding_box()
    x, y = grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2
    session = page.context.new_cdp_session(page)
    for kind, points in (
        ("touchStart", [{"x": x, "y": y}]),
        ("touchMove", [{"x": x + 20, "y": y - 20}]),
        ("touchMove", [{"x": x + 60, "y": y - 60}]),
        ("touchEnd", []),
    ):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    settings, firsts = check_plane(page)
    assert settings[2] > 0.7 and settings[3] > 1.5 and firsts == ("noisy", "noisy")
    assert page.evaluate("scrollY") == 0


# --- train a network ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine(browser):
    """engine(objective, features, settings, moments): what network.js records, in an empty page."""
    page = browser.new_page()
    for name in ("numbers", "theory", "network"):
        page.add_script_tag(path=str(STATIC / f"{name}.js"))

    def call(program, argument):
        return page.evaluate(program, argument)

    yield call
    page.close()


@pytest.mark.parametrize(("seed", "count"), [(0, 5), (1, 16), (12, 37), (2**32 - 1, 400)])
def test_random_numbers_are_torchs(engine, seed, count):
    program = """([seed, n]) => {
        const generator = network.generator(seed);
        return [...generator.normals(n), ...generator.normals(3)];
    }"""
    generator = torch.Generator().manual_seed(seed)
    expected = [torch.randn(n, generator=generator, dtype=torch.float64) for n in (count, 3)]
    close(engine(program, [seed, count]), torch.cat(expected).numpy(), rtol=1e-13, atol=1e-15)


def package_sizes(features, settings, moments):
    """What the package's engine records for JEPA and MAE, (moments, 2, features)."""
    lam, rho = np.array(features).T
    depth, gain, width = settings["depth"], settings["gain"], len(lam)
    aligned = settings["start"] == "aligned"
    kind, seed = "orthogonal" if aligned else settings["start"], settings["seed"]
    weights = linear_net.initial_weights(
        kind, 1, depth=depth, width=width, gain=gain, seed=seed, dtype=torch.float64
    )
    weights = weights.repeat(1, 2, 1, 1)
    if aligned:
        eye = torch.eye(width, dtype=torch.float64)
        encoder = torch.linalg.multi_dot([*weights[:depth, 1].flip(0), eye])
        weights[-1, 0], weights[-1, 1] = gain * eye, gain ** (1 - depth) * encoder.T
    rates = settings["rate"], settings["decay"], settings["tau"]
    whole = linear_net.settings(BOTH, weights, *rates)
    xx, yx = np.diag(lam / rho), np.diag(lam)
    source = minibatch.Population(xx, yx)
    if n := settings["batch"]:
        draw = (yx, n, seed + 1, "covariances", torch.float64)
        source = minibatch.GaussianViews(xx, yx, *draw)
    return linear_net.train(weights, whole, source, moments[-1], moments).sizes


PAIR = [(1.0, 1.0), (1.2, 0.6)]
EIGHT = np.transpose([np.linspace(1, 1.2, 8), np.linspace(1, 0.6, 8)]).tolist()


@pytest.mark.parametrize(
    ("features", "start", "changed"),
    [
        (PAIR, "aligned", {}),
        (EIGHT, "orthogonal", {"seed": 1}),
        (EIGHT, "gaussian", {"gain": 0.6, "decay": 1e-3, "tau": 1.0, "depth": 4}),
        (EIGHT, "gaussian", {"batch": 16, "rate": 0.02, "seed": 3}),
        (PAIR, "gaussian", {"batch": 5, "tau": 0.1, "depth": 1}),
        (PAIR, "aligned", {"batch": 9, "tau": 0.0, "decay": 0.2, "seed": 99}),
    ],
)
def test_the_same_seed_gives_the_packages_curve(engine, features, start, changed):
    settings = {"depth": 3, "gain": 0.4, "batch": 0, "rate": 0.05, "decay": 0.0, "tau": np.inf}
    settings |= {"seed": 0, "start": start} | changed
    moments = [0, 1, 10, 100, 1000, 2500]
    program = """([name, features, settings, moments]) => network.train(theory[name],
        features.map(([lam, rho]) => ({lam, rho})),
        {...settings, tau: settings.tau ?? Infinity}, moments)"""
    passed = settings | {"tau": None if settings["tau"] == np.inf else settings["tau"]}
    expected = package_sizes(features, settings, moments)
    for run, objective in enumerate(BOTH):
        close(engine(program, [objective.name, features, passed, moments]), expected[:, run])


def train(page):
    page.locator("[data-part=play]").click()
    until(page, "document.querySelector('[data-part=play]').textContent.includes('Again')")
    return {
        objective: page.locator(f"[data-part={objective.name}] circle").evaluate_all(
            "all => all.map(dot => Number(dot.dataset.size))"
        )[::-1]
        for objective in BOTH
    }


@pytest.mark.parametrize(
    "state",
    [
        "#f=1:1,1.2:0.6&L=2&c=0.4&start=aligned",
        "#f=1:1,1.2:0.6,1:0.8&L=2&c=0.4&start=gaussian&n=12&tau=1&kappa=0.01&seed=7&eta=0.1",
    ],
)
def test_the_python_to_take_away_ends_where_the_picture_ends(visit, state):
    page = visit("train", state)
    ends = train(page)
    page.get_by_role("button", name="Python").click()
    made = {}
    exec(page.locator("[data-part=lines]").inner_text(), made)
    for run, objective in enumerate(BOTH):
        close(ends[objective], made["sizes"][run])
    if "aligned" in state:
        close(ends[JEPA], dynamics.fixed_point(JEPA, np.array([1, 0.6]), depth=2), rtol=0.05)
        assert "All that the theory assumes is given" in words(page)
        assert "JEPA learned feature 1 first, then 2." in words(page)
        assert "MAE learned feature 2 first, then 1." in words(page)


def test_it_is_said_when_the_theory_does_not_apply(visit):
    page = visit("train", "#L=2&c=0.4")
    assert "does not apply" not in words(page)
    page.locator("[data-part=start]").select_option("gaussian")
    assert "does not apply as it stands: The layers start at random" in words(page)
    for name, said in (("n", "8 pairs only"), ("kappa", "decay pulls"), ("eta", "so large")):
        page.locator(f"[data-name={name}] input[type=number]").fill("0.2" if name != "n" else "8")
        assert said in words(page)
    page.locator("[data-part=tau]").select_option("0")
    assert "target is frozen" in words(page)
    until(page, "location.hash.includes('start=gaussian&n=8&eta=0.2&tau=0&kappa=0.2')")


def test_a_run_that_diverges_says_so(visit):
    page = visit("train", "#f=5:0.1,5:0.1&L=6&c=1&eta=1")
    train(page)
    assert "JEPA has diverged after" in words(page) and "MAE has diverged after" in words(page)
    assert "NaN" not in page.locator("#live-train").inner_html()


def test_training_is_paused_and_goes_on(visit):
    page = visit("train", "#L=3&c=0.1&eta=0.01", motion=True)
    play, progress = page.locator("[data-part=play]"), page.locator("[data-part=progress]")
    play.click()
    until(page, "/step [1-9]/.test(document.querySelector('[data-part=progress]').textContent)")
    play.click()
    until(page, "document.querySelector('[data-part=play]').textContent.endsWith('Train')")
    held = progress.inner_text()
    page.wait_for_timeout(100)
    assert progress.inner_text() == held
    page.locator("#train-c").press("End")
    assert progress.inner_text().startswith("JEPA: step 0 of")
    assert page.locator("[data-part=matrix-MAE] rect").count() == 4


def test_profiles_are_the_same_sizes_over_the_features(visit):
    state = "#f=1:1,1.1:0.8,1.2:0.6&L=2&c=0.4&start=gaussian"
    curves = train(visit("train", state))
    page = visit("train", state)
    page.get_by_label("sizes over the features").check()
    page.locator("[data-part=play]").click()
    until(page, "document.querySelector('[data-part=play]').textContent.includes('Again')")
    for objective in BOTH:
        plot = page.locator(f"[data-part={objective.name}]")
        assert plot.locator("polyline").count() == 8
        ends = plot.locator("circle.exact").evaluate_all("a => a.map(one => +one.dataset.size)")
        close(ends, curves[objective])
    until(page, "location.hash.includes('show=profiles')")


# --- the training curve -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def followed(browser):
    """followed(features, settings, times): what losses.js has at these times."""
    page = browser.new_page()
    for name in ("numbers", "losses"):
        page.add_script_tag(path=str(STATIC / f"{name}.js"))
    program = """([list, view, times]) => {
        const features = list.map(([lam, rho]) => ({lam, rho}));
        const training = losses.training(features, {...view, tau: view.tau ?? Infinity});
        const moments = times ?? [0.001, 0.1, 0.3, 0.6, 1].map(share => share * training.horizon);
        return moments.map(t => training.at(t));
    }"""
    yield lambda *given: page.evaluate(program, list(given))
    page.close()


def by_scipy(features, view, times):
    """Loss, floor and variance of the target (3, n), by another integrator and equations."""
    L, alpha, tau = view["L"], view["alpha"], view["tau"]
    total = np.zeros((3, len(times)))
    for lam, rho in features:
        variance = lam / rho

        def slope(_, state, lam=lam, variance=variance):
            omega, v, slow = np.exp(state)
            seen = omega if tau is None else slow
            left = lam * seen**L - variance * v * omega**L
            lag = 0.0 if tau is None else tau * (omega / slow - 1)
            return np.array([v * omega ** (L - 2) * left, alpha * omega**L * left / v, lag]) / L

        start, exact = [np.log(view["eps"]) / L] * 3, {"rtol": 1e-12, "atol": 1e-13}
        found = solve_ivp(slope, (0, times[-1]), start, "Radau", times, **exact)
        omega, v, slow = np.exp(found.y)
        target = (omega if tau is None else slow) ** L
        floor = 0.5 * (variance - lam * rho) * target**2
        gap = 0.5 * variance * (v * omega**L - rho * target) ** 2
        total += gap + floor, floor, variance * target**2
    return total


THREE = [(1.2, 0.95), (1.0, 0.9), (1.1, 0.8)]


@pytest.mark.parametrize(
    ("features", "changed"),
    [
        (THREE, {}),
        (THREE, {"tau": 1e-3}),
        (THREE, {"tau": 0.0}),
        (PAIR, {"L": 1, "eps": 0.01, "alpha": 30}),
        (PAIR, {"L": 4, "eps": 0.01, "tau": 0.1, "alpha": 3}),
        ([(1.0, 0.3), (1.2, 0.9)], {"L": 2, "eps": 0.3, "alpha": 0.4}),
    ],
)
def test_the_losses_are_scipys(followed, features, changed):
    view = {"L": 3, "eps": 0.02, "alpha": 1, "tau": None} | changed
    found = followed(features, view, None)
    times = [one["t"] for one in found]
    told = np.array([[one[name] for one in found] for name in ("loss", "floor", "variance")])
    close(told, by_scipy(features, view, times))
    close([one["share"] for one in found], 2 * told[0] / told[2])


@pytest.mark.parametrize("tau", [None, 0.1, 1e-3])
def test_the_losses_are_the_packages(followed, tau):
    lam, rho = np.array(THREE).T
    view, times = {"L": 3, "eps": 0.02, "alpha": 1, "tau": tau}, [30.0, 400.0, 5e3]
    known = {"depth": 3, "epsilon": 0.02, "target_rate": tau}
    curve = loss_curves.curve(JEPA, [0.0, *times], lam, rho, **known)
    found = followed(THREE, view, times)
    exact = TOLERANCE if tau is None else 1e-7  # of a take-off, the package says
    close([one["loss"] for one in found], curve.loss.sum(-1)[1:], rtol=exact)
    close([one["sizes"] for one in found], curve.size[1:], rtol=exact)


def values(page):
    """What the line under the pointer tells: the time, and numbers by name."""
    line = page.locator("[data-part=values] p")
    data = line.locator("data").evaluate_all(
        "all => Object.fromEntries(all.map(one => [one.dataset.name, Number(one.value)]))"
    )
    return float(line.get_attribute("data-t")), data


def test_the_curve_tells_where_it_begins_to_rise(visit):
    page = visit("curve")
    text = words(page)
    assert text.startswith("The loss falls, then rises. It begins to rise at t = 863.7 and ends")
    assert "The unexplained share only falls: from 0.6 to 0.18." in text
    turn = float(page.locator("[data-name=turn]").get_attribute("value"))
    near = turn * np.array([0.99, 1.0, 1.01])
    view = {"L": 3, "eps": 0.02, "alpha": 1, "tau": 1e-3}
    loss = by_scipy(THREE, view, near)[0]
    assert loss[1] < loss[0] and loss[1] < loss[2]
    dot = page.locator("[data-part=loss] circle")
    assert float(dot.get_attribute("data-t")) == turn
    for name, start in (
        ("no average", "The loss rises from the first step on"),
        ("a frozen teacher", "The loss only falls"),
        ("a fast predictor", "The loss falls, then rises."),
    ):
        page.get_by_role("button", name=name).first.click()
        assert words(page).startswith(start)


def test_a_perfect_feature_turns_where_the_theorem_says(visit):
    """Two alike, so that both turn at once: at turning_sizes, by the closed form of time."""
    page = visit("curve", "#f=1:0.9999,1:0.9999&L=4&eps=0.05&alpha=1&tau=off")
    turns = page.locator("[data-part=loss] circle").evaluate_all("a => a.map(o => +o.dataset.t)")
    sizes = loss_curves.turning_sizes(1.0, 0.9999, depth=4)
    known = {"depth": 4, "epsilon": 0.05}
    stated = [dynamics.time_to_reach(JEPA, size, 1.0, 0.9999, **known) for size in sizes]
    close(turns, stated, rtol=1e-7)  # the second is flat
    assert words(page).startswith("The loss rises, then falls, then rises")


def test_the_curve_by_keyboard_and_touch(visit):
    page = visit("curve", "#f=1:0.9,1.2:0.6&L=2&eps=0.05&alpha=1&tau=off")
    panel = page.locator("[data-part=share]")
    panel.focus()
    panel.press("Home")
    early, first = values(page)
    panel.press("End")
    late, last = values(page)
    view = {"L": 2, "eps": 0.05, "alpha": 1}
    ends = """view => {
        const list = [{lam: 1, rho: 0.9}, {lam: 1.2, rho: 0.6}];
        const {first, horizon} = losses.training(list, {...view, tau: Infinity});
        return [first, horizon];
    }"""
    close([early, late], page.evaluate(ends, view))
    assert last["share"] < first["share"] and last["loss"] > first["loss"]
    assert last["size-1"] == pytest.approx(0.81, rel=1e-4)
    loss, floor, _ = by_scipy([(1.0, 0.9), (1.2, 0.6)], view | {"tau": None}, [late])
    close([last["loss"], last["floor"]], [loss[0], floor[0]])
    panel.press("Escape")
    assert page.locator("[data-part=values] p").count() == 0
    page.locator("#curve-alpha").press("End")
    page.locator("[data-part=tau]").select_option("0")
    assert words(page).startswith("The loss only falls")
    until(page, "location.hash.endsWith('&L=2&eps=0.05&alpha=100&tau=0')")
    phone = visit("curve", width=audit.NARROW, has_touch=True)
    phone.locator("[data-part=loss]").tap(position={"x": 150, "y": 60})
    assert values(phone)[1]["loss"] > 0
    assert audit.shift(phone) < audit.SHIFT_LIMIT


# --- the film and the masks ---------------------------------------------------------------------


def film_rows(page):
    """Of each feature: lambda, rho, and the two critical times or None."""
    rows = page.locator("[data-part=table] tbody tr").evaluate_all(
        """all => all.map(row => [...row.querySelectorAll("td")].map(cell =>
            cell.querySelector("data") ? Number(cell.querySelector("data").value) : null))"""
    )
    return [(row[0], row[2], row[4], row[5]) for row in rows]


@pytest.mark.parametrize(
    "changed",
    [{}, {"s1": 0.2}, {"slow": 0.9, "s2": 1.5}, {"slow": 0.3, "L": 5, "c": 0.5}, {"s2": 0}],
)
def test_the_film_teaches_what_the_package_says(visit, changed):
    known = {"g1": 0.99, "g2": 0.95, "s1": 1, "s2": 0.5, "slow": 0, "L": 3, "c": 0.3} | changed
    page = visit("film", "#" + "&".join(f"{name}={value}" for name, value in known.items()))
    noise, memory = (known["s1"], known["s2"]), (0.0, known["slow"])
    world = generative.two_images(10, (known["g1"], known["g2"]), noise, memory).theory()
    lam, rho = world.lam.tolist(), world.rho.tolist()
    if known["slow"] and known["s2"]:
        lam, rho = [*lam, known["slow"] * known["s2"] ** 2], [*rho, known["slow"]]
    rows, eps = film_rows(page), known["c"] ** known["L"]
    assert len(rows) == len(lam)
    for row, a, r in zip(rows, lam, rho, strict=True):
        close(row[:2], (a, r))
        for objective, time in zip(BOTH, row[2:], strict=True):
            if eps < 0.5 * dynamics.fixed_point(objective, r, depth=known["L"]):
                close(time, critical_time.exact(objective, a, r, depth=known["L"], epsilon=eps))
            else:
                assert time is None
    text = words(page)
    if changed == {}:
        assert "JEPA learns the U, then the disc." in text
        assert "MAE learns the disc, then the U." in text


def test_the_film_runs_and_its_means_settle(visit):
    page = visit("film", "#g1=0.5&g2=0.3&seed=3")
    world = generative.two_images(10, (0.5, 0.3)).theory()
    progress = page.locator("[data-part=progress]")
    page.get_by_role("button", name="One frame").click()
    assert progress.inner_text().startswith("1 pairs")
    page.get_by_role("button", name="10 000 frames").click()
    assert progress.inner_text() == "10\u202f001 pairs of frames seen"
    cells = page.locator("[data-part=table] tbody tr").evaluate_all(
        "all => all.map(row => [...row.querySelectorAll('data')].map(one => Number(one.value)))"
    )
    seen = np.array([(row[1], row[3]) for row in cells])
    assert np.max(np.abs(seen - np.transpose([world.lam, world.rho]))) < 0.1  # eight deviations
    page.get_by_role("button", name="Play").click()
    until(page, "/10.00[3-9]/.test(document.querySelector('[data-part=progress]').textContent)")
    page.get_by_role("button", name="Pause").click()
    held = progress.inner_text()
    page.wait_for_timeout(200)
    assert progress.inner_text() == held


def test_the_films_images_are_the_packages(visit):
    page = visit("film", "#s1=0&s2=0&seed=1")
    world = generative.two_images(10)
    colours = page.locator("[data-part=screen] rect").evaluate_all(
        "all => all.map(one => one.style.getPropertyValue('--light'))"
    )
    dark = np.abs(world.images).sum(0) > 0
    assert [colour != "#f4f4f4" for colour in colours] == dark.tolist()


@pytest.mark.parametrize(
    ("f", "level", "depth", "gain"),
    [(0.25, 1.3, 4, 0.2), (0.5, 1.3, 4, 0.2), (0.9, 0.4, 2, 0.1), (0.98, 3, 12, 0.5)],
)
def test_masks_make_what_the_package_says(visit, f, level, depth, gain):
    page = visit("masks", f"#f={f}&level={level}&L={depth}&c={gain}")
    data = page.locator("#live-masks data").evaluate_all(
        "all => Object.fromEntries(all.map(one => [one.dataset.name, Number(one.value)]))"
    )
    kinds = {"loud": (1.5, level), "quiet": (1.0, 0.4)}
    pairs = {name: random_masks.moments(*kind, f) for name, kind in kinds.items()}
    for name, (lam, rho) in pairs.items():
        close((data[f"{name}-lam"], data[f"{name}-rho"]), (lam, rho))
    text, eps = words(page), gain**depth
    for objective in BOTH:
        times = {}
        for name, (lam, rho) in pairs.items():
            p = 1.5 * eps / dynamics.fixed_point(objective, rho, depth=depth)
            if p < 1:
                times[name] = critical_time.exact(
                    objective, lam, rho, depth=depth, epsilon=eps, fraction=p
                )
        if not times:
            assert f"Under {objective.name} neither feature grows" in text
            continue
        first = min(times, key=times.get)
        assert f"Under {objective.name} the {first} feature is the first" in text
        if len(times) == 2:
            close(data[objective.name], times["loud"] / times["quiet"])
    assert (
        page.locator("[data-part=visible] rect.masked").count()
        + page.locator("[data-part=hidden] rect.masked").count()
        == 144
    )


def test_another_mask_is_another(visit):
    page = visit("masks", "#f=0.5")
    before = page.locator("[data-part=visible]").inner_html()
    page.get_by_role("button", name="Another mask").click()
    assert page.locator("[data-part=visible]").inner_html() != before
    until(page, "location.hash.includes('seed=1')")
