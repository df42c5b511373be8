// The explorer's page: its state lives in the address, its numbers come from theory.js, and it draws
// them as SVG. Nothing is loaded and nothing is sent.
"use strict";

(() => {
  const { JEPA, MAE } = theory;
  const OBJECTIVES = [JEPA, MAE];
  const COLOURS = { JEPA: [11, 95, 165], MAE: [193, 68, 14] }; // jepabook/figures.py
  const LIMITS = { L: [1, 12], eps: [1e-6, 0.3], p: [0.01, 0.99], lam: [0.05, 5], rho: [0.05, 2] };
  const SYMBOLS = { L: "L", eps: "ε", p: "p", lam: "λ", rho: "ρ" };
  const LOGARITHMIC = new Set(["eps", "lam"]);
  const FEWEST = 2;
  const MOST = 5;
  const DEFAULT = "L=5&eps=0.01&f=1:1,1.2:0.6&p=0.5&scale=linear&show=size";
  const NEARLY = 0.01; // times within one per cent of each other count as one

  const find = (id) => document.getElementById(`explorer-${id}`);

  // --- the state and its form in the address -----------------------------------------------------

  function allowed(name, value) {
    const [low, high] = LIMITS[name];
    return value >= low && value <= high && (name !== "L" || Number.isInteger(value));
  }

  function number(name, text) {
    const value = text.trim() === "" ? NaN : Number(text);
    return allowed(name, value) ? value : undefined;
  }

  function features(text) {
    const list = text.split(",").map((pair) => pair.split(":"));
    if (list.length < FEWEST || list.length > MOST) return undefined;
    const read = list.map(([lam, rho = "", ...more]) =>
      more.length ? {} : { lam: number("lam", lam), rho: number("rho", rho) },
    );
    return read.every(({ lam, rho }) => lam && rho) ? read : undefined;
  }

  const among = (...choices) => (text) => (choices.includes(text) ? text : undefined);
  const READERS = {
    L: (text) => number("L", text),
    eps: (text) => number("eps", text),
    f: features,
    p: (text) => number("p", text),
    scale: among("linear", "log"),
    show: among("size", "share"),
  };

  // What a text like "L=5&eps=0.01" asks for; what it leaves out, or gets wrong, is the default's.
  function parse(text) {
    const given = new URLSearchParams(text);
    const defaults = new URLSearchParams(DEFAULT);
    const refused = [];
    const read = {};
    for (const [name, reader] of Object.entries(READERS)) {
      read[name] = given.has(name) ? reader(given.get(name)) : undefined;
      if (given.has(name) && read[name] === undefined) refused.push(name);
      read[name] ??= reader(defaults.get(name));
    }
    return { state: read, refused };
  }

  function format(view) {
    const pairs = view.f.map(({ lam, rho }) => `${lam}:${rho}`).join(",");
    const { L, eps, p, scale, show } = view;
    return `L=${L}&eps=${eps}&f=${pairs}&p=${p}&scale=${scale}&show=${show}`;
  }

  let { state } = parse(DEFAULT);

  // --- numbers as text ---------------------------------------------------------------------------

  const superscript = (n) => String(n).replace(/./g, (c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻");

  function shown(value, digits = 4, padded = false) {
    if (value === 0) return "0";
    if (value < 0) return `−${shown(-value, digits)}`;
    const [mantissa, exponent] = value.toExponential(digits - 1).split("e").map(Number);
    if (exponent > 5 || exponent < -3) return `${mantissa} × 10${superscript(exponent)}`;
    const rounded = Number(value.toPrecision(digits));
    const text = padded && exponent < digits ? value.toPrecision(digits) : String(rounded);
    const [whole, part] = text.split(".");
    const grouped = whole.length > 4 ? whole.replace(/\B(?=(\d{3})+$)/g, "\u202f") : whole;
    return part ? `${grouped}.${part}` : grouped;
  }

  function percent(ratio) {
    const size = Math.abs(ratio) * 100;
    if (size < 0.01) return "< 0.01 %";
    if (size > 1000) return "> 1000 %";
    return `${shown(size, size < 1 ? 1 : 2)} %`;
  }

  function signedPercent(ratio) {
    const text = percent(ratio);
    return text.startsWith("<") ? text : `${ratio < 0 ? "−" : "+"}${text.replace("> ", "")}`;
  }

  function listed(items) {
    const last = items.at(-1);
    return items.length > 1 ? `${items.slice(0, -1).join(", ")} and ${last}` : `${last}`;
  }

  // --- what happens to each feature --------------------------------------------------------------

  // fate: learned at a time; "beyond" the fraction p at the start already; or shrinking.
  function courses(objective, view) {
    return view.f.map((feature, index) => {
      const exact = theory.criticalTime(objective, feature, view.L, view.eps, view.p);
      return {
        ...feature,
        name: index + 1,
        exact,
        fate: Number.isNaN(exact) ? "shrinks" : exact > 0 ? "learned" : "beyond",
        paper: theory.paperTime(objective, feature, view.L, view.eps),
        complete: theory.completeTime(objective, feature, view.L, view.eps, view.p),
        size: theory.finalSize(objective, feature.rho, view.L),
        points: theory.trajectory(objective, feature, view.L, view.eps),
      };
    });
  }

  const learned = (all) =>
    all.filter(({ fate }) => fate === "learned").sort((a, b) => a.exact - b.exact);
  const spread = (sorted) => sorted.at(-1).exact / sorted[0].exact - 1;
  const together = (sorted) => sorted.length > 1 && spread(sorted) < NEARLY;

  function along(sorted) {
    const falls = (key) =>
      sorted[0][key] > sorted.at(-1)[key] &&
      sorted.every((item, i) => i === 0 || item[key] <= sorted[i - 1][key]);
    const keys = ["lam", "rho"].filter(falls).map((key) => SYMBOLS[key]);
    return keys.length ? `, in the order of ${listed(keys)}` : "";
  }

  function ordered(objective, sorted) {
    const [first, ...others] = sorted;
    const last = others.pop();
    if (!first) return "";
    if (!last) return `${objective.name} learns feature ${first.name}, at t = ${shown(first.exact)}.`;
    if (together(sorted)) {
      const all = sorted.length === 2 ? "both" : `all ${["three", "four", "five"][sorted.length - 3]}`;
      const who = `${objective.name} learns ${all} within ${percent(spread(sorted))} of one time`;
      return `${who}: first ${first.name}, last ${last.name}, at t = ${shown(first.exact)}.`;
    }
    const start = `${objective.name} learns feature ${first.name} first, at t = ${shown(first.exact)}`;
    const middle = others.length ? ` then ${others.map(({ name }) => name).join(", ")},` : "";
    const end = others.length ? ` and ${last.name} last` : ` then ${last.name}`;
    return `${start},${middle}${end}, at t = ${shown(last.exact)}${along(sorted)}.`;
  }

  function others(objective, all, view) {
    const half = view.p === 0.5 ? "half" : `${shown(100 * view.p)} %`;
    const fates = {
      beyond: ["starts", "start", `beyond ${half} of the final size`],
      shrinks: ["shrinks", "shrink", "from a start above the final size"],
    };
    return Object.entries(fates)
      .map(([fate, [one, many, how]]) => {
        const names = all.filter((item) => item.fate === fate).map(({ name }) => name);
        if (!names.length) return "";
        const who = names.length > 1 ? `features ${listed(names)} ${many}` : `feature ${names} ${one}`;
        return `Under ${objective.name} ${who} ${how}.`;
      })
      .join(" ");
  }

  // Over the pairs of features that both objectives learn: how many in different order?
  function comparison(jepa, mae) {
    const both = jepa
      .filter(({ fate }, i) => fate === "learned" && mae[i].fate === "learned")
      .map(({ name }) => name - 1);
    if (both.length < 2) return "";
    const only = (all) => learned(all).filter(({ name }) => both.includes(name - 1));
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

  function sentences(all, view) {
    const told = OBJECTIVES.map((objective, n) =>
      [ordered(objective, learned(all[n])), others(objective, all[n], view)].filter(Boolean).join(" "),
    );
    return { told, verdict: comparison(...all) };
  }

  // --- drawing -----------------------------------------------------------------------------------

  const hex = (rgb) =>
    `#${rgb.map((c) => Math.round(Math.min(255, Math.max(0, c))).toString(16).padStart(2, "0")).join("")}`;

  // figures.palette: from two thirds of the colour with white to 45 % of it with black. In the dark
  // theme lightness turns round and hue stays, as book.css does to every figure. To be set by script:
  // the site's policy takes no styles from markup.
  function shade(objective, index, count) {
    const x = 1 - index / (count - 1);
    const weight = x < 0.5 ? 0.67 + 0.66 * x : 1 - 1.1 * (x - 0.5);
    const white = x < 0.5 ? 255 * (1 - weight) : 0;
    const light = COLOURS[objective.name].map((c) => weight * c + white);
    const [r, g, b] = light.map((c) => 0.9294 * 255 + c * (1 - 2 * 0.9294));
    const dark = [
      -0.574 * r + 1.43 * g + 0.144 * b,
      0.426 * r + 0.43 * g + 0.144 * b,
      0.426 * r + 1.43 * g - 0.856 * b,
    ];
    return `--light:${hex(light)};--dark:${hex(dark)}`;
  }

  function linearTicks(high, most) {
    const rough = high / most;
    const decade = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((n) => n * decade).find((n) => n >= rough);
    return Array.from({ length: Math.floor(high / step + 1e-9) + 1 }, (_, n) => n * step);
  }

  function logTicks(low, high) {
    const decades = Math.log10(high / low);
    const first = Math.floor(Math.log10(low));
    const factors = decades > 2.2 ? [1] : [1, 2, 5];
    const every = Math.ceil(decades / 6);
    return Array.from({ length: Math.ceil(decades) + 2 }, (_, n) => first + n)
      .filter((exponent) => exponent % every === 0)
      .flatMap((exponent) => factors.map((factor) => factor * 10 ** exponent))
      .filter((t) => t >= low * 0.999 && t <= high * 1.001);
  }

  // The end of the time axis: all that can be learned is learned, and nine tenths of the way is gone.
  function horizon(all) {
    for (const fate of ["learned", "beyond", "shrinks"]) {
      const times = all
        .filter((item) => item.fate === fate)
        .map(({ points, exact }) => {
          const way = Math.abs(points[0].share - 1);
          const there = points.find(({ share }) => Math.abs(share - 1) <= 0.1 * way);
          return Math.max(there.t, exact || 0);
        });
      if (times.length && Math.max(...times) > 0) return 1.2 * Math.max(...times);
    }
    return 1;
  }

  function timeAxis(all, view, left, right) {
    const high = horizon(all);
    if (view.scale === "log") {
      const first = Math.min(...all.map(({ exact, fate }) => (fate === "learned" ? exact : high)));
      const low = Math.max(first / 30, high * 1e-6);
      const place = (t) => left + ((right - left) * Math.log(t / low)) / Math.log(high / low);
      const ticks = logTicks(low, high).map((t) => [t, t < 1e4 && t > 1e-3 ? shown(t) : power(t)]);
      return { at: (t) => (t > 0 ? place(Math.max(t, low * 1e-3)) : place(low * 1e-3)), ticks, unit: "" };
    }
    const exponent = Math.floor(Math.log10(high));
    const unit = exponent > 3 || exponent < -1 ? 10 ** exponent : 1;
    const ticks = linearTicks(high, 6).map((t) => [t, shown(t / unit)]);
    const at = (t) => left + ((right - left) * t) / high;
    return { at, ticks, unit: unit === 1 ? "" : ` / 10${superscript(exponent)}` };
  }

  function power(t) {
    const exponent = Math.floor(Math.log10(t) + 1e-9);
    const factor = Math.round(t / 10 ** exponent);
    return `${factor > 1 ? `${factor}·` : ""}10${superscript(exponent)}`;
  }

  const narrow = matchMedia("(max-width: 575px)");

  function draw(objective, all, view, told) {
    const height = narrow.matches ? 190 : 268;
    const [left, right, top, bottom] = [46, 350, 26, height - 65];
    const share = view.show === "share";
    const scaled = (item, part) => (share ? part : part * item.size);
    const highest = Math.max(
      ...all.map((item) => {
        const start = scaled(item, item.points[0].share);
        return Math.max(scaled(item, 1), share ? Math.min(start, 2) : start);
      }),
    );
    const high = 1.09 * highest;
    const x = timeAxis(all, view, left, right);
    const y = (value) => bottom - ((bottom - top) * value) / high;
    const fixed = (value) => Math.min(9999, Math.max(-9999, value)).toFixed(2);
    const out = [];
    const line = (name, x1, y1, x2, y2) =>
      out.push(`<line class="${name}" x1="${fixed(x1)}" y1="${fixed(y1)}" x2="${fixed(x2)}" y2="${fixed(y2)}"/>`);
    const text = (name, px, py, content) =>
      out.push(`<text class="${name}" x="${fixed(px)}" y="${fixed(py)}">${content}</text>`);

    for (const [t, label] of x.ticks) {
      line("grid", x.at(t), top, x.at(t), bottom);
      text("tick middle", x.at(t), height - 21, label);
    }
    for (const value of linearTicks(high, narrow.matches ? 4 : 6)) {
      line("grid", left, y(value), right, y(value));
      text("tick end", left - 5, y(value) + 3.5, shown(value));
    }
    line("axis", left, top, left, bottom);
    line("axis", left, bottom, right, bottom);
    text("title", left, 15, objective.name);
    out.push(`<path class="curve" data-shade="${shade(objective, 1, 3)}" d="M${left + 40} 11h34"/>`);
    text("tick end", right, 15, share ? "share of the final size, w / w(∞)" : "size in the encoder, w");
    text("tick middle", (left + right) / 2, height - 5, `training time t${x.unit}`);

    const clip = `explorer-clip-${objective.name}`;
    out.push(`<clipPath id="${clip}"><rect x="${left}" y="${top - 4}" width="${right - left}" height="${bottom - top + 6}"/></clipPath>`);
    out.push(`<g clip-path="url(#${clip})">`);
    [...all].reverse().forEach((item) => {
      const end = { t: 1e99, share: item.points.at(-1).share };
      const path = [...item.points, end].map(({ t, share: part }) =>
        `${fixed(x.at(t))},${fixed(y(Math.min(scaled(item, part), 3 * high)))}`,
      );
      out.push(`<polyline class="curve" data-shade="${shade(objective, item.name - 1, all.length)}" points="${path.join(" ")}"/>`);
    });
    out.push("</g>");

    // below the axis: filled for the exact time, hollow for the paper's formula
    text("lane", left - 5, bottom + 15, "exact");
    text("lane", left - 5, bottom + 28, formula(objective, view.L));
    const mark = (name, t, base, colour) => {
      const px = x.at(t);
      const inside = Math.min(right, Math.max(left, px));
      const shape =
        px > right + 0.01 ? "-8,-4 0,0 -8,4" : px < left - 0.01 ? "8,-4 0,0 8,4" : "0,-4.5 4.5,4 -4.5,4";
      out.push(`<polygon class="${name}" data-shade="${colour}" points="${shape}" transform="translate(${fixed(inside)} ${fixed(base)})"/>`);
    };
    const placed = [];
    const label = (px, py, name) => {
      while (placed.some(([qx, qy]) => Math.abs(px - qx) < 9 && Math.abs(py - qy) < 10)) py -= 2;
      placed.push([px, py]);
      text("name", px, py, name);
    };
    const markHeight = (item) => y(scaled(item, view.p));
    for (const item of [...all].sort((a, b) => markHeight(b) - markHeight(a))) {
      const colour = shade(objective, item.name - 1, all.length);
      if (item.fate !== "learned") {
        label(left + 9, y(Math.min(scaled(item, item.points[0].share), high)) - 4, item.name);
        continue;
      }
      const [px, py] = [x.at(item.exact), markHeight(item)];
      out.push(`<circle class="exact" data-shade="${colour}" cx="${fixed(px)}" cy="${fixed(py)}" r="3.2"/>`);
      label(px > left + 20 ? px - 9 : px + 9, Math.min(py + 4, bottom - 4), item.name);
      mark("exact", item.exact, bottom + 11, colour);
      mark("paper", item.paper, bottom + 24, colour);
    }

    const svg = find(objective.name);
    svg.setAttribute("viewBox", `0 0 360 ${height}`);
    svg.setAttribute("aria-label", `${objective.name}: size over training time. ${told}`);
    svg.innerHTML = out.join("");
    svg.querySelectorAll("[data-shade]").forEach((one) => (one.style.cssText = one.dataset.shade));
  }

  const formula = (objective, depth) => (objective === JEPA ? "(12)" : depth > 1 ? "(13)" : "(121)");

  // --- words and tables --------------------------------------------------------------------------

  function element(name, content, attributes = {}) {
    const made = document.createElement(name);
    made.append(...[content].flat());
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  }

  function write({ told, verdict }) {
    const lines = [...told, verdict].filter(Boolean);
    find("words").replaceChildren(
      ...lines.map((line) => element("p", line === verdict ? element("strong", line) : line)),
    );
    announce(lines.join(" "));
  }

  // A screen reader hears the words when the sliders have come to rest.
  let resting;
  function announce(text) {
    clearTimeout(resting);
    resting = setTimeout(() => (find("said").textContent = text), 600);
  }

  function tabulate(objective, all, view) {
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
      const swatch = element("span", "", { class: `explorer-swatch ${objective.name}` });
      swatch.style.cssText = shade(objective, item.name - 1, all.length);
      return element("tr", [
        element("th", [swatch, `${item.name}`], { scope: "row" }),
        cell(item.size, undefined, shown(item.size)),
        ...times,
      ]);
    });
    const heads = ["feature", "w(∞)", "t* exact", `by ${formula(objective, view.L)}`, "expansion"];
    find(`times-${objective.name}`).replaceChildren(
      element("caption", `${objective.name}: final sizes and critical times`),
      element("thead", element("tr", heads.map((head) => element("th", head, { scope: "col" })))),
      element("tbody", rows),
    );
  }

  // --- controls ----------------------------------------------------------------------------------

  const toSlider = (name, value) => (LOGARITHMIC.has(name) ? Math.log10(value) : value);

  function fromSlider(name, position) {
    const value = LOGARITHMIC.has(name) ? 10 ** position : position;
    const [low, high] = LIMITS[name];
    return Math.min(high, Math.max(low, Number(value.toPrecision(3))));
  }

  // Two inputs for one number: a slider, and a field for its exact value.
  function connect(control, get, set) {
    const { name } = control.dataset;
    const [slider, field] = control.querySelectorAll("input");
    slider.addEventListener("input", () => {
      set(fromSlider(name, Number(slider.value)));
      changed();
    });
    field.addEventListener("input", () => {
      const value = number(name, field.value);
      field.setAttribute("aria-invalid", value === undefined);
      if (value === undefined) return say(rule(name));
      set(value);
      changed(field);
    });
    field.addEventListener("change", () => render());
    return (active) => {
      const value = get();
      slider.value = toSlider(name, value);
      slider.setAttribute("aria-valuetext", shown(value));
      if (field === active) return;
      field.value = value;
      field.removeAttribute("aria-invalid");
    };
  }

  function rule(name) {
    const [low, high] = LIMITS[name].map((limit) => shown(limit));
    return `${SYMBOLS[name]} must ${name === "L" ? "be a whole number" : "lie"} between ${low} and ${high}.`;
  }

  const say = (message) => (find("message").textContent = message);

  const shared = ["L", "eps", "p"].map((name) =>
    connect(
      document.querySelector(`#explorer .explorer-shared [data-name=${name}]`),
      () => state[name],
      (value) => (state[name] = value),
    ),
  );

  let rows = [];
  function makeRow(index) {
    const row = find("feature").content.cloneNode(true).firstElementChild;
    row.setAttribute("aria-label", `feature ${index + 1}`);
    row.querySelector(".explorer-name").append(`feature ${index + 1}`);
    const connected = [...row.querySelectorAll("[data-name]")].map((control) => {
      const { name } = control.dataset;
      const [slider, field] = control.querySelectorAll("input");
      slider.id = `explorer-${name}-${index + 1}`;
      control.querySelector("label").htmlFor = slider.id;
      field.setAttribute("aria-label", `${SYMBOLS[name]} of feature ${index + 1}, exact value`);
      const get = () => state.f[index][name];
      return connect(control, get, (value) => (state.f[index][name] = value));
    });
    const remove = row.querySelector(".explorer-remove");
    remove.setAttribute("aria-label", `Remove feature ${index + 1}`);
    remove.addEventListener("click", () => {
      state.f.splice(index, 1);
      changed();
      find("add").focus();
    });
    const swatches = row.querySelectorAll(".explorer-swatch");
    const update = (active) => {
      connected.forEach((one) => one(active));
      OBJECTIVES.forEach((objective, n) => {
        swatches[n].style.cssText = shade(objective, index, state.f.length);
      });
      remove.disabled = state.f.length <= FEWEST;
    };
    find("features").append(row);
    return { row, update };
  }

  find("add").addEventListener("click", () => {
    const { lam, rho } = state.f.at(-1);
    state.f.push({ lam, rho: Math.max(LIMITS.rho[0], Number((0.8 * rho).toPrecision(3))) });
    changed();
  });
  find("log").addEventListener("change", ({ target }) => {
    state.scale = target.checked ? "log" : "linear";
    changed();
  });
  find("share").addEventListener("change", ({ target }) => {
    state.show = target.checked ? "share" : "size";
    changed();
  });
  find("copy").addEventListener("click", async () => {
    save();
    try {
      await navigator.clipboard.writeText(location.href);
      say("The link is copied.");
    } catch {
      say("The address of this page is the link; copy it from there.");
    }
  });
  // Buttons further down the page, which this script runs before, work in the same way.
  document.addEventListener("click", ({ target }) => {
    const button = target.closest("[data-view]");
    if (!button) return;
    save();
    location.hash = format(parse(button.dataset.view).state); // a step in the history
    load();
    find("JEPA").scrollIntoView({ block: "nearest" });
  });

  // --- from the state to the page ----------------------------------------------------------------

  function render(active) {
    while (rows.length > state.f.length) rows.pop().row.remove();
    while (rows.length < state.f.length) rows.push(makeRow(rows.length));
    [...shared, ...rows.map(({ update }) => update)].forEach((update) => update(active));
    find("gain").textContent = shown(state.eps ** (1 / state.L), 3);
    find("add").disabled = state.f.length >= MOST;
    find("log").checked = state.scale === "log";
    find("share").checked = state.show === "share";
    for (const button of document.querySelectorAll("#explorer [data-view]")) {
      const same = format(parse(button.dataset.view).state) === format(state);
      button.setAttribute("aria-pressed", same);
    }
    const all = OBJECTIVES.map((objective) => courses(objective, state));
    const words = sentences(all, state);
    OBJECTIVES.forEach((objective, n) => {
      draw(objective, all[n], state, words.told[n]);
      tabulate(objective, all[n], state);
    });
    write(words);
  }

  let unsaved;
  function changed(active) {
    say("");
    render(active);
    clearTimeout(unsaved);
    unsaved = setTimeout(save, 300); // browsers refuse an address that changes at every step
  }

  function save() {
    clearTimeout(unsaved);
    const before = location.hash.slice(1);
    if (!before.includes("=") && format(state) === format(parse(DEFAULT).state)) return;
    if (before !== format(state)) history.replaceState(null, "", `#${format(state)}`);
  }

  // A hash without "=" is an anchor of the page and says nothing of the state.
  function load() {
    const hash = location.hash.slice(1);
    if (!hash.includes("=")) return;
    clearTimeout(unsaved);
    const { state: asked, refused } = parse(hash);
    state = asked;
    const names = listed(refused.map((name) => SYMBOLS[name] ?? name));
    say(refused.length ? `The address gives no usable ${names}: the default stands instead.` : "");
    render();
  }

  window.addEventListener("hashchange", load);
  narrow.addEventListener("change", () => render());
  document.getElementById("explorer").hidden = false;
  load();
  if (!rows.length) render();
})();
