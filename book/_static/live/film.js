// The flickering film: the paper's second model of views, its estimates as they settle, and what
// would be learned from it.
"use strict";

(() => {
  const { BOTH } = theory;
  const { shown } = numbers;
  const { element } = plot;
  const SIDE = 10; // of the screen, in pixels
  const KEPT = 160; // frames whose lights are drawn
  const SECOND = 12; // frames
  const HALF = 0.5;
  const INKS = [[44, 132, 62], [118, 66, 168]]; // chapter 11's green and purple
  const SETTINGS = {
    g1: controls.number("γ₁", 0.05, 0.999),
    g2: controls.number("γ₂", 0.05, 0.999),
    s1: controls.number("ς₁", 0, 2),
    s2: controls.number("ς₂", 0, 2),
    slow: controls.number("γ′", 0, 0.999),
    L: controls.number("L", 1, 12, { whole: true }),
    c: controls.number("c", 0.05, 0.6),
    seed: controls.number("seed", 0, 99, { whole: true }),
  };

  const root = document.getElementById("live-film");
  const part = controls.parts(root);
  const picture = controls.picture(root, SETTINGS, "g1=0.99&g2=0.95&s1=1&s2=0.5&slow=0&L=3&c=0.3&seed=0", render);
  const { state } = picture;

  // --- the world: generative.two_images ----------------------------------------------------------------

  const IMAGES = (() => {
    const disc = [];
    const letter = [];
    for (let i = 0; i < SIDE * SIDE; i++) {
      const [row, column] = [Math.floor(i / SIDE) + 0.5, (i % SIDE) + 0.5];
      const [across, down] = [Math.abs(column - 0.75 * SIDE), row - SIDE / 2];
      disc.push(down ** 2 + (column - SIDE / 4) ** 2 < (0.22 * SIDE) ** 2 ? 1 : 0);
      const open = across < 0.05 * SIDE + 0.25 && row < 0.65 * SIDE;
      letter.push(across < 0.2 * SIDE && Math.abs(down) < 0.3 * SIDE && !open ? 1 : 0);
    }
    return [disc, letter].map((image) => {
      const norm = Math.sqrt(image.reduce((sum, value) => sum + value * value, 0));
      return image.map((value) => value / norm);
    });
  })();
  const REGION = Array.from({ length: SIDE * SIDE }, (_, i) => ((i % SIDE) + 0.5 > SIDE / 2 ? 1 : 0));

  // lam and rho of the images and, where it has a memory, of the noise on the right, beside the U
  function featuresOf() {
    const feature = (name, power, gamma, noise, memory) => {
      const lam = gamma * power + memory * noise ** 2;
      return { name, lam, rho: lam / (power + noise ** 2) };
    };
    return [
      feature("disc", 1, state.g1, state.s1, 0),
      feature("U", 1, state.g2, state.s2, state.slow),
      ...(state.slow && state.s2 ? [feature("slow noise", 0, 0, state.s2, state.slow)] : []),
    ];
  }

  // --- the film -----------------------------------------------------------------------------------------

  let film;

  function begin() {
    const random = network.generator(state.seed);
    film = {
      random,
      light: random.normals(2),
      noise: random.normals(SIDE * SIDE),
      count: 0,
      traces: [],
      last: undefined, // along the two images, of the last frame
      products: [0, 0],
      squares: [0, 0],
    };
    see();
  }

  // what the frame of now adds to the means over pairs of frames
  function see() {
    const along = IMAGES.map((image, a) => image.reduce((sum, value, i) => sum + value * pixel(i), 0));
    if (film.last) {
      film.count++;
      along.forEach((value, a) => {
        film.products[a] += film.last[a] * value;
        film.squares[a] += film.last[a] ** 2;
      });
    }
    film.last = along;
    film.traces.push([...film.light]);
    if (film.traces.length > KEPT) film.traces.shift();
  }

  const pixel = (i) => {
    const a = REGION[i];
    return film.light[a] * IMAGES[a][i] + [state.s1, state.s2][a] * film.noise[i];
  };

  function next() {
    const [shock, noise] = [film.random.normals(2), film.random.normals(SIDE * SIDE)];
    const on = (last, gamma, fresh) => gamma * last + Math.sqrt(1 - gamma ** 2) * fresh;
    film.light = film.light.map((value, a) => on(value, [state.g1, state.g2][a], shock[a]));
    film.noise = film.noise.map((value, i) => on(value, REGION[i] ? state.slow : 0, noise[i]));
    see();
  }

  // --- drawing ------------------------------------------------------------------------------------------

  function drawScreen() {
    const svg = part("screen");
    if (!svg.childElementCount) {
      REGION.forEach((_, i) => svg.append(plot.node("rect", { x: 10 * (i % SIDE), y: 10 * Math.floor(i / SIDE), width: 10, height: 10 })));
    }
    [...svg.children].forEach((square, i) => plot.paint(square, plot.diverging(pixel(i) / 1.5)));
  }

  function drawLights() {
    const first = film.count - film.traces.length + 1;
    const panel = plot.panel(part("lights"), {
      height: 200,
      margins: { bottom: 38 },
      x: plot.linear(Math.max(0, first), Math.max(0, first) + KEPT, 5),
      y: plot.linear(-3.2, 3.2, 4),
      title: "the lights",
      xLabel: "frame",
    });
    [0, 1].forEach((a) => {
      const points = film.traces.map((both, k) => [Math.max(0, first) + k, both[a]]);
      panel.curve(points, INKS[a], a ? "MAE" : "");
      panel.label(points.at(-1)[0], points.at(-1)[1], ["disc", "U"][a]);
    });
  }

  function show() {
    drawScreen();
    drawLights();
    tabulate();
    part("progress").textContent = `${shown(film.count, 9)} pairs of frames seen`;
  }

  function tabulate() {
    const all = featuresOf();
    const cell = (value, digits = 4) =>
      element("td", Number.isFinite(value) ? element("data", shown(value, digits), { value }) : "–");
    const times = BOTH.map((objective) => courses.of(objective, all, { L: state.L, eps: state.c ** state.L, p: HALF }));
    const rows = all.map((feature, a) => {
      const seen = a < 2 && film.count ? [film.products[a] / film.count, film.products[a] / film.squares[a]] : [NaN, NaN];
      return element("tr", [
        element("th", feature.name, { scope: "row" }),
        cell(feature.lam),
        cell(seen[0], 3),
        cell(feature.rho),
        cell(seen[1], 3),
        ...times.map((one) => (one[a].fate === "learned" ? cell(one[a].exact) : element("td", "never"))),
      ]);
    });
    const heads = ["feature", "λ", "seen", "ρ", "seen", "JEPA, t*", "MAE, t*"];
    part("table").replaceChildren(
      element("caption", "What the film teaches"),
      element("thead", element("tr", heads.map((head) => element("th", head, { scope: "col" })))),
      element("tbody", rows),
    );
    return times;
  }

  function write(times) {
    const told = BOTH.map((objective, n) => {
      const sorted = courses.learned(times[n]);
      if (!sorted.length) return `${objective.name} learns nothing of it.`;
      const lost = times[n].filter(({ fate }) => fate !== "learned").map(({ name }) => name);
      const never = lost.length ? `, and never the ${numbers.listed(lost)}` : "";
      return `${objective.name} learns the ${sorted.map(({ name }) => name).join(", then the ")}${never}.`;
    });
    const slow = courses.learned(times[0])[0]?.name === "slow noise" ? ["Slow noise is predictable, and JEPA does not know it from an image."] : [];
    picture.tell([...told, ...slow]);
  }

  // --- running ------------------------------------------------------------------------------------------

  let timer;
  function stop() {
    clearInterval(timer);
    timer = undefined;
    part("play").textContent = "▶ Play";
  }

  part("play").addEventListener("click", () => {
    if (timer) return stop();
    part("play").textContent = "❚❚ Pause";
    timer = setInterval(() => (next(), show()), 1000 / SECOND);
  });
  part("step").addEventListener("click", () => (stop(), next(), show()));
  part("many").addEventListener("click", () => {
    stop();
    for (let n = 0; n < 10_000; n++) next();
    show();
  });

  const connected = picture.connectAll(Object.keys(SETTINGS));

  function render(active) {
    stop();
    connected.forEach((update) => update(active));
    begin();
    show();
    write(tabulate());
  }

  picture.open();
})();
