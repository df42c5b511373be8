// Masks: the paper's first model of views. What the visible share makes of two features, one strong on
// loud pixels and one weaker on quiet ones.
"use strict";

(() => {
  const { BOTH } = theory;
  const { shown } = numbers;
  const { element } = plot;
  const SIDE = 12;
  const HALF = 0.5;
  const GROWN = 1.5; // times its start: as chapter 10 compares the two
  const QUIET = { name: "quiet", excess: 1, level: 0.4 };
  const STRONG = 1.5; // excess of the feature on loud pixels
  const SETTINGS = {
    f: controls.number("f", 0.02, 0.98),
    level: controls.number("level", 0.4, 3),
    L: controls.number("L", 1, 12, { whole: true }),
    c: controls.number("c", 0.02, 0.6),
    seed: controls.number("seed", 0, 9999, { whole: true }),
  };

  const root = document.getElementById("live-masks");
  const part = controls.parts(root);
  const picture = controls.picture(root, SETTINGS, "f=0.25&level=1.3&L=4&c=0.2&seed=0", render);
  const { state, changed } = picture;

  // random_masks.moments: of the excess of a feature over the variance of the pixels that it lives on
  function moments({ excess, level }, f) {
    return { lam: f * (1 - f) * excess, rho: ((1 - f) * excess) / (level + f * excess) };
  }

  const both = () => [{ name: "loud", excess: STRONG, level: state.level }, QUIET];

  // --- the image, and what the masks leave of it: the strong pattern on the left half, the other right ----

  function drawImages() {
    const random = network.generator(state.seed);
    const [light, noise] = [random.normals(16), random.normals(SIDE * SIDE)];
    const kept = Array.from({ length: SIDE * SIDE }, () => random.uniform() < state.f);
    const value = (i) => {
      const [row, column] = [Math.floor(i / SIDE), i % SIDE];
      const left = column < SIDE / 2;
      const pattern = left ? Math.cos((Math.PI * row) / 3) : Math.cos((Math.PI * column) / 2 + row);
      const level = left ? state.level : QUIET.level;
      return (left ? STRONG * light[0] : light[1]) * pattern + 0.4 * Math.sqrt(level) * noise[i];
    };
    const draw = (name, seen) => {
      part(name).replaceChildren(
        ...kept.map((inside, i) => {
          const size = 100 / SIDE;
          const place = { x: (size * (i % SIDE)).toFixed(2), y: (size * Math.floor(i / SIDE)).toFixed(2), width: size.toFixed(2), height: size.toFixed(2) };
          const square = plot.node("rect", seen(inside) ? place : { ...place, class: "masked" });
          return seen(inside) ? plot.paint(square, plot.diverging(value(i) / 2)) : square;
        }),
      );
    };
    draw("whole", () => true);
    draw("visible", (inside) => inside);
    draw("hidden", (inside) => !inside);
  }

  // --- lam and rho over the share --------------------------------------------------------------------------

  const SHARES = Array.from({ length: 99 }, (_, n) => (n + 1) / 100);
  const inks = [[44, 132, 62], [118, 66, 168]];

  function drawMoments() {
    for (const key of ["lam", "rho"]) {
      const curves = both().map((feature) => SHARES.map((f) => [f, moments(feature, f)[key]]));
      const panel = plot.panel(part(key), {
        height: 190,
        margins: { bottom: 38 },
        x: plot.linear(0, 1, 5),
        y: plot.linear(0, 1.1 * Math.max(...curves.flat().map(([, value]) => value)), 4),
        title: { lam: "λ", rho: "ρ" }[key],
        xLabel: "visible share f",
      });
      panel.line("cursor", panel.px(state.f), panel.area.top, panel.px(state.f), panel.area.bottom);
      curves.forEach((points, i) => panel.curve(points, inks[i], i ? "MAE" : ""));
      both().forEach((feature, i) => {
        panel.dot(state.f, moments(feature, state.f)[key], inks[i]);
        panel.label(state.f, moments(feature, state.f)[key], feature.name);
      });
    }
  }

  // --- words -----------------------------------------------------------------------------------------------

  // When the size is GROWN times the start; negative or NaN if it never is.
  function times(objective) {
    const eps = state.c ** state.L;
    return both().map((feature) => {
      const pair = moments(feature, state.f);
      const p = (GROWN * eps) / theory.finalSize(objective, pair.rho, state.L);
      return p < 1 ? theory.criticalTime(objective, pair, state.L, eps, p) : NaN;
    });
  }

  function write() {
    const datum = (value, name) => element("data", shown(value), { value, "data-name": name });
    const known = both().flatMap((feature, i) => {
      const { lam, rho } = moments(feature, state.f);
      return [i ? "; " : "", `${feature.name}: λ = `, datum(lam, `${feature.name}-lam`), ", ρ = ", datum(rho, `${feature.name}-rho`)];
    });
    const told = BOTH.map((objective) => {
      const [loud, quiet] = times(objective);
      if (Number.isNaN(loud) && Number.isNaN(quiet)) return [`Under ${objective.name} neither feature grows by half.`];
      const first = Number.isNaN(quiet) || loud < quiet ? "loud" : "quiet";
      const ratio = loud / quiet;
      const rest = Number.isNaN(ratio) ? "; the other does not" : ["; their times are as ", datum(ratio, objective.name), " to 1"];
      return [`Under ${objective.name} the ${first} feature is the first to grow by half`, ...[rest].flat(), "."];
    });
    picture.tell([[...known, "."], ...told]);
  }

  part("again").addEventListener("click", () => {
    state.seed = (state.seed + 1) % 10_000;
    changed();
  });

  const connected = picture.connectAll(["f", "level", "L", "c"]);

  function render(active) {
    connected.forEach((update) => update(active));
    drawImages();
    drawMoments();
    write();
  }

  picture.open();
})();
