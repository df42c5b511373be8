// The explorer: features of the reader's choice under both objectives. Its state lives in the address,
// its numbers come from theory.js. Nothing is loaded and nothing is sent.
"use strict";

(() => {
  const { JEPA, MAE, BOTH } = theory;
  const { shown, percent, signedPercent, listed } = numbers;
  const { element } = plot;
  const MOST = 8;
  const NEAR = 1 / 3; // of the way is gone at the start: said of a feature that is ahead of another

  const find = (id) => document.getElementById(`explorer-${id}`);

  // --- the state and its form in the address -----------------------------------------------------

  const SETTINGS = {
    L: controls.number("L", 1, 12, { whole: true }),
    eps: controls.number("ε", 1e-6, 0.3, { logarithmic: true }),
    f: features.setting(MOST, 2),
    p: controls.number("p", 0.01, 0.99),
    scale: controls.choice("scale", "linear", "log"),
    show: controls.choice("show", "size", "share"),
    clock: controls.choice("clock", "own", "common"),
  };
  const picture = controls.picture(
    document.getElementById("live-explorer"),
    SETTINGS,
    "L=5&eps=0.01&f=1:1,1.2:0.6&p=0.5&scale=linear&show=size&clock=own",
    render,
  );
  const { state, say, changed } = picture;

  const { letter, called } = features;
  const capital = (text) => text[0].toUpperCase() + text.slice(1);

  // --- words -------------------------------------------------------------------------------------

  const { learned, together, spread } = courses;

  function along(sorted) {
    const falls = (key) =>
      sorted[0][key] > sorted.at(-1)[key] &&
      sorted.every((item, i) => i === 0 || item[key] <= sorted[i - 1][key]);
    const keys = ["lam", "rho"].filter(falls).map((key) => SETTINGS.f.numbers[key].symbol);
    return keys.length ? `, in the order of ${listed(keys)}` : "";
  }

  const COUNTS = ["both", "all three", "all four", "all five", "all six", "all seven", "all eight"];

  function ordered(objective, sorted) {
    const [first, ...others] = sorted;
    const last = others.pop();
    if (!first) return "";
    const at = `at t = ${shown(first.exact)}`;
    if (!last) return `${objective.name} learns ${called(first)}, ${at}.`;
    if (together(sorted)) {
      const who = `${objective.name} learns ${COUNTS[sorted.length - 2]}`;
      if (spread(sorted) < 1e-12) return `${who} at the same time, ${at.slice(3)}.`;
      return `${who} within ${percent(spread(sorted))} of one time: first ${letter(first)}, last ${letter(last)}, ${at}.`;
    }
    const start = `${objective.name} learns ${called(first)} first, ${at}`;
    const middle = others.length ? ` then ${others.map(letter).join(", ")},` : "";
    const end = others.length ? ` and ${letter(last)} last` : ` then ${letter(last)}`;
    return `${start},${middle}${end}, at t = ${shown(last.exact)}${along(sorted)}.`;
  }

  // Why features may be ahead of another that are neither strong nor clean.
  function headStart(sorted) {
    if (together(sorted)) return "";
    return sorted
      .slice(0, -1)
      .filter(({ points }) => points[0].share >= NEAR * state.p)
      .map((item) => `${capital(called(item))} has little way to go: it starts at ${percent(item.points[0].share)} of its final size.`)
      .join(" ");
  }

  function others(objective, all) {
    const half = state.p === 0.5 ? "half" : `${shown(100 * state.p)} %`;
    const fates = {
      beyond: ["starts", "start", `beyond ${half} of the final size`],
      shrinks: ["shrinks", "shrink", "from a start above the final size"],
    };
    return Object.entries(fates)
      .map(([fate, [one, many, how]]) => {
        const found = all.filter((item) => item.fate === fate);
        if (!found.length) return "";
        const who = found.length > 1 ? `features ${listed(found.map(letter))} ${many}` : `${called(found[0])} ${one}`;
        return `Under ${objective.name} ${who} ${how}.`;
      })
      .join(" ");
  }

  // What one objective never learns and the other does.
  function lost(jepa, mae) {
    const gone = mae.filter((item, i) => item.fate !== "shrinks" && jepa[i].fate === "shrinks");
    if (!gone.length) return "";
    const who = gone.length > 1 ? `features ${listed(gone.map(letter))}` : called(gone[0]);
    const [first] = learned(mae);
    if (first && gone.includes(first)) {
      const rest = gone.length > 1 ? `, and neither ${listed(gone.filter((one) => one !== first).map(letter))}` : "";
      return `What MAE learns first, ${called(first)}, JEPA never learns${rest}.`;
    }
    return `JEPA never learns ${who}; MAE does.`;
  }

  // Over the pairs of features that both objectives learn: how many in different order?
  function comparison(jepa, mae) {
    const both = jepa.filter(({ fate }, i) => fate === "learned" && mae[i].fate === "learned").map(({ index }) => index);
    if (both.length < 2) return "";
    const only = (all) => learned(all).filter(({ index }) => both.includes(index));
    const tied = [jepa, mae].map((all) => together(only(all)));
    if (tied[0] && tied[1]) return "Neither tells them apart.";
    if (tied[0] || tied[1]) return `Only ${tied[0] ? "MAE" : "JEPA"} tells them apart.`;
    const pairs = both.flatMap((i, n) => both.slice(n + 1).map((j) => [i, j]));
    const inverted = pairs.filter(
      ([i, j]) => (jepa[i].exact - jepa[j].exact) * (mae[i].exact - mae[j].exact) < 0,
    ).length;
    if (!inverted) return "Both learn in the same order.";
    if (inverted === pairs.length) return "The two orders are opposite.";
    return `The two orders differ in ${inverted} of ${pairs.length} pairs of features.`;
  }

  function sentences(all) {
    const told = BOTH.map((objective, n) => {
      const sorted = learned(all[n]);
      return [ordered(objective, sorted), headStart(sorted), others(objective, all[n])].filter(Boolean).join(" ");
    });
    return { told, verdict: [lost(...all), comparison(...all)].filter(Boolean).join(" ") };
  }

  function write({ told, verdict }) {
    const lines = told.filter(Boolean);
    picture.tell(verdict ? [...lines, verdict] : lines, verdict ? lines.length : undefined);
  }

  // --- drawing -----------------------------------------------------------------------------------

  const shadeOf = (objective, item) => plot.nth(objective.name, item.index, state.f.length);
  const heightOf = (item, share) => (state.show === "share" ? share : share * item.size);
  const formula = (objective) => (objective === JEPA ? "(12)" : state.L > 1 ? "(13)" : "(121)");

  function timeAxis(all, high) {
    if (state.scale === "linear") return plot.linear(0, high);
    const first = Math.min(...all.map(({ exact, fate }) => (fate === "learned" ? exact : high)));
    return plot.logarithmic(Math.max(first / 30, high * 1e-6), high);
  }

  function draw(objective, all, others, told) {
    const height = plot.narrow.matches ? 190 : 268;
    const share = state.show === "share";
    const tallest = Math.max(
      ...all.map((item) => {
        const start = heightOf(item, item.points[0].share);
        return Math.max(heightOf(item, 1), share ? Math.min(start, 2) : start);
      }),
    );
    const common = state.clock === "common";
    const high = common ? Math.max(courses.horizon(all), courses.horizon(others)) : courses.horizon(all);
    const svg = find(objective.name);
    const panel = plot.panel(svg, {
      height,
      margins: { bottom: 65 },
      x: timeAxis(common ? [...all, ...others] : all, high),
      y: plot.linear(0, 1.09 * tallest, plot.narrow.matches ? 4 : 6),
      title: objective.name,
      name: objective.name,
      yLabel: share ? "share of the final size, w / w(∞)" : "size in the encoder, w",
      xLabel: "training time t",
    });
    [...all].reverse().forEach((item) => {
      const end = { t: 1e99, share: item.points.at(-1).share };
      const points = [...item.points, end].map(({ t, share: part }) => [
        Math.min(t, 9 * high),
        Math.min(heightOf(item, part), 3 * tallest),
      ]);
      panel.curve(points, shadeOf(objective, item));
    });
    // below the axis: filled for the exact time, hollow for the paper's formula
    const { left, bottom } = panel.area;
    panel.text("lane", left - 5, bottom + 15, "exact");
    panel.text("lane", left - 5, bottom + 28, formula(objective));
    const sorted = all
      .map((item) => ({ item, at: heightOf(item, item.fate === "learned" ? state.p : Math.min(item.points[0].share, 2)) }))
      .sort((a, b) => a.at - b.at);
    for (const { item, at } of sorted.filter(({ item: one }) => one.fate === "learned")) {
      panel.dot(item.exact, at, shadeOf(objective, item));
      panel.mark(item.exact, bottom + 11, shadeOf(objective, item), "exact");
      panel.mark(item.paper, bottom + 24, shadeOf(objective, item), "paper");
    }
    for (const { item, at } of sorted) {
      panel.label(item.fate === "learned" ? item.exact : panel.x.low, Math.min(at, tallest), item.name || item.index + 1);
    }
    svg.setAttribute("aria-label", `${objective.name}: size over training time. ${told}`);
    return panel;
  }

  // --- values under the pointer ------------------------------------------------------------------

  let drawn = []; // the panel and the courses of each objective
  let pointed; // the objective and the time

  function point() {
    for (const { panel } of drawn) panel.lines?.forEach((one) => one.remove());
    find("values").replaceChildren(
      ...BOTH.flatMap((objective, n) => {
        if (!pointed || (pointed.objective !== objective && state.clock === "own")) return [];
        const { panel, all } = drawn[n];
        const { t } = pointed;
        const at = panel.px(t);
        panel.lines = [panel.line("cursor", at, panel.area.top, at, panel.area.bottom)];
        const values = all.flatMap((item, i) => {
          const value = heightOf(item, courses.shareAt(objective, item, state, t));
          return [`${i ? ", " : ""}${called(item)} `, element("data", shown(value), { value })];
        });
        return [element("p", [`${objective.name} at t = ${shown(t)}: `, ...values, "."], { "data-t": t })];
      }),
    );
  }

  BOTH.forEach((objective, n) =>
    plot.follow(find(objective.name), () => drawn[n].panel, (t) => {
      pointed = t === undefined ? undefined : { objective, t };
      point();
    }),
  );

  // --- tables ------------------------------------------------------------------------------------

  function tabulate(objective, all) {
    const cell = (value, exact, text = shown(value, 5, true)) => {
      const wide = [element("data", text, { value })];
      if (exact) wide.push(element("small", signedPercent(value / exact - 1)));
      return element("td", wide);
    };
    const rows = all.map((item) => {
      const times =
        item.fate === "learned"
          ? [cell(item.exact), cell(item.paper, item.exact), cell(item.complete, item.exact)]
          : [element("td", item.fate === "beyond" ? "at the start" : "never: shrinks", { colspan: 3 })];
      const swatch = element("span", "", { class: `live-swatch ${objective.name}` });
      plot.paint(swatch, shadeOf(objective, item));
      return element("tr", [
        element("th", [swatch, item.name || `${item.index + 1}`], { scope: "row" }),
        cell(item.size, undefined, shown(item.size)),
        ...times,
      ]);
    });
    const heads = ["feature", "w(∞)", "t* exact", `by ${formula(objective)}`, "expansion"];
    find(`times-${objective.name}`).replaceChildren(
      element("caption", `${objective.name}: final sizes and critical times`),
      element("thead", element("tr", heads.map((head) => element("th", head, { scope: "col" })))),
      element("tbody", rows),
    );
  }

  // --- controls ----------------------------------------------------------------------------------

  const shared = picture.connectAll(["L", "eps", "p"]);

  const rows = features.rows(picture, SETTINGS.f, find("features"), find("add"));

  const SWITCHES = { log: ["scale", "linear", "log"], share: ["show", "size", "share"], clock: ["clock", "own", "common"] };
  for (const [id, [name, off, on]] of Object.entries(SWITCHES)) {
    find(id).addEventListener("change", ({ target }) => {
      state[name] = target.checked ? on : off;
      changed();
    });
  }

  // --- to take away ------------------------------------------------------------------------------

  // a spreadsheet would take a name that begins like a formula for one
  const quoted = (name) => `"${(/^[=+\-@]/.test(name) ? `'${name}` : name).replaceAll('"', '""')}"`;

  const table = () =>
    [
      "objective,feature,name,lam,rho,depth,epsilon,t,w",
      ...BOTH.flatMap((objective, n) =>
        drawn[n].all.flatMap((item) =>
          item.points.map(({ t, share }) =>
            [objective.name, item.index + 1, quoted(item.name), item.lam, item.rho, state.L, state.eps, t, share * item.size].join(","),
          ),
        ),
      ),
      "",
    ].join("\n");

  function lines() {
    const call = (objective, all) => {
      const found = all.filter(({ fate }) => fate === "learned");
      const values = (key) => `[${found.map((item) => item[key]).join(", ")}]`;
      const name = objective.name.toLowerCase();
      if (!found.length) return `${name} = []  # no feature is learned`;
      const known = `lam=${values("lam")}, rho=${values("rho")}, depth=${state.L}, epsilon=${state.eps}, fraction=${state.p}`;
      return `${name} = critical_time.exact(${objective.name}, ${known})`;
    };
    return ["from jepabook import JEPA, MAE, critical_time", ...BOTH.map((one, n) => call(one, drawn[n].all))].join("\n");
  }

  find("copy").addEventListener("click", async () => {
    picture.save();
    say(await controls.copied(location.href, "The link is copied."));
  });
  find("svg").addEventListener("click", () => {
    const paper = getComputedStyle(document.body).backgroundColor;
    const drawing = plot.standalone(BOTH.map(({ name }) => find(name)), paper);
    plot.download("explorer.svg", "image/svg+xml", drawing);
  });
  find("csv").addEventListener("click", () => plot.download("explorer.csv", "text/csv", table()));
  find("python").addEventListener("click", async () => {
    find("lines").textContent = lines();
    find("lines").hidden = false;
    say(await controls.copied(lines(), "Copied: the times of the table, from the book's package."));
  });

  // --- from the state to the page ----------------------------------------------------------------

  function render(active) {
    shared.forEach((update) => update(active));
    rows(active);
    find("gain").textContent = shown(state.eps ** (1 / state.L), 3);
    for (const [id, [name, , on]] of Object.entries(SWITCHES)) find(id).checked = state[name] === on;
    const all = BOTH.map((objective) => courses.of(objective, state.f, state));
    const words = sentences(all);
    drawn = BOTH.map((objective, n) => ({
      panel: draw(objective, all[n], all[1 - n], words.told[n]),
      all: all[n],
    }));
    BOTH.forEach((objective, n) => tabulate(objective, all[n]));
    find("lines").hidden = true;
    point();
    write(words);
  }

  picture.open();
})();
