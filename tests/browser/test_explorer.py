"""The explorer: its numbers against the package, its controls by mouse, keyboard and address.

The mathematics is tried without the site; the rest needs `make site` first, as `test_site` does.
"""

import csv
import io
import itertools
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from scipy.integrate import quad

from jepabook import JEPA, MAE, critical_time, dynamics, figures
from jepabook.claims import examples
from tests.browsing import until
from tools import audit
from tools.notebooks import ROOT

BOTH = (JEPA, MAE)
TOLERANCE = 1e-9
FOLDER = ROOT / "book" / "_static" / "live"
LIMITS = {"L": (1, 12), "eps": (1e-6, 0.3), "p": (0.01, 0.99), "lam": (0.05, 5), "rho": (0.05, 2)}


def terms(objective, depth):
    """How many terms of the expansion are the paper's (12), (13) or (121)."""
    return 2 * depth - 1 if objective is JEPA else 1


def close(found, expected):
    return np.testing.assert_allclose(found, expected, rtol=TOLERANCE, atol=0)


@pytest.fixture(scope="module")
def theory(browser):
    """theory[name](objective, ...case) for every case, in an empty page."""
    page = browser.new_page()
    page.add_script_tag(path=str(FOLDER / "theory.js"))

    def call(name, objective, cases):
        script = """([name, objective, cases]) =>
            cases.map(rest => theory[name](theory[objective], ...rest))"""
        return page.evaluate(script, [name, objective.name, cases])

    yield call
    page.close()


class TestMathematics:
    """theory.js alone, in an empty page."""

    @staticmethod
    def grid(objective):
        """(lam, rho, depth, epsilon) below the final size, over all that the sliders reach."""
        return [
            (lam, rho, depth, epsilon)
            for depth, lam, rho, epsilon in itertools.product(
                range(1, 13), (0.05, 1.3, 5.0), (0.05, 0.3, 0.8, 1.0, 2.0), (1e-6, 1e-4, 0.01, 0.3)
            )
            if epsilon < 0.999 * dynamics.fixed_point(objective, rho, depth=depth)
        ]

    @pytest.mark.parametrize("objective", BOTH, ids=str)
    def test_critical_times_and_expansions(self, theory, objective):
        count = 0
        for depth, known in itertools.groupby(self.grid(objective), key=lambda case: case[2]):
            lam, rho, _, epsilon = np.array(list(known)).T
            start = epsilon / dynamics.fixed_point(objective, rho, depth=depth)
            p = np.array(
                [*np.full((4, start.size), [[0.01], [0.5], [0.99], [1 - 1e-9]]), 1.00001 * start]
            )
            lam, rho, epsilon, p = (x.ravel() for x in np.broadcast_arrays(lam, rho, epsilon, p))
            known = {"lam": lam, "rho": rho, "depth": depth, "epsilon": epsilon, "fraction": p}
            cases = [
                ({"lam": case[0], "rho": case[1]}, depth, *case[2:])
                for case in np.transpose([lam, rho, epsilon, p]).tolist()
            ]
            count += len(cases)
            exact = critical_time.exact(objective, **known)
            close(theory("criticalTime", objective, cases), exact)
            paper = critical_time.expansion(objective, **known, terms=terms(objective, depth))
            close(theory("paperTime", objective, cases), paper)
            # this sum crosses zero: measured by the size of its terms
            complete = critical_time.expansion(objective, **known)
            error = np.abs(theory("completeTime", objective, cases) - complete)
            assert np.max(error / (np.abs(complete) + np.abs(exact))) < TOLERANCE
        assert count > 1500

    @pytest.mark.parametrize("objective", BOTH, ids=str)
    def test_final_sizes(self, theory, objective):
        cases = list(itertools.product((0.05, 0.7, 2.0), range(1, 13)))
        expected = [dynamics.fixed_point(objective, rho, depth=depth) for rho, depth in cases]
        close(theory("finalSize", objective, cases), expected)

    @pytest.mark.parametrize("objective", BOTH, ids=str)
    def test_trajectories_are_the_closed_form_and_dense(self, theory, objective):
        grid = self.grid(objective)[::7]
        cases = [({"lam": a, "rho": r}, depth, start) for a, r, depth, start in grid]
        for (lam, rho, depth, epsilon), points in zip(
            grid, theory("trajectory", objective, cases), strict=True
        ):
            t, share = np.array([(point["t"], point["share"]) for point in points]).T
            size = dynamics.fixed_point(objective, rho, depth=depth)
            assert t[0] == 0 and share[0] == pytest.approx(epsilon / size, rel=1e-12)
            assert np.all(np.diff(t) >= 0) and np.all(np.diff(share) > 0) and share[-1] > 1 - 1e-6
            assert np.max(np.diff(share)) < 0.07
            expected = critical_time.exact(
                objective, lam, rho, depth=depth, epsilon=epsilon, fraction=share[5:]
            )
            close(t[5:], expected)

    @pytest.mark.parametrize("objective", BOTH, ids=str)
    def test_sizes_at_any_time_and_the_first_metre(self, theory, objective):
        rng = np.random.default_rng(1)
        cases, expected, metres = [], [], []
        for lam, rho, depth, epsilon in self.grid(objective)[::3]:
            half = critical_time.exact(
                objective, lam, rho, depth=depth, epsilon=epsilon, fraction=0.9
            )
            size = dynamics.fixed_point(objective, rho, depth=depth)
            feature = {"lam": lam, "rho": rho}
            for t in abs(half) * rng.uniform(0, 1.6, 4):
                cases.append((feature, depth, epsilon, t))
                w = dynamics.trajectory(objective, t, lam, rho, depth=depth, epsilon=epsilon)
                expected.append(w / size)
            growth = epsilon ** objective.growth_exponent(depth=depth)
            velocity = dynamics.velocity(objective, epsilon, lam, rho, depth=depth)
            metres.append((feature, depth, epsilon, velocity / growth))
        close(theory("shareAt", objective, cases), expected)
        found = theory("firstMetre", objective, [case[:3] for case in metres])
        # a difference that may be small, by the size of its terms
        error = [
            abs(one["push"] - one["brake"] - case[3]) / (one["push"] + one["brake"])
            for one, case in zip(found, metres, strict=True)
        ]
        assert len(error) > 50 and max(error) < TOLERANCE

    @pytest.mark.parametrize("objective", BOTH, ids=str)
    def test_boundaries(self, theory, objective):
        grid = [
            (1.0, other, depth, epsilon, p)
            for other, depth, epsilon, p in itertools.product(
                (0.3, 0.6, 0.95), (1, 2, 5, 12), (1e-6, 1e-3, 0.05), (0.3, 0.5)
            )
            if epsilon < 0.9 * p * dynamics.fixed_point(objective, other, depth=depth)
        ]
        expected = [
            critical_time.inversion_boundary(
                objective, lam, rho, depth=depth, epsilon=epsilon, fraction=fraction
            )
            for lam, rho, depth, epsilon, fraction in grid
        ]
        assert len(grid) > 30
        close(theory("boundary", objective, grid), expected)

    @pytest.mark.parametrize("objective", BOTH, ids=str)
    @pytest.mark.parametrize("depth", [1, 2, 5, 12])
    def test_a_feature_that_starts_above_its_final_size_shrinks(self, theory, objective, depth):
        rho, lam = 0.05, 1.7
        size = dynamics.fixed_point(objective, rho, depth=depth)
        for epsilon in (1.01 * size, min(0.3, 3 * size), 0.3):
            if epsilon <= size:
                continue
            case = ({"lam": lam, "rho": rho}, depth, epsilon)
            assert np.isnan(theory("criticalTime", objective, [(*case, 0.5)])[0])
            (points,) = theory("trajectory", objective, [case])
            for point in points[:: len(points) // 6][1:]:
                w = point["share"] * size

                def slowness(log_w):
                    w = np.exp(log_w)
                    return -w / dynamics.velocity(objective, w, lam, rho, depth=depth)

                limits = np.log([w, epsilon])
                expected, _ = quad(slowness, *limits, epsabs=0, epsrel=1e-11, limit=400)
                assert point["t"] == pytest.approx(expected, rel=1e-8)


# --- the page -----------------------------------------------------------------------------------


@pytest.fixture
def visit(open_page):
    """Open the explorer at a state."""

    def visiting(state="", theme="light", width=audit.WIDE):
        page = open_page("book/explorer", state, theme)
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.set_viewport_size({"width": width, "height": 900})
        return page

    return visiting


def state_of(page):
    """The settings that the fields for exact values show."""
    shown = page.evaluate(
        """() => {
            const value = (root, name) =>
                Number(root.querySelector(`[data-name=${name}] input[type=number]`).value);
            const root = document.querySelector(".live-shared");
            const rows = [...document.querySelectorAll(".live-feature")];
            return {
                L: value(root, "L"), eps: value(root, "eps"), p: value(root, "p"),
                lam: rows.map(row => value(row, "lam")), rho: rows.map(row => value(row, "rho")),
            };
        }"""
    )
    return shown


def rows_of(page, objective):
    """Each feature's row in the table: its numbers in full, or one number and a remark."""
    return page.locator(f"#explorer-times-{objective} tbody tr").evaluate_all(
        """rows => rows.map(row => ({
            numbers: [...row.querySelectorAll("data")].map(data => Number(data.value)),
            remark: row.querySelector("td[colspan]")?.textContent,
        }))"""
    )


def times_of(state, objective):
    """The package's critical times; nan for a feature that starts at or above its final size."""
    times = []
    for lam, rho in zip(state["lam"], state["rho"], strict=True):
        below = state["eps"] < dynamics.fixed_point(objective, rho, depth=state["L"])
        known = {"lam": lam, "rho": rho, "depth": state["L"]}
        known |= {"epsilon": state["eps"], "fraction": state["p"]}
        times.append(critical_time.exact(objective, **known) if below else np.nan)
    return np.array(times)


def check(page):
    """All numbers on the page are the package's, for the settings that it shows. Returns these."""
    state = state_of(page)
    for objective in BOTH:
        rows, exact = rows_of(page, objective), times_of(state, objective)
        assert len(rows) == len(exact) == len(state["lam"])
        for row, time, lam, rho in zip(rows, exact, state["lam"], state["rho"], strict=True):
            size = dynamics.fixed_point(objective, rho, depth=state["L"])
            if not time > 0:
                close(row["numbers"], [size])
                assert row["remark"] == ("never: shrinks" if np.isnan(time) else "at the start")
                continue
            known = {"depth": state["L"], "epsilon": state["eps"], "fraction": state["p"]}
            known |= {"objective": objective, "lam": lam, "rho": rho}
            paper = critical_time.expansion(**known, terms=terms(objective, state["L"]))
            complete = critical_time.expansion(**known)
            assert row["remark"] is None
            close(row["numbers"], [size, time, paper, complete])
    check_words(page, state)
    return state


def words_of(page):
    lines = page.locator("#explorer-words p").all_inner_texts()
    assert not any(
        re.search("[^\\S\\u00a0]=|=[^\\S\\u00a0]", line) for line in lines
    )  # kept together
    return [line.replace("\u00a0", " ") for line in lines]


def told_order(page, objective):
    """The order of learning that the words tell, as numbers of features; None if none is told."""
    text = " ".join(line for line in words_of(page) if line.startswith(objective.name))
    if found := re.search(r"learns feature (\d) first, at t = [^,]*,(.*?) last,", text):
        return [int(n) for n in re.findall(r"\b\d\b", found[1] + found[2])]
    if found := re.search(r"learns feature (\d) first, at t = [^,]*, then (\d),", text):
        return [int(found[1]), int(found[2])]
    return None


def check_words(page, state):
    """Order, relation to lambda and rho, and the verdict are what the package's times say."""
    text = " ".join(words_of(page))
    learned = {}
    for objective in BOTH:
        times = times_of(state, objective)
        (known,) = np.nonzero(times > 0)
        order = known[np.argsort(times[known], kind="stable")]
        learned[objective] = dict(zip(known.tolist(), times[known], strict=True))
        if len(order) < 2:
            continue
        spread = times[order[-1]] / times[order[0]] - 1
        if spread < 1e-12:
            assert "at the same time" in text
            continue
        if spread < 0.01:
            assert f"of one time: first {order[0] + 1}, last {order[-1] + 1}" in text
            continue
        assert told_order(page, objective) == [i + 1 for i in order], text
        line = next(line for line in words_of(page) if line.startswith(objective.name))
        for key, symbol in (("lam", "λ"), ("rho", "ρ")):
            along = np.array(state[key])[order]
            falls = bool(np.all(np.diff(along) <= 0) and along[0] > along[-1])
            assert (symbol in line.partition("in the order of")[2]) == falls, text
    pairs = list(itertools.combinations(sorted(learned[JEPA].keys() & learned[MAE].keys()), 2))
    signs = [
        np.prod([np.sign(learned[objective][i] - learned[objective][j]) for objective in BOTH])
        for i, j in pairs
    ]
    inverted = sum(sign < 0 for sign in signs)
    verdicts = {
        "The two orders are opposite.": inverted == len(pairs) > 0,
        "Both learn in the same order.": inverted == 0,
        f"differ in {inverted} of {len(pairs)} pairs": 0 < inverted < len(pairs),
    }
    tied = "apart." in text
    for verdict, holds in verdicts.items():
        assert (verdict in text) == (holds and bool(pairs) and not tied), (verdict, text)


def drag(page, slider, fraction):
    """Take a slider's thumb with the mouse to a fraction of its way."""
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    low, high, value = (
        float(slider.evaluate(f"slider => slider.{name}")) for name in ("min", "max", "value")
    )
    thumb = 16

    def at(part):
        return box["x"] + thumb / 2 + (box["width"] - thumb) * part

    middle = box["y"] + box["height"] / 2
    page.mouse.move(at((value - low) / (high - low)), middle)
    page.mouse.down()
    page.mouse.move(at(fraction), middle, steps=3)
    page.mouse.up()


def view(**changed):
    """The hash of a state."""
    settings = {"L": 5, "eps": 0.001, "f": "1:1,1.2:0.6"} | changed
    return "#" + "&".join(f"{name}={value}" for name, value in settings.items())


def show(page, **changed):
    """Put a state into the address of an open page, as a reader who follows a link does."""
    page.evaluate(
        """hash => new Promise(done => {
            addEventListener("hashchange", done, { once: true });
            location.hash = hash;
        }).then(() => null)""",
        view(**changed),
    )


def test_opens_with_chapter_1(visit):
    page = visit()
    state = check(page)
    assert state == {"L": 5, "eps": 0.01, "p": 0.5, "lam": [1, 1.2], "rho": [1, 0.6]}
    assert told_order(page, JEPA) == [1, 2] and told_order(page, MAE) == [2, 1]
    assert page.locator("[aria-pressed=true]").inner_text() == "chapter 1"


def test_dragging_the_sliders_over_a_grid(visit):
    page = visit()
    seen = set()
    slider = {
        name: page.locator(f".live-shared [data-name={name}] input[type=range]")
        for name in ("L", "eps", "p")
    }
    first = page.locator(".live-feature").first
    for depth, start in itertools.product((0, 0.45, 1), (0, 0.4, 0.9)):
        drag(page, slider["L"], depth)
        drag(page, slider["eps"], start)
        state = check(page)
        seen.add((state["L"], state["eps"]))
    for lam, rho, p in itertools.product((0, 1), (0.3, 1), (0.1, 0.95)):
        drag(page, first.locator("[data-name=lam] input[type=range]"), lam)
        drag(page, first.locator("[data-name=rho] input[type=range]"), rho)
        drag(page, slider["p"], p)
        state = check(page)
        seen.add((state["lam"][0], state["rho"][0], state["p"]))
    assert len(seen) == 9 + 8
    assert (
        (1, 1e-6) in seen and any(s[:2] == (5, 2) for s in seen) and any(s[0] == 12 for s in seen)
    )


def test_any_state_that_the_address_can_hold(visit):
    page, rng = visit(), np.random.default_rng(0)
    for _ in range(50):
        count = rng.integers(2, 9)
        lam = np.exp(rng.uniform(*np.log(LIMITS["lam"]), count)).round(4)
        rho = rng.uniform(*LIMITS["rho"], count).round(4)
        show(
            page,
            L=rng.integers(1, 13),
            eps=float(f"{np.exp(rng.uniform(*np.log(LIMITS['eps']))):.4g}"),
            p=round(rng.uniform(*LIMITS["p"]), 3),
            f=",".join(f"{a}:{b}" for a, b in zip(lam, rho, strict=True)),
            scale=rng.choice(["linear", "log"]),
            show=rng.choice(["size", "share"]),
        )
        state = check(page)
        assert state["lam"] == lam.tolist() and state["rho"] == rho.tolist()
        assert "NaN" not in page.locator(".live-plots").inner_html()


def test_by_keyboard_alone(visit):
    page = visit()
    page.locator("#explorer-L").focus()
    for key, depth in (("ArrowRight", 6), ("ArrowLeft", 5), ("End", 12), ("Home", 1)):
        page.keyboard.press(key)
        assert check(page)["L"] == depth
    page.keyboard.press("Tab")  # the exact value beside the slider
    page.keyboard.press("Control+A")
    page.keyboard.type("7")
    assert check(page)["L"] == 7
    page.keyboard.press("Tab")
    before = check(page)["eps"]
    page.keyboard.press("ArrowLeft")
    assert 0.9 * before < check(page)["eps"] < before
    page.keyboard.press("PageDown")
    assert check(page)["eps"] < 0.9 * before
    for name in ("log", "share"):
        page.locator(f"#explorer-{name}").focus()
        page.keyboard.press("Space")
        assert page.locator(f"#explorer-{name}").is_checked()
    page.locator("#explorer-add").focus()
    for count in (3, 4, 5, 6, 7, 8):
        page.keyboard.press("Enter")
        assert len(check(page)["lam"]) == count
    assert page.locator("#explorer-add").is_disabled()
    page.get_by_role("button", name="Remove feature 1").focus()
    page.keyboard.press("Enter")
    state = check(page)
    assert state["lam"][0] == 1.2 and len(state["lam"]) == 7
    assert page.evaluate("document.activeElement.id") == "explorer-add"
    # every control can be reached, and has a name
    names = page.locator("#live-explorer :is(input, button)").evaluate_all(
        "all => all.map(one => one.getAttribute('aria-label') || one.textContent.trim()"
        " || one.labels[0]?.textContent.trim())"
    )
    assert all(names) and len(names) > 20


FAMILIES = {
    "λ varies": "lambda varies, rho = 1",
    "ρ varies": "rho varies, lambda = 1",
    "both, opposed": "lambda up, rho down",
}


@pytest.mark.parametrize("name", FAMILIES)
def test_figure_2(visit, name):
    page = visit()
    page.get_by_role("group", name="Figure 2").get_by_role("button", name=name).click()
    state = check(page)
    spectrum, _ = examples.figure_2_families(6)[FAMILIES[name]]
    # ours from the strongest shade to the faintest, as in chapter 2
    assert (state["L"], state["eps"], state["p"]) == (5, 1e-3, 0.5)
    assert np.allclose(state["lam"][::-1], spectrum.lam, rtol=1e-12)
    assert np.allclose(state["rho"][::-1], spectrum.rho, rtol=1e-12)
    rising, falling = [1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1]
    expected = {
        "λ varies": (rising, rising, "Both learn in the same order."),
        "ρ varies": (rising, None, "Only JEPA tells them apart."),
        "both, opposed": (falling, rising, "The two orders are opposite."),
    }[name]
    assert (told_order(page, JEPA), told_order(page, MAE), words_of(page)[-1]) == expected
    # the spreads that chapter 2 prints
    spreads = {
        "λ varies": (2.00, 2.00),
        "ρ varies": (0.671, 0.000504),
        "both, opposed": (0.367, 0.223),
    }
    for objective, spread in zip(BOTH, spreads[name], strict=True):
        times = [row["numbers"][1] for row in rows_of(page, objective)]
        assert max(times) / min(times) - 1 == pytest.approx(spread, rel=2e-3)


def test_figure_4(visit):
    page = visit()
    group = page.get_by_role("group", name="Figure 4")
    jepa, mae = (0.0538, 0.671, 1.13, 1.76), (0.00964, 0.000504, 0.000165, 0.000629)
    for depth, *spreads in zip((2, 5, 6, 7), jepa, mae, strict=True):
        group.get_by_role("button", name=f"L = {depth}").click()
        state = check(page)
        assert (state["L"], state["eps"]) == (depth, 1e-3) and set(state["lam"]) == {1}
        assert state["rho"] == pytest.approx(np.linspace(1, 0.5, 6).tolist(), rel=1e-12)
        for objective, spread in zip(BOTH, spreads, strict=True):
            times = [row["numbers"][1] for row in rows_of(page, objective)]
            assert max(times) / min(times) - 1 == pytest.approx(spread, rel=5e-3)
        assert told_order(page, JEPA) == [1, 2, 3, 4, 5, 6]
        assert "MAE learns all six within" in " ".join(words_of(page))


def test_the_three_things_to_try_are_true(visit):
    page = visit()
    opposed = examples.figure_2_families(6)["lambda up, rho down"][0]
    pair = ([1.0, 1.2], [1.0, 0.6])

    def orders(lam, rho, depth, epsilon):
        return [
            (critical_time.order(objective, lam, rho, depth=depth, epsilon=epsilon) + 1).tolist()
            for objective in BOTH
        ]

    def press(label, item):
        page.locator(".bd-article ol > li").nth(item).get_by_role("button", name=label).click()
        check(page)
        return [told_order(page, objective) for objective in BOTH]

    falling, rising = [6, 5, 4, 3, 2, 1], [1, 2, 3, 4, 5, 6]
    reverse = opposed.lam[::-1], opposed.rho[::-1]
    assert press("ε = 10⁻³", 0) == orders(*reverse, 5, 1e-3) == [falling, rising]
    assert press("ε = 10⁻⁶", 0) == orders(*reverse, 5, 1e-6) == [rising, rising]
    assert press("three layers", 1) == orders(*pair, 3, 1e-3) == [[2, 1], [2, 1]]
    assert press("four layers", 1) == orders(*pair, 4, 1e-3) == [[1, 2], [2, 1]]
    assert press("ε = 0.01", 2) == orders(*pair, 5, 0.01) == [[1, 2], [2, 1]]
    assert (
        press("ε = 0.1", 2)[1]
        == (critical_time.order(MAE, *pair, depth=5, epsilon=0.1) + 1).tolist()
        == [2, 1]
    )
    assert "Under JEPA feature 2 shrinks" in words_of(page)[0]
    assert round(0.1 ** (1 / 5), 2) == 0.63 > pair[1][1]
    assert dynamics.velocity(JEPA, 0.1, 1.2, 0.6, depth=5) < 0
    assert page.locator("#explorer-gain").inner_text() == "0.631"


def test_the_address_holds_the_state(visit):
    page = visit()
    page.locator(".live-feature").nth(1).locator("[data-name=rho] input[type=number]").fill("0.55")
    page.locator("#explorer-log").check()
    page.locator("#explorer-copy").click()
    assert page.locator("#explorer-message").inner_text() == "The link is copied."
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == page.url and link.endswith(
        "#L=5&eps=0.01&f=1:1,1.2:0.55&p=0.5&scale=log&show=size&clock=own"
    )
    other = visit("#" + link.partition("#")[2])
    assert check(other) == check(page)
    assert other.locator("#explorer-log").is_checked()
    for name in ("words", "JEPA", "MAE", "times-JEPA"):
        inside = [found.locator(f"#explorer-{name}").inner_html() for found in (page, other)]
        assert inside[0] == inside[1]
    # a preset is a step in the history, and back leads back
    other.get_by_role("button", name="λ varies").click()
    assert len(check(other)["lam"]) == 6
    other.go_back()
    until(other, "document.querySelectorAll('.live-feature').length === 2")
    assert check(other) == check(page)


CHAPTER_1 = {"L": 5, "eps": 0.01, "p": 0.5, "lam": [1, 1.2], "rho": [1, 0.6]}


@pytest.mark.parametrize(
    ("state", "changed", "told"),
    [
        ("#L=abc", {}, ["L = abc is no number: 5 stands instead"]),
        ("#L=7&eps=-3", {"L": 7, "eps": 1e-6}, ["ε = -3 is not between", "1 × 10⁻⁶ stands"]),
        ("#L=5.6&p=2", {"L": 6, "p": 0.99}, ["L = 5.6 is not a whole number", "p = 2 is not"]),
        ("#f=1.3:0.9,2:0", {"lam": [1.3, 2], "rho": [0.9, 0.05]}, ["Feature 2: ρ = 0 is not"]),
        ("#f=1.3:0.9,x:0.7", {"lam": [1.3, 1.2], "rho": [0.9, 0.7]}, ["Feature 2: λ = x"]),
        ("#f=1:1,2:0.5,3", {"lam": [1, 2, 3], "rho": [1, 0.5, 1]}, ["Feature 3: ρ = nothing"]),
        ("#f=2:1", {"lam": [2, 1.2], "rho": [1, 0.6]}, ["One feature is too few"]),
        ("#f=" + ",".join(["1:1"] * 9), {"lam": [1] * 8, "rho": [1] * 8}, ["first 8 features"]),
        ("#f=%%:%E0%A4,1:1:%E0%A4", {"lam": [1, 1], "rho": [1, 1]}, ["Feature 1: λ = %%"]),
        ("#scale=cubic&show=", {}, ["scale = cubic is none of linear and log", "show = nothing"]),
        ("#L=<img src=x onerror=alert(1)>", {}, ["is no number: 5 stands instead"]),
        ("#depth=7&L=6", {"L": 6}, ["also has depth, which this picture does not know"]),
        ("#__proto__=1&constructor=x&L=3", {"L": 3}, ["also has __proto__ and constructor"]),
        ("?L=7", {"L": 7}, []),
        ("?L=7&utm_source=x#L=3&p=0.4", {"L": 3, "p": 0.4}, []),
        ("?highlight=x&L=99", {"L": 12}, ["L = 99 is not a whole number from 1 to 12"]),
        ("#how-to-read-it", {}, []),
    ],
)
def test_the_address_changes_what_it_can_and_says_what_it_cannot(visit, state, changed, told):
    page = visit(state)
    assert check(page) == CHAPTER_1 | changed
    said = page.locator("#explorer-message").inner_text()
    assert all(part in said for part in told) and bool(said) == bool(told), said
    assert page.locator("[src=x]").count() == 0


def test_what_is_changed_replaces_what_the_query_asked_for(visit):
    page = visit("?L=7")
    page.locator("#explorer-L").press("ArrowLeft")
    until(page, "location.hash.startsWith('#L=6&')")
    assert "?" not in page.url
    page.reload()
    assert check(page)["L"] == 6


def test_a_number_out_of_range_is_refused_and_said(visit):
    page = visit()
    field = page.locator("[data-name=eps] input[type=number]")
    field.fill("2")
    assert field.get_attribute("aria-invalid") == "true"
    assert "ε must lie between 1 × 10⁻⁶ and 0.3." in page.locator("#explorer-message").inner_text()
    field.blur()
    assert check(page)["eps"] == 0.01 and field.get_attribute("aria-invalid") is None
    assert page.locator("#explorer-message").inner_text() == ""
    field.fill("2")
    field.fill("0.02")
    assert check(page)["eps"] == 0.02 and page.locator("#explorer-message").inner_text() == ""


def test_the_words_are_announced_when_the_sliders_rest(visit):
    page = visit()
    page.locator("#explorer-L").press("ArrowRight")
    until(
        page,
        "() => document.querySelector('#explorer-said').textContent"
        " === [...document.querySelectorAll('#explorer-words p')]"
        ".map(p => p.textContent).join(' ')",
    )
    assert page.locator("#explorer-said").get_attribute("role") == "status"


def test_drawn_as_the_book_draws(visit):
    """Solid and dashed, the book's shades, dots on their curves, triangles at the times."""
    page = visit(view(f="1:1,1.2:0.8,0.8:0.9,1:0.7"))
    state = state_of(page)
    for objective in BOTH:
        plot = page.locator(f"#explorer-{objective}")
        curves = plot.locator("polyline.curve")
        assert curves.count() == 4
        dashes = curves.first.evaluate("curve => getComputedStyle(curve).strokeDasharray")
        assert (dashes == "none") == (objective is JEPA)
        colours = curves.evaluate_all("all => all.map(one => getComputedStyle(one).stroke)")
        found = [[int(n) / 255 for n in re.findall(r"\d+", colour)] for colour in colours]
        expected = figures.shades(objective, np.arange(4))[:, :3]  # drawn from the last feature on
        assert np.max(np.abs(np.array(found) - expected)) < 2.5 / 255
        middle = figures.palette(objective)(0.5)[:3]
        sample = plot.locator("path.curve").evaluate("curve => getComputedStyle(curve).stroke")
        assert np.allclose([int(n) / 255 for n in re.findall(r"\d+", sample)], middle, atol=0.01)
        assert np.allclose(middle, to_rgb(figures.COLOURS[objective]), atol=0.01)

        paths = [
            np.array([point.split(",") for point in points.split()], dtype=float)
            for points in curves.evaluate_all("all => all.map(one => one.getAttribute('points'))")
        ][::-1]
        dots = plot.locator("circle").evaluate_all(
            "all => all.map(dot => [dot.cx.baseVal.value, dot.cy.baseVal.value])"
        )
        for x, y in dots:
            gaps = [np.interp(y, path[::-1, 1], path[::-1, 0]) - x for path in paths]
            assert np.min(np.abs(gaps)) < 0.2
        triangles = plot.locator("polygon.exact").evaluate_all(
            "all => all.map(one => one.transform.baseVal[0].matrix.e)"
        )
        assert np.allclose(sorted(triangles), sorted(x for x, _ in dots), atol=0.02)
        times = np.sort(times_of(state, objective))
        places = np.sort(triangles)
        line = np.polynomial.Polynomial.fit(times, places, 1)  # the axis is linear
        assert np.max(np.abs(line(times) - places)) < 0.02


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [audit.NARROW, audit.WIDE])
def test_wide_and_narrow_in_both_themes(visit, theme, width):
    crowded = "5:2,4.4444:1.9999,0.05:0.05,1.2345:0.12345,0.051:1.2345,1:1,1:1,2:2"
    page = visit(view(f=crowded, L=12, eps=0.01234, p=0.975, scale="log"), theme, width)
    check(page)
    assert not audit.accessibility(page)
    overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert overflow <= 0
    assert not page.locator("#live-explorer :is(input, button, td, th, svg, p)").evaluate_all(
        "all => all.filter(one => one.getBoundingClientRect().right > innerWidth + 0.5).length"
    )


def test_on_a_phone_the_plots_stay_in_view(visit):
    page = visit(view(f="1:1,1:0.9,1:0.8,1:0.7,1:0.6"), width=audit.NARROW)
    last = page.locator(".live-feature").last.locator("[data-name=rho] input[type=range]")
    last.scroll_into_view_if_needed()
    assert page.locator("#explorer-JEPA").evaluate("p => p.getBoundingClientRect().top") >= 0
    drag(page, last, 0.2)
    assert check(page)["rho"][-1] < 0.6
    box, plots = last.bounding_box(), page.locator(".live-plots").bounding_box()
    assert box["y"] > plots["y"] + plots["height"]


def test_works_from_a_file_with_no_server(site, browser):
    context, problems = browser.new_context(), []
    page = context.new_page()
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto((ROOT / "_build" / "html" / "book" / "explorer.html").as_uri() + view(L=3))
    page.locator("#explorer-L").press("ArrowRight")
    assert check(page)["L"] == 4
    until(page, "location.hash.startsWith('#L=4&')")
    page.get_by_role("button", name="λ varies").click()
    assert len(check(page)["lam"]) == 6
    context.close()
    assert not problems


def test_words_for_ties_losses_and_head_starts(visit):
    page = visit(view(f="1:0.7,1:0.7"))
    words = words_of(page)
    assert all("learns both at the same time, t = " in line for line in words[:2])
    show(page, eps=0.1)
    assert words_of(page)[-1] == "What MAE learns first, feature 2, JEPA never learns."
    show(page, eps=0.1, f="1.2:0.9,1:0.6,0.9:0.5")
    assert words_of(page)[-1] == "JEPA never learns features 2 and 3; MAE does."
    show(page, eps=0.01, f="1:1,1.2:0.6,1.2:0.48")
    start = 0.01 / dynamics.fixed_point(JEPA, 0.48, depth=5)
    assert 0.2 < start < 0.5
    assert f"Feature 3 has little way to go: it starts at {100 * start:.0f} %" in words_of(page)[0]
    assert "little way" not in " ".join(words_of(page)[1:])


def test_names(visit):
    hostile = "a,b:<i>&"
    page = visit()
    field = page.get_by_label("name of feature 1")
    field.fill(hostile)
    page.get_by_label("name of feature 2").fill("=noise\u202e!")
    until(page, "location.hash.includes('noise')")
    page.reload()
    assert field.input_value() == hostile
    assert f"JEPA learns “{hostile}” first" in words_of(page)[0]
    assert page.locator("#live-explorer i:text('&')").count() == 0
    assert hostile in page.locator("#explorer-JEPA").text_content()
    assert page.locator("#explorer-times-MAE tbody th").all_inner_texts() == [hostile, "=noise!"]
    field.fill("W" * 40)
    assert field.input_value() == "W" * 12
    for width in (audit.NARROW, audit.WIDE):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("share", ["size", "share"])
def test_values_under_the_pointer(visit, share):
    page = visit(view(show=share, f="1:1,1.2:0.6,0.9:0.3,2:0.05"))
    state, plot = state_of(page), page.locator("#explorer-JEPA")
    box = plot.bounding_box()

    def check_values(objectives):
        lines = page.locator("#explorer-values p").evaluate_all(
            """all => all.map(one => [Number(one.dataset.t),
                [...one.querySelectorAll("data")].map(data => Number(data.value))])"""
        )
        assert len(lines) == len(objectives)
        for objective, (t, values) in zip(objectives, lines, strict=True):
            for lam, rho, value in zip(state["lam"], state["rho"], values, strict=True):
                size = dynamics.fixed_point(objective, rho, depth=state["L"])
                value *= 1 if share == "size" else size
                if state["eps"] < size:
                    known = {"lam": lam, "rho": rho, "depth": state["L"], "epsilon": state["eps"]}
                    close(value, dynamics.trajectory(objective, t, **known))
                else:
                    assert size <= value <= state["eps"]

    for fraction in (0.2, 0.35, 0.5, 0.77, 0.97):
        page.mouse.move(box["x"] + fraction * box["width"], box["y"] + 60)
        check_values([JEPA])
    page.mouse.move(5, 5)
    assert page.locator("#explorer-values p").count() == 0
    page.locator("#explorer-MAE").focus()
    for key in ("ArrowRight", "PageDown", "Home", "End"):
        page.keyboard.press(key)
        check_values([MAE])
    page.locator("#explorer-clock").check()
    page.locator("#explorer-MAE").focus()
    page.keyboard.press("ArrowLeft")
    check_values([JEPA, MAE])
    page.keyboard.press("Escape")
    assert page.locator("#explorer-values p").count() == 0


def test_one_clock_for_both(visit):
    page = visit(view(clock="common", scale="log"))
    axes = [
        page.locator(f"#explorer-{name} .tick.middle").all_text_contents()
        for name in ("JEPA", "MAE")
    ]
    assert axes[0] == axes[1]
    places = [
        page.locator(f"#explorer-{one} polygon.exact").evaluate_all(
            "all => all.map(one => one.transform.baseVal[0].matrix.e)"
        )
        for one in BOTH
    ]
    times = np.concatenate([times_of(state_of(page), one) for one in BOTH])
    line = np.polynomial.Polynomial.fit(np.log(np.sort(times)), np.sort(np.ravel(places)), 1)
    assert np.max(np.abs(line(np.log(np.sort(times))) - np.sort(np.ravel(places)))) < 0.05


def taken(page, button, folder):
    with page.expect_download() as download:
        page.locator(f"#explorer-{button}").click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path.read_text(encoding="utf-8")


def test_svg_csv_and_python_to_take_away(visit, tmp_path):
    page = visit(view(f="1:1:clean,1.2:0.6:=1+1", eps=0.01))
    drawing = ElementTree.fromstring(taken(page, "svg", tmp_path))
    inside = [one.tag.rpartition("}")[2] for one in drawing.iter()]
    assert inside.count("polyline") == 4 and inside.count("svg") == 3
    assert not any("class" in one.attrib or "style" in one.attrib for one in drawing.iter())
    curve = next(one for one in drawing.iter() if one.tag.endswith("polyline"))
    assert curve.get("stroke", "").startswith("rgb(") and curve.get("fill") == "none"

    rows = list(csv.DictReader(io.StringIO(taken(page, "csv", tmp_path))))
    assert {row["name"] for row in rows} == {"clean", "'=1+1"}
    for objective, number in itertools.product(BOTH, (1, 2)):
        own = [r for r in rows if (r["objective"], r["feature"]) == (objective.name, str(number))]
        t, w, lam, rho, depth, eps = (
            np.array([float(row[key]) for row in own])
            for key in ("t", "w", "lam", "rho", "depth", "epsilon")
        )
        feature, known = (lam[0], rho[0]), {"depth": int(depth[0]), "epsilon": eps[0]}
        assert len(t) > 100
        close(w[1:-1], dynamics.trajectory(objective, t[1:-1], *feature, **known))

    page.locator("#explorer-python").click()
    lines = page.locator("#explorer-lines").inner_text()
    assert page.evaluate("navigator.clipboard.readText()") == lines and lines.count("\n") == 2
    made = {}
    exec(lines, made)
    for objective, name in zip(BOTH, ("jepa", "mae"), strict=True):
        close(made[name], times_of(state_of(page), objective))
    show(page, f="1:0.05,1:0.06", eps=0.3)
    page.locator("#explorer-python").click()
    exec(page.locator("#explorer-lines").inner_text(), made)
    assert made["jepa"] == []


def test_without_javascript_a_still_image_stands_instead(site, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}/book/explorer.html")
    image = page.locator("#live-explorer img")
    assert image.is_visible() and len(image.get_attribute("alt")) > 40
    assert image.evaluate("image => image.complete && image.naturalWidth > 300")
    assert "where scripts run" in page.locator("#live-explorer").inner_text()
    assert not page.locator("#live-explorer :is(button, input, svg)").filter(visible=True).count()
    context.close()
