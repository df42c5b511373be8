// Who goes first: the plane of two features' ratios, cut by the boundaries of both objectives, with a
// pair to drag and its curves.
"use strict";

(() => {
  const { JEPA, MAE, BOTH } = theory;
  const { shown } = numbers;
  const NAMES = ["clean", "noisy"];
  const HALF = 0.5; // of the final size: a feature is learned
  const [LEFT, RIGHT, LOW, HIGH] = [0.2, 1, 0.6, 4];
  const CHAPTER_1 = [0.6, 1.2];
  const COLUMNS = 160;
  const SETTINGS = {
    L: controls.number("L", 1, 12, { whole: true }),
    eps: controls.number("ε", 1e-12, 0.2, { logarithmic: true }),
    x: controls.number("ρ′/ρ", LEFT, RIGHT),
    y: controls.number("λ′/λ", LOW, HIGH, { logarithmic: true }),
  };
  const root = document.getElementById("live-plane");
  const part = controls.parts(root);
  const picture = controls.picture(root, SETTINGS, "L=5&eps=0.01&x=0.6&y=1.2", render);
  const { state } = picture;

  const gain = () => state.eps ** (1 / state.L);
  // NaN where a feature starts above its final size, negative where one starts beyond half of it
  const boundary = (objective, x) => theory.boundary(objective, 1, x, state.L, state.eps, HALF);
  const held = (y) => Math.min(2 * HIGH, Math.max(LOW / 2, y));

  // --- the plane -----------------------------------------------------------------------------------

  let plane;
  function drawPlane() {
    const narrow = plot.narrow.matches;
    plane = plot.panel(part("plane"), {
      width: narrow ? 360 : 600,
      height: narrow ? 300 : 360,
      x: plot.linear(LEFT, RIGHT, narrow ? 5 : 8),
      y: plot.logarithmic(LOW, HIGH, [0.6, 1, 2, 3, 4]),
      xLabel: "ρ′/ρ: how predictable the noisy feature is",
      yLabel: "λ′/λ: how strong it is",
    });
    // from where the noisy feature starts below half of its final size under both
    const from = Math.max(LEFT, ...BOTH.map((objective) => leastRho(objective, HALF) * 1.0001));
    const columns = Array.from({ length: COLUMNS + 1 }, (_, n) => from + ((RIGHT - from) * n) / COLUMNS);
    const edges = from < RIGHT ? columns.map((x) => [x, ...BOTH.map((one) => held(boundary(one, x)))]) : [];
    const between = (pick) => [
      ...edges.map(([x, jepa, mae]) => [x, pick(jepa, mae)]),
      ...edges.map(([x, , mae]) => [x, mae]).reverse(),
    ];
    if (edges.length) {
      plane.region(between(Math.max), plot.COLOURS.JEPA, "conflict");
      plane.region(between(Math.min), plot.COLOURS.MAE, "reversed");
      plane.curve(edges.map(([x, jepa]) => [x, jepa]), plot.COLOURS.JEPA);
      plane.curve(edges.map(([x, , mae]) => [x, mae]), plot.COLOURS.MAE, "MAE");
    }
    const never = leastRho(JEPA, 1);
    if (never > LEFT) {
      const end = Math.min(never, RIGHT);
      plane.region([[LEFT, LOW / 2], [end, LOW / 2], [end, 2 * HIGH], [LEFT, 2 * HIGH]], plot.GREY, "never");
      const room = plane.px(end) - plane.px(LEFT);
      if (room > 110) name((LEFT + end) / 2, 2.2, ["JEPA never learns", "the noisy one"]);
    }
    const c = gain();
    const metre = columns.filter((x) => x > 1.001 * c).map((x) => [x, held((1 - c) / (1 - c / x))]);
    if (c < 1 && metre.length > 1) plane.curve(metre, plot.GREY, "metre");
    nameRegions(edges, from);
    plane.dot(...CHAPTER_1, plot.GREY, "paper", 4);
    if (Math.hypot(plane.px(state.x) - plane.px(CHAPTER_1[0]), plane.py(state.y) - plane.py(CHAPTER_1[1])) > 30) {
      plane.label(...CHAPTER_1, "chapter 1");
    }
    const grip = plane.dot(state.x, state.y, plot.COLOURS[jepaFirst() === mayFirst() ? "JEPA" : "MAE"], "grip", 16);
    grip.dataset.part = "grip";
    plane.dot(state.x, state.y, [30, 30, 30], "exact", 6);
    plane.label(state.x, state.y, "your pair");
  }

  // the rho at which a feature starts at a share of its final size
  function leastRho(objective, share) {
    const full = state.eps / share;
    return objective === JEPA ? full ** (1 / state.L) : full ** ((state.L + 1) / state.L);
  }

  function name(x, y, lines) {
    lines.forEach((line, i) => plane.text("region-name middle", plane.px(x), plane.py(y) + 14 * i, line));
  }

  function nameRegions(edges, from) {
    if (!edges.length) return;
    // where the region is widest among the places that hold its name, clear of the pair
    const half = 62; // px, of the name
    const tall = (x) => {
      const [, jepa, mae] = edges.reduce((best, one) => (Math.abs(one[0] - x) < Math.abs(best[0] - x) ? one : best));
      return [plane.py(Math.min(jepa, HIGH)), plane.py(Math.max(mae, LOW))];
    };
    const ends = (x) => [-0.7 * half, 0, 0.7 * half].map((shift) => tall(plane.x.value((plane.px(x) + shift - plane.area.left) / (plane.area.right - plane.area.left))));
    const places = edges
      .filter(([x]) => plane.px(x) - half > plane.px(from) && plane.px(x) + half < plane.area.right)
      .map(([x]) => {
        const all = ends(x);
        const [top, bottom] = [Math.max(...all.map(([high]) => high)), Math.min(...all.map(([, low]) => low))];
        return { x, top, bottom, middle: (top + bottom) / 2 };
      })
      .filter(({ x, top, bottom, middle }) => {
        const [across, up] = [plane.px(x) - plane.px(state.x), middle - plane.py(state.y)];
        return bottom - top > 30 && (Math.abs(across) > half + 20 || Math.abs(up) > 36);
      })
      .sort((a, b) => b.bottom - b.top - (a.bottom - a.top));
    if (places.length) {
      const { x, middle } = places[0];
      ["in conflict:", "JEPA clean, MAE noisy"].forEach((line, i) =>
        plane.text("region-name middle", plane.px(x), middle - 3 + 14 * i, line),
      );
    }
    const right = RIGHT - (plot.narrow.matches ? 0.22 : 0.13);
    name(right, 2.6, ["both: the noisy one"]);
    name(right, 0.72, ["both: the clean one"]);
  }

  // --- the pair ------------------------------------------------------------------------------------

  let pair = []; // the courses of both features, for each objective

  function first(n) {
    const beyond = pair[n].find(({ fate }) => fate === "beyond");
    return (beyond ?? courses.learned(pair[n])[0])?.index;
  }
  const jepaFirst = () => first(0);
  const mayFirst = () => first(1);

  function drawPair() {
    BOTH.forEach((objective, n) => {
      const high = courses.horizon(pair[n]);
      const svg = part(objective.name);
      const panel = plot.panel(svg, {
        height: 190,
        margins: { bottom: 38 },
        x: plot.linear(0, high, 5),
        y: plot.linear(0, 1.12, 4),
        title: objective.name,
        name: objective.name,
        xLabel: "training time t",
        yLabel: "share of the final size",
      });
      [...pair[n]].reverse().forEach((item) => {
        const end = { t: 1e99, share: item.points.at(-1).share };
        const rgb = plot.shade(objective.name, item.index ? 0.25 : 0.85);
        panel.curve([...item.points, end].map(({ t, share }) => [Math.min(t, 9 * high), Math.min(share, 3)]), rgb);
        if (item.fate === "learned") panel.dot(item.exact, HALF, rgb);
      });
      for (const item of pair[n]) {
        const learned = item.fate === "learned";
        panel.label(learned ? item.exact : 0, learned ? HALF : Math.min(1, item.points[0].share), NAMES[item.index]);
      }
      svg.setAttribute("aria-label", `${objective.name}: the pair over training time. ${told(objective, n)}`);
    });
  }

  function told(objective, n) {
    const winner = first(n);
    const times = pair[n].map(({ exact, fate, index }) =>
      fate === "learned" ? `the ${NAMES[index]} one at t = ${shown(exact)}` : fate === "beyond" ? `the ${NAMES[index]} one from the start` : `never the ${NAMES[index]} one`,
    );
    return winner === undefined ? `${objective.name} learns neither.` : `${objective.name} learns ${times[winner]}, ${times[1 - winner]}.`;
  }

  function region() {
    const [jepa, mae] = [jepaFirst(), mayFirst()];
    if (pair[0][1].fate === "shrinks") return mae === 1 ? "What MAE learns first JEPA never learns." : "JEPA never learns the noisy one.";
    if (pair[0].concat(pair[1]).some(({ fate }) => fate === "beyond")) return "A feature starts beyond half of its final size, which counts as learned.";
    if (jepa === mae) return `In agreement: both learn the ${NAMES[jepa]} one first.`;
    return jepa === 0 ? "In conflict: JEPA learns the clean one first, MAE the noisy one." : "Reversed: the noisy one starts so near its small goal that JEPA learns it first, MAE the clean one.";
  }

  function write() {
    const { element } = plot;
    const edges = BOTH.map((objective) => [objective, boundary(objective, state.x)]).filter(([, r]) => r > 0);
    const value = ([objective, r]) => [
      element("data", shown(r), { value: r, "data-objective": objective.name }),
      ` in ${objective.name}`,
    ];
    const ties = edges.flatMap((edge, i) => [i ? " and " : "", ...value(edge)]);
    const start = `One layer starts at ${shown(gain(), 3)}.`;
    const tied = ties.length ? ["At this ρ′/ρ the two tie at λ′/λ = ", ...ties, `. ${start}`] : start;
    picture.tell([region(), BOTH.map(told).join(" "), tied], 0);
    part("plane").setAttribute("aria-label", `The plane of ρ′/ρ and λ′/λ at L = ${state.L}, ε = ${shown(state.eps)}. ${region()}`);
  }

  // --- controls ------------------------------------------------------------------------------------

  const connected = picture.connectAll(Object.keys(SETTINGS));

  // a finger takes the pair by its grip, a mouse anywhere; arrow keys move it, too
  function dragged({ clientX, clientY }) {
    const box = part("plane").getBoundingClientRect();
    const scale = plane.width / box.width;
    const { area, x, y } = plane;
    const across = ((clientX - box.left) * scale - area.left) / (area.right - area.left);
    const up = (area.bottom - (clientY - box.top) * scale) / (area.bottom - area.top);
    moveTo(x.value(across), y.value(up));
  }

  function moveTo(x, y) {
    const rounded = (value) => Number(value.toPrecision(3));
    state.x = Math.min(RIGHT, Math.max(LEFT, rounded(x)));
    state.y = Math.min(HIGH, Math.max(LOW, rounded(y)));
    picture.changed();
  }

  let taken = false;
  part("plane").addEventListener("pointerdown", (event) => {
    taken = event.pointerType === "mouse" || event.target.dataset.part === "grip";
    if (taken) event.preventDefault();
    // what is taken is drawn anew under the finger, the plane stays
    if (taken) part("plane").setPointerCapture(event.pointerId);
    part("plane").focus({ preventScroll: true });
    if (event.pointerType === "mouse") dragged(event);
  });
  part("plane").addEventListener("click", dragged); // a tap; a finger that scrolls makes none
  window.addEventListener("pointermove", (event) => taken && dragged(event));
  window.addEventListener("pointerup", () => (taken = false));
  window.addEventListener("pointercancel", () => (taken = false));
  // elsewhere a finger scrolls the page
  const kept = (event) => event.target.dataset.part === "grip" && event.preventDefault();
  part("plane").addEventListener("touchstart", kept, { passive: false });
  part("plane").addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [-0.01, 1], ArrowRight: [0.01, 1], ArrowUp: [0, 1.02], ArrowDown: [0, 1 / 1.02] };
    if (!(event.key in steps)) return;
    event.preventDefault();
    const [add, times] = steps[event.key];
    moveTo(state.x + add, state.y * times);
  });
  part("plane").tabIndex = 0;

  function render(active) {
    connected.forEach((update) => update(active));
    const features = [{ lam: 1, rho: 1 }, { lam: state.y, rho: state.x }];
    pair = BOTH.map((objective) => courses.of(objective, features, { L: state.L, eps: state.eps, p: HALF }));
    drawPlane();
    drawPair();
    write();
  }

  picture.open();
})();
