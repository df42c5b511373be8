// Train a network: deep linear networks under both objectives, in the browser, with the theory's curves
// laid over.
"use strict";

(() => {
  const { JEPA, MAE, BOTH } = theory;
  const { shown } = numbers;
  const { letter, called } = features;
  const MOST_STEPS = 200_000;
  const RECORDS = 300; // points of a curve
  const PROFILES = 8; // moments whose sizes are drawn over the features
  const FRAME = 14; // ms of training between two drawings, per objective
  const HALF = 0.5;
  const GROWN = 2; // times its start: a feature counts as learned, where no theory says so
  const SETTINGS = {
    f: features.setting(8, 1),
    L: controls.number("L", 1, 6, { whole: true }),
    c: controls.number("c", 0.05, 1),
    start: controls.choice("start", "aligned", "orthogonal", "gaussian"),
    n: controls.number("n", 0, 256, { whole: true }),
    eta: controls.number("η", 1e-3, 1, { logarithmic: true }),
    tau: controls.choice("τ", "off", "10", "1", "0.1", "0.01", "0"),
    kappa: controls.number("κ", 0, 0.2),
    seed: controls.number("seed", 0, 99, { whole: true }),
    show: controls.choice("show", "curves", "profiles"),
  };

  const root = document.getElementById("live-train");
  const part = controls.parts(root);
  const picture = controls.picture(
    root,
    SETTINGS,
    "f=1:1,1.2:0.6&L=3&c=0.3&start=aligned&n=0&eta=0.05&tau=off&kappa=0&seed=0&show=curves",
    render,
  );
  const { state, say, changed } = picture;

  // --- the networks ----------------------------------------------------------------------------------

  let runs = [];

  function prepare() {
    const view = { L: state.L, eps: state.c ** state.L, p: HALF };
    runs = BOTH.map((objective) => {
      const all = courses.of(objective, state.f, view);
      const clock = state.L * state.eta; // of the paper, a step
      const wanted = Math.ceil(courses.horizon(all) / clock);
      const net = network.run(objective, state.f, {
        depth: state.L,
        gain: state.c,
        start: state.start,
        batch: state.n,
        rate: state.eta,
        decay: state.kappa,
        tau: state.tau === "off" ? Infinity : Number(state.tau),
        seed: state.seed,
      });
      const steps = Math.min(MOST_STEPS, Math.max(20, wanted));
      const every = Math.max(1, Math.floor(steps / RECORDS));
      const run = { objective, all, clock, net, steps, every, short: wanted > MOST_STEPS, done: 0, times: [0], sizes: [net.sizes()], broken: false };
      return run;
    });
  }

  const finished = (run) => run.broken || run.done >= run.steps;

  function advance(run, until) {
    while (!finished(run) && performance.now() < until) {
      for (let i = 0; i < 20 && run.done < run.steps; i++) {
        run.net.step();
        run.done++;
        if (run.done % run.every && run.done < run.steps) continue;
        const sizes = run.net.sizes();
        if (!sizes.every(Number.isFinite)) {
          run.broken = true;
          return;
        }
        run.times.push(run.done * run.clock);
        run.sizes.push(sizes);
      }
    }
  }

  // --- when the theory does not apply ----------------------------------------------------------------

  function reasons() {
    const told = [];
    if (state.start !== "aligned") told.push("The layers start at random, not aligned: features share them, and some may never grow.");
    if (state.n) told.push(`Each step sees ${state.n} pairs only: the steps are noisy.`);
    if (state.tau === "0") told.push("JEPA's target is frozen: it learns what a random teacher shows.");
    else if (state.tau !== "off") told.push("JEPA's target follows its encoder late: what it predicts is old.");
    if (state.kappa) told.push("Weight decay pulls every layer down; too much, and features vanish.");
    const steep = Math.max(...state.f.map(({ lam, rho }) => lam / rho)) * state.eta * (state.L + 1);
    if (steep > 0.5) told.push("The steps are so large that they jump where the theory flows.");
    return told;
  }

  // --- drawing ---------------------------------------------------------------------------------------

  const shadeOf = (objective, index) => plot.nth(objective.name, index, state.f.length);

  // Sizes over the features at some moments, faint to strong; hollow dots where the theory ends.
  function drawProfiles(run) {
    const { objective, all, sizes } = run;
    const svg = part(objective.name);
    const tallest = Math.max(...all.map(({ size }) => size), ...sizes.flat(), 1e-9);
    const panel = plot.panel(svg, {
      height: plot.narrow.matches ? 180 : 230,
      margins: { bottom: 38 },
      x: plot.linear(0.5, all.length + 0.5, all.length),
      y: plot.linear(0, 1.09 * tallest, 4),
      title: objective.name,
      name: objective.name,
      xLabel: "feature",
      yLabel: "size in the encoder, |W eᵢ|",
    });
    for (let k = 0; k < PROFILES; k++) {
      const at = sizes[Math.round(((sizes.length - 1) * k) / (PROFILES - 1))];
      panel.curve(at.map((size, i) => [i + 1, size]), plot.shade(objective.name, k / (PROFILES - 1)));
    }
    for (const item of all) {
      panel.dot(item.index + 1, item.size, plot.GREY, "paper");
      const last = sizes.at(-1)[item.index];
      panel.dot(item.index + 1, last, plot.shade(objective.name, 1)).dataset.size = last;
    }
    svg.setAttribute("aria-label", `${objective.name}: sizes over the features as training goes on. ${outcome(run)}`);
    drawMatrix(run);
  }

  function draw(run) {
    if (state.show === "profiles") return drawProfiles(run);
    const { objective, all } = run;
    const horizon = run.steps * run.clock;
    const tallest = Math.max(...all.map(({ size }) => size), ...run.sizes.flat(), 1e-9);
    const svg = part(objective.name);
    const panel = plot.panel(svg, {
      height: plot.narrow.matches ? 180 : 230,
      margins: { bottom: 38 },
      x: plot.linear(0, horizon, 5),
      y: plot.linear(0, 1.09 * tallest, 4),
      title: objective.name,
      name: objective.name,
      xLabel: "training time t",
      yLabel: "size in the encoder, |W eᵢ|",
    });
    all.forEach((item) => {
      const end = { t: 1e99, share: item.points.at(-1).share };
      const line = [...item.points, end].map(({ t, share }) => [Math.min(t, 9 * horizon), share * item.size]);
      panel.curve(line, plot.GREY, "theory");
    });
    [...all].reverse().forEach((item) => {
      const rgb = shadeOf(objective, item.index);
      panel.curve(run.times.map((t, k) => [t, run.sizes[k][item.index]]), rgb);
      const last = run.sizes.at(-1)[item.index];
      panel.dot(run.times.at(-1), last, rgb).dataset.size = last;
    });
    for (const item of all) {
      if (run.done) panel.label(run.times.at(-1), run.sizes.at(-1)[item.index], item.name || item.index + 1);
    }
    svg.setAttribute("aria-label", `${objective.name}: sizes in training, with the theory's curves. ${outcome(run)}`);
    drawMatrix(run);
  }

  // The encoder as coloured squares: columns are features, blue below zero, rust above.
  function drawMatrix({ objective, net, broken }) {
    const svg = part(`matrix-${objective.name}`);
    const d = state.f.length;
    const values = net.encoder();
    const largest = Math.max(1e-12, ...values.map(Math.abs));
    svg.replaceChildren();
    const side = 100 / d;
    values.forEach((value, i) => {
      const [x, y] = [side * (i % d), side * Math.floor(i / d)];
      const square = plot.node("rect", { x: x.toFixed(2), y: y.toFixed(2), width: side.toFixed(2), height: side.toFixed(2) });
      svg.append(plot.paint(square, broken ? plot.GREY : plot.diverging(value / largest)));
    });
    const told = broken ? "it has diverged" : `its largest entry is ${shown(largest, 2)}`;
    svg.setAttribute("aria-label", `${objective.name}: the encoder's matrix, ${d} by ${d}; ${told}.`);
  }

  // --- words -----------------------------------------------------------------------------------------

  // when each feature reached half of what theory holds ready for it: what was learned, in that order
  function order(run) {
    return run.all
      .map((item) => {
        const goal = Math.max(HALF * item.size, Math.min(GROWN * run.sizes[0][item.index], 0.9 * item.size));
        const k = run.sizes.findIndex((sizes) => sizes[item.index] >= goal);
        return { item, k };
      })
      .filter(({ k }) => k > 0)
      .sort((a, b) => a.k - b.k);
  }

  function outcome(run) {
    const name = run.objective.name;
    if (run.broken) return `${name} has diverged after ${shown(run.done, 9)} steps: smaller steps would hold it.`;
    if (!run.done) return "";
    const found = order(run);
    const rest = run.all.length - found.length;
    const missing = rest ? `${finished(run) ? "never" : "not yet"}: ${listedRest(run, found)}` : "";
    if (!found.length) return `${name} has learned nothing${finished(run) ? "" : " yet"}.`;
    return `${name} learned ${called(found[0].item)} first${found.length > 1 ? `, then ${found.slice(1).map(({ item }) => letter(item)).join(", ")}` : ""}${missing ? `; ${missing}` : ""}.`;
  }

  const listedRest = (run, found) =>
    numbers.listed(run.all.filter((item) => !found.some((one) => one.item === item)).map(letter));

  function write() {
    const told = reasons();
    const head = told.length ? "The theory does not apply as it stands:" : "All that the theory assumes is given, but that its steps are infinitely small: the curves lie on the dotted lines.";
    const results = runs.map(outcome).filter(Boolean);
    const short = runs.filter(({ short }) => short).map(({ objective }) => objective.name);
    const cut = short.length
      ? [`${numbers.listed(short)} would need more than ${shown(MOST_STEPS)} steps to the end: a larger start or step is faster.`]
      : [];
    picture.tell([[head, ...told].join(" "), ...results, ...cut], 0, runs.every(finished));
    part("progress").textContent = runs.map((run) => `${run.objective.name}: step ${shown(run.done, 9)} of ${shown(run.steps, 9)}`).join(" · ");
  }

  // --- running ---------------------------------------------------------------------------------------

  let frame;

  function rest() {
    part("play").textContent = runs.every(finished) ? "↺ Again" : "▶ Train";
  }

  function stop() {
    cancelAnimationFrame(frame);
    frame = undefined;
    rest();
  }

  function step() {
    for (const run of runs) advance(run, performance.now() + (controls.still() ? 200 : FRAME));
    if (!controls.still() || runs.every(finished)) runs.forEach(draw);
    write();
    if (runs.every(finished)) return stop();
    frame = requestAnimationFrame(step);
  }

  part("play").addEventListener("click", () => {
    if (frame) return stop();
    if (runs.every(finished)) render();
    part("play").textContent = "❚❚ Pause";
    frame = requestAnimationFrame(step);
  });

  const connected = picture.connectAll(["L", "c", "eta", "n", "kappa", "seed"]);
  const rows = features.rows(picture, SETTINGS.f, part("features"), part("add"));
  for (const name of ["start", "tau"]) {
    part(name).addEventListener("change", ({ target }) => {
      state[name] = target.value;
      changed();
    });
  }

  part("profiles").addEventListener("change", ({ target }) => {
    state.show = target.checked ? "profiles" : "curves";
    runs.forEach(draw);
    picture.saveSoon();
  });

  // The same training with the package: the last sizes are those of the dots.
  function lines() {
    const lam = state.f.map((item) => item.lam).join(", ");
    const rho = state.f.map((item) => item.rho).join(", ");
    const kind = state.start === "gaussian" ? "gaussian" : "orthogonal";
    const tau = state.tau === "off" ? "np.inf" : state.tau;
    const dtype = "dtype=torch.float64";
    return [
      "import numpy as np, torch",
      "from jepabook import JEPA, MAE, linear_net, minibatch",
      `lam, rho, L, c = np.array([${lam}]), np.array([${rho}]), ${state.L}, ${state.c}`,
      `known = {"depth": L, "width": len(lam), "gain": c, "seed": ${state.seed}, "dtype": torch.float64}`,
      `weights = linear_net.initial_weights("${kind}", 1, **known).repeat(1, 2, 1, 1)`,
      ...(state.start === "aligned"
        ? [
            `eye = torch.eye(len(lam), ${dtype})`,
            "encoder = torch.linalg.multi_dot([*weights[:L, 1].flip(0), eye])",
            "weights[-1, 0], weights[-1, 1] = c * eye, c ** (1 - L) * encoder.T",
          ]
        : []),
      "xx, yx, yy = np.diag(lam / rho), np.diag(lam), np.diag(lam)",
      state.n
        ? `source = minibatch.GaussianViews(xx, yx, yy, ${state.n}, ${state.seed + 1}, "covariances", ${dtype})`
        : "source = minibatch.Population(xx, yx)",
      `settings = linear_net.settings((JEPA, MAE), weights, ${state.eta}, ${state.kappa}, ${tau})`,
      `steps = ${runs[0].steps}, ${runs[1].steps}  # JEPA's and MAE's`,
      "history = linear_net.train(weights, settings, source, max(steps), sorted({0, *steps}))",
      "sizes = [history.sizes[list(history.times).index(end), run] for run, end in enumerate(steps)]",
    ].join("\n");
  }

  part("python").addEventListener("click", async () => {
    part("lines").textContent = lines();
    part("lines").hidden = false;
    say(await controls.copied(lines(), "Copied: the same training with the book's package."));
  });

  function render(active) {
    if (frame) stop();
    connected.forEach((update) => update(active));
    rows(active);
    for (const name of ["start", "tau"]) part(name).value = state[name];
    part("profiles").checked = state.show === "profiles";
    part("lines").hidden = true;
    prepare();
    runs.forEach(draw);
    write();
    rest();
  }

  picture.open();
})();
