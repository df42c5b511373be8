// The race on the landing page: a clean and a noisy feature under both objectives, chapter 1's pair.
"use strict";

(() => {
  const { JEPA, MAE, BOTH } = theory;
  const { decimals } = numbers;
  const NAMES = ["clean", "noisy"];
  const DEPTH = 5;
  const HALF = 0.5; // of the final size: a feature is learned
  const SECONDS = 7;
  const SIGNAL = 1.2; // covariance of the noisy feature, and its variance without the noise
  const FINISH = 1.12; // of the vertical axis
  const SETTINGS = {
    noise: controls.number("noise", 0, 3),
    eps: controls.number("ε", 1e-6, 0.1, { logarithmic: true }),
    at: controls.number("at", 0, 1),
    bet: controls.choice("bet", "none", "clean", "noisy"),
  };
  const root = document.getElementById("live-race");
  const part = controls.parts(root);
  const picture = controls.picture(root, SETTINGS, "noise=0.8&eps=0.01&at=0&bet=none", render);
  const { state } = picture;

  // --- the race ------------------------------------------------------------------------------------

  const features = () => [
    { lam: 1, rho: 1 },
    { lam: SIGNAL, rho: SIGNAL / (SIGNAL + state.noise) },
  ];

  let races = []; // of each objective: features' courses, horizon, the winner's name and time

  function run() {
    const view = { L: DEPTH, eps: state.eps, p: HALF };
    races = BOTH.map((objective) => {
      const all = courses.of(objective, features(), view);
      const sorted = courses.learned(all);
      const early = all.find(({ fate }) => fate === "beyond");
      const winner = early ?? sorted[0];
      const tied = !early && courses.together(sorted);
      return { objective, view, all, winner, tied, horizon: courses.horizon(all), first: winner?.exact ?? 0 };
    });
  }

  const decided = () => races.every(({ horizon, first }) => state.at * horizon >= Math.max(first, 0));

  // --- drawing -------------------------------------------------------------------------------------

  const shadeOf = (objective, index) => plot.shade(objective.name, index ? 0.25 : 0.85);
  let panels = [];

  function drawTracks() {
    panels = races.map(({ objective, all, horizon }) => {
      const panel = plot.panel(part(objective.name), {
        height: plot.narrow.matches ? 170 : 230,
        margins: { bottom: 38 },
        x: plot.linear(0, horizon, 5),
        y: plot.linear(0, FINISH, 4),
        title: objective.name,
        name: objective.name,
        xLabel: "training time",
        yLabel: "share of its final size",
      });
      panel.line("finish", panel.area.left, panel.py(HALF), panel.area.right, panel.py(HALF));
      panel.text("lane", panel.area.right, panel.py(HALF) - 4, "learned");
      [...all].reverse().forEach((item) => {
        const end = { t: 1e99, share: item.points.at(-1).share };
        const points = [...item.points, end].map(({ t, share }) => [Math.min(t, 2 * horizon), Math.min(share, 3)]);
        panel.curve(points, shadeOf(objective, item.index));
      });
      const runners = [...all].reverse().map((item) => {
        const dot = panel.dot(0, 0, shadeOf(objective, item.index), "exact", 4.5);
        return { dot, name: panel.text("name middle", 0, 0, NAMES[item.index]) };
      }).reverse(); // the clean one on top
      return { panel, runners };
    });
  }

  // Curves up to the moment, and the runners at it.
  function place() {
    races.forEach(({ objective, view, all, horizon }, n) => {
      const { panel, runners } = panels[n];
      const t = state.at * horizon;
      panel.reveal(t);
      const heights = all.map((item) => Math.min(FINISH, courses.shareAt(objective, item, view, t)));
      runners.forEach(({ dot, name }, i) => {
        const [x, y] = [panel.px(t), panel.py(heights[i])];
        dot.setAttribute("cx", x.toFixed(2));
        dot.setAttribute("cy", y.toFixed(2));
        const above = heights[i] > heights[1 - i] || (heights[i] === heights[1 - i] && i === 0);
        const near = Math.abs(panel.py(heights[0]) - panel.py(heights[1])) < 26;
        const right = x < panel.area.left + 46;
        name.setAttribute("x", (right ? x + 27 : x - 27).toFixed(2));
        name.setAttribute("y", (y + (near ? (above ? -8 : 14) : 4)).toFixed(2));
        dot.dataset.share = heights[i];
      });
    });
  }

  // push, brake and what is left, of the two features
  const metres = (objective) =>
    features().map((feature) => {
      const { push, brake, through } = theory.firstMetre(objective, feature, DEPTH, state.eps);
      return { push, brake, through, left: push - brake };
    });

  const sum = ({ push, brake, left }) =>
    `${decimals(push, 2)} − ${decimals(brake, 2)} = ${decimals(left, 2)}`;

  function drawWhy() {
    for (const objective of BOTH) {
      const svg = part(`why-${objective.name}`);
      const [left, long] = [50, 180];
      svg.replaceChildren();
      const all = metres(objective);
      const scale = long / SIGNAL;
      const through = decimals(all[0].through, objective === JEPA ? 2 : 3);
      const head = objective === JEPA ? "one layer" : "the whole stack";
      const text = (kind, x, y, content) => svg.append(plot.node("text", { class: kind, x, y }, content));
      text("title", 4, 14, `push − brake of ${head}, ${through} σ²`);
      all.forEach((one, i) => {
        const y = 26 + 24 * i;
        text("lane", left - 6, y + 13, NAMES[i]);
        const bar = (from, to, kind) => {
          const [x, width] = [left + scale * from, Math.max(0, scale * (to - from))];
          const rect = plot.node("rect", { class: kind, x, y, width, height: 17 });
          svg.append(plot.paint(rect, shadeOf(objective, i)));
        };
        const rest = Math.max(0, Math.min(one.left, one.push));
        bar(0, rest, "left");
        bar(rest, one.push, "brake");
        text("sum", left + long + 8, y + 13, sum(one));
      });
      svg.setAttribute("aria-label", `${objective.name}, at the start: ${NAMES.map((name, i) => `${name} ${sum(all[i])}`).join("; ")}.`);
    }
  }

  // --- words ---------------------------------------------------------------------------------------

  function told() {
    const [jepa, mae] = races;
    if (!decided()) {
      return state.bet === "none"
        ? ["Place a bet, and training begins. A feature counts as learned at half of its final size."]
        : [`You bet on the ${state.bet} one. Training runs.`];
    }
    const first = ({ objective, tied, winner, all }) => {
      if (tied) return `${objective.name} learns both at one time, within a per cent`;
      const other = all[1 - winner.index];
      const gone = other.fate === "shrinks" ? `, and never the ${NAMES[other.index]} one: it shrinks` : "";
      return `${objective.name} learns the ${NAMES[winner.index]} feature first${gone}`;
    };
    const won = jepa.tied ? "none" : NAMES[jepa.winner.index];
    const verdict =
      state.bet === "none" || jepa.tied ? "" : state.bet === won ? "Your bet was right. " : "Not what you bet on. ";
    const same = !jepa.tied && !mae.tied && jepa.winner.index === mae.winner.index;
    const lines = [`${verdict}${first(jepa)}; ${same ? "so does MAE" : first(mae)}.`];
    const [j, m] = BOTH.map(metres);
    const why = `In the first metre JEPA moves the clean feature by ${decimals(j[0].left, 2)} and the noisy one by ${decimals(j[1].left, 2)}; MAE by ${decimals(m[0].left, 2)} and ${decimals(m[1].left, 2)}.`;
    lines.push(why);
    const overtaken = races
      .filter(({ tied, winner }, n) => !tied && winner && [j, m][n][winner.index].left < [j, m][n][1 - winner.index].left)
      .map(({ objective }) => objective.name);
    if (jepa.winner?.fate === "beyond") {
      lines.push(`The ${won} feature has little way to go: it starts beyond half of its small final size.`);
    } else if (overtaken.length) {
      lines.push(`Close to a tie the rest of the way decides: in ${numbers.listed(overtaken)} the one that starts ahead arrives second.`);
    } else if (won === "clean") {
      lines.push("Now let the noisy one win: take noise away, or start smaller.");
    } else if (won === "noisy") {
      lines.push(
        state.noise < 0.2
          ? "With little noise there is little to brake: the stronger feature wins. Add noise."
          : "So small a start feels no brake, and the stronger feature wins. Start larger, or add noise.",
      );
    }
    return lines;
  }

  function write() {
    const lines = told();
    picture.tell(lines, 0);
    part("why").dataset.told = decided() ? "yes" : "no";
    BOTH.forEach((objective) =>
      part(objective.name).setAttribute("aria-label", `${objective.name}: share of the final size over training time. ${decided() ? lines[0] : ""}`),
    );
  }

  // --- controls ------------------------------------------------------------------------------------

  let wasDecided;
  function move(at) {
    state.at = Number(Math.min(1, Math.max(0, at)).toPrecision(4));
    part("scrub").value = state.at;
    part("scrub").setAttribute("aria-valuetext", `${Math.round(100 * state.at)} %`);
    place();
    if (decided() !== wasDecided) {
      wasDecided = decided();
      write();
    }
  }

  let frame;
  function pause() {
    cancelAnimationFrame(frame);
    frame = undefined;
    picture.saveSoon();
    rest();
  }

  const rest = () => (part("play").textContent = state.at < 1 ? "▶ Play" : "↺ Again");

  function play() {
    if (frame) return pause();
    if (controls.still()) {
      move(1);
      return pause();
    }
    let from = state.at < 1 ? state.at : 0;
    let since;
    part("play").textContent = "❚❚ Pause";
    const step = (now) => {
      since ??= now;
      move(from + (now - since) / (1000 * SECONDS));
      if (state.at >= 1) return pause();
      frame = requestAnimationFrame(step);
    };
    frame = requestAnimationFrame(step);
  }

  part("play").addEventListener("click", play);
  part("scrub").addEventListener("input", ({ target }) => {
    if (frame) pause();
    move(Number(target.value));
    pause();
  });
  for (const button of root.querySelectorAll("[data-bet]")) {
    button.addEventListener("click", () => {
      if (frame) pause();
      state.bet = button.dataset.bet;
      state.at = 0;
      render();
      play();
    });
  }

  // whoever moves a slider wants to see the end
  const connected = ["noise", "eps"].map((name) =>
    picture.connect(
      root.querySelector(`[data-name=${name}]`),
      SETTINGS[name],
      () => state[name],
      (value) => {
        cancelAnimationFrame(frame);
        frame = undefined;
        Object.assign(state, { [name]: value, at: 1 });
      },
    ),
  );

  function render(active) {
    run();
    drawTracks();
    drawWhy();
    connected.forEach((update) => update(active));
    for (const button of root.querySelectorAll("[data-bet]")) {
      button.setAttribute("aria-pressed", button.dataset.bet === state.bet);
    }
    wasDecided = undefined;
    move(state.at);
    if (!frame) rest();
  }

  picture.open();
})();
