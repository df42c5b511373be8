// A training curve: JEPA's loss, the share of its target that is unexplained, and the sizes of the features
// behind both, on one clock.
"use strict";

(() => {
  const { shown, percent, listed } = numbers;
  const { letter } = features;
  const POINTS = 240;
  const FALL = 1e-3; // of a curve, that counts
  const SETTINGS = {
    f: features.setting(4, 1),
    L: controls.number("L", 1, 6, { whole: true }),
    eps: controls.number("ε", 1e-4, 0.3, { logarithmic: true }),
    alpha: controls.number("α", 0.3, 100, { logarithmic: true }),
    tau: controls.choice("τ", "off", "1", "0.1", "0.01", "0.001", "0"),
  };
  const root = document.getElementById("live-curve");
  const part = controls.parts(root);
  const picture = controls.picture(
    root,
    SETTINGS,
    "f=1.2:0.95,1:0.9,1.1:0.8&L=3&eps=0.02&alpha=1&tau=0.001",
    render,
  );
  const { state, changed } = picture;

  let now; // the training, its points, and where its curves turn

  function run() {
    const tau = state.tau === "off" ? Infinity : Number(state.tau);
    const training = losses.training(state.f, { ...state, tau });
    const { first, horizon } = training;
    const grid = Array.from({ length: POINTS + 1 }, (_, n) => training.at(first * (horizon / first) ** (n / POINTS)));
    now = { training, grid, loss: losses.turns(training, grid, "loss"), share: losses.turns(training, grid, "share") };
  }

  // --- drawing -------------------------------------------------------------------------------------

  const PANELS = ["loss", "share", "sizes"];
  let panels = {};

  function draw() {
    const { training, grid, loss: turns } = now;
    const narrow = plot.narrow.matches;
    const x = plot.logarithmic(training.first, training.horizon);
    const size = { width: narrow ? 360 : 720, height: narrow ? 140 : 150, x };
    const values = grid.flatMap(({ loss, floor }) => (floor > 0 ? [loss, floor] : [loss])).filter((one) => one > 0);
    const high = 1.6 * Math.max(...values);
    const low = Math.max(Math.min(...values) / 1.6, high * 1e-9);
    const tallest = Math.max(...grid.map(({ share }) => share), 1e-9);
    const largest = Math.max(...grid.flatMap(({ sizes }) => sizes));
    const over = { loss: plot.logarithmic(low, high), share: plot.linear(0, 1.09 * tallest, 4), sizes: plot.linear(0, 1.09 * largest, 4) };
    const titles = { loss: "loss", share: "unexplained share", sizes: "sizes of the features" };
    const half = "loss over half the target's variance";
    const notes = { loss: "dotted: its floor", share: narrow ? "" : half, sizes: narrow ? "" : "what a log does not show" };
    const bare = { ...x, ticks: x.ticks.map(([value]) => [value, ""]) };
    panels = Object.fromEntries(
      PANELS.map((name) => {
        const last = name === PANELS.at(-1);
        const margins = { left: 52, bottom: last ? 38 : 10 };
        const height = size.height + (last ? 28 : 0);
        const options = { ...size, x: last ? x : bare, height, margins, y: over[name], title: titles[name], yLabel: notes[name] };
        return [name, plot.panel(part(name), { ...options, xLabel: last ? "training time t" : "" })];
      }),
    );
    const turned = turns.slice(1, -1);
    for (const panel of Object.values(panels)) {
      for (const { t } of turned) panel.line("finish", panel.px(t), panel.area.top, panel.px(t), panel.area.bottom);
    }
    const line = (name, key = name) => grid.map((one) => [one.t, one[key]]);
    panels.loss.curve(line("floor"), plot.GREY, "theory");
    panels.loss.curve(line("loss"), plot.COLOURS.JEPA);
    panels.share.curve(line("share"), plot.COLOURS.JEPA);
    state.f.forEach((_, i) =>
      panels.sizes.curve(grid.map(({ t, sizes }) => [t, sizes[i]]), plot.nth("JEPA", i, state.f.length)),
    );
    for (const [n, { t, loss }] of turned.entries()) {
      panels.loss.dot(t, loss, plot.COLOURS.JEPA).dataset.t = t;
      if (turned.findIndex((_, k) => rises(turns, k + 1)) !== n) continue;
      const { left, right } = panels.loss.area;
      const at = Math.min(right - 40, Math.max(left + 44, panels.loss.px(t)));
      panels.loss.text("name middle", at, panels.loss.py(loss) - 9, "begins to rise");
    }
    state.f.forEach((feature, i) => {
      const half = grid.find(({ sizes }) => sizes[i] >= 0.6 * grid.at(-1).sizes[i]) ?? grid.at(-1);
      panels.sizes.label(half.t, half.sizes[i], feature.name || i + 1);
    });
    point();
  }

  // whether a curve rises from its n-th turning point on
  const rises = (turns, n, key = "loss") => turns[n + 1][key] > turns[n][key];

  // --- values under the pointer ----------------------------------------------------------------------

  let pointed;
  function point() {
    for (const panel of Object.values(panels)) {
      panel.cursor?.remove();
      if (pointed === undefined) continue;
      const at = panel.px(pointed);
      panel.cursor = panel.line("cursor", at, panel.area.top, at, panel.area.bottom);
    }
    if (pointed === undefined) return part("values").replaceChildren();
    const { loss, floor, share, sizes } = now.training.at(pointed);
    const value = (name, one) => plot.element("data", shown(one), { value: one, "data-name": name });
    const each = sizes.flatMap((size, i) => [i ? ", " : "; sizes ", value(`size-${i + 1}`, size)]);
    const told = [`t = ${shown(pointed)}: loss `, value("loss", loss), ", floor ", value("floor", floor), ", unexplained share ", value("share", share), ...each, "."];
    part("values").replaceChildren(plot.element("p", told, { "data-t": pointed }));
  }

  for (const name of PANELS) {
    plot.follow(part(name), () => panels[name], (t) => {
      pointed = t;
      point();
    });
  }

  // --- words -----------------------------------------------------------------------------------------

  const times = (factor) => (factor >= 1.995 ? `${shown(factor, 2)} times` : `${percent(factor - 1)} above`);

  function course(turns, key) {
    if (turns.length === 2 && Math.abs(turns[1][key] / turns[0][key] - 1) < FALL) return "stays";
    return turns.slice(0, -1).map((_, n) => (rises(turns, n, key) ? "rises" : "falls")).join(", then ");
  }

  function write() {
    const { element } = plot;
    const { loss: turns, share: shares } = now;
    const moment = (t) => element("data", shown(t), { value: t, "data-name": "turn" });
    const way = course(turns, "loss");
    const first = turns.findIndex((_, n) => n < turns.length - 1 && rises(turns, n));
    const [begin, end] = [turns[0], turns.at(-1)];
    let strong = [`The loss ${way}.`];
    if (way === "falls") strong = [`The loss only falls, to ${percent(end.loss / begin.loss)} of where it began.`];
    if (first === 0) strong = [`The loss ${way === "rises" ? "rises from the first step on" : way}: at the end it is ${shown(end.loss / begin.loss, 2)} times what it was.`];
    if (first > 0) {
      const low = turns[first];
      strong = [`The loss ${way}. It begins to rise at t = `, moment(low.t), ` and ends ${times(end.loss / low.loss)} its value there.`];
    }
    const reason = [];
    if (first > 0) {
      const low = turns[first];
      reason.push(`At that point ${percent(low.floor / low.loss)} of the loss is floor: the predictor has caught up.`);
    }
    const grown = end.variance / begin.variance;
    const rest = end.loss > 0 ? ` At the end ${percent(end.floor / end.loss)} of the loss is floor.` : "";
    if (state.tau === "0") reason.push(`The target is frozen: its variance and the floor stand still.${rest}`);
    else if (grown > 1 + FALL) reason.push(`The target's variance grows to ${shown(grown, 2)} times what it was.${rest}`);
    else reason.push("The target does not grow.");
    const fate = course(shares, "share");
    const says = { falls: "The unexplained share only falls", stays: "The unexplained share stays", rises: "The unexplained share rises" }[fate] ?? `The unexplained share ${fate}`;
    const noisier = fate.endsWith("rises") && shares.length > 2;
    const then = noisier ? ": a noisier feature joins, and nothing is wrong." : ".";
    const learned = [`${says}: from ${shown(begin.share, 2)} to ${shown(end.share, 2)}${then}`];
    const gone = end.sizes.flatMap((size, i) => (size < 0.99 * begin.sizes[i] ? [letter({ ...state.f[i], index: i })] : []));
    const many = gone.length > 1;
    if (gone.length) learned.push(` Feature${many ? "s" : ""} ${listed(gone)} ${many ? "shrink" : "shrinks"}.`);
    picture.tell([strong, reason.join(" "), learned.join("")], 0);
    const heard = strong.map((one) => one.textContent ?? one).join("");
    part("loss").setAttribute("aria-label", `Loss over training time. ${heard}`);
    part("share").setAttribute("aria-label", `Unexplained share over training time. ${learned.join("")}`);
    part("sizes").setAttribute("aria-label", `Sizes of the features over training time, at the end ${listed(end.sizes.map((one) => shown(one, 2)))}.`);
  }

  // --- controls --------------------------------------------------------------------------------------

  const shared = picture.connectAll(["L", "eps", "alpha"]);
  const rows = features.rows(picture, SETTINGS.f, part("features"), part("add"));
  part("tau").addEventListener("change", ({ target }) => {
    state.tau = target.value;
    changed();
  });

  function render(active) {
    shared.forEach((update) => update(active));
    rows(active);
    part("tau").value = state.tau;
    run();
    draw();
    write();
  }

  picture.open();
})();
