// Plots as SVG: axes, curves, marks, labels that keep apart, the place under the pointer, and files
// to take away. All live pictures are drawn with this, in the look of jepabook/figures.py. Nodes are
// made one by one: what a reader types never becomes markup, and the site's policy takes no styles
// from it.
"use strict";

const plot = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const COLOURS = { JEPA: [11, 95, 165], MAE: [193, 68, 14] }; // jepabook/figures.py
  const GREY = [90, 90, 90];
  const PAPER = [244, 244, 244]; // the middle of figures.diverging

  function node(name, attributes = {}, content = []) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...[content].flat());
    return made;
  }

  function element(name, content = [], attributes = {}) {
    const made = document.createElement(name);
    made.append(...[content].flat());
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  }

  // --- colours -------------------------------------------------------------------------------------

  const hex = (rgb) =>
    `#${rgb.map((c) => Math.round(Math.min(255, Math.max(0, c))).toString(16).padStart(2, "0")).join("")}`;

  // In the dark theme lightness turns round and hue stays, as book.css does to every figure.
  function paint(one, rgb) {
    const [r, g, b] = rgb.map((c) => 0.9294 * 255 + c * (1 - 2 * 0.9294));
    const dark = [
      -0.574 * r + 1.43 * g + 0.144 * b,
      0.426 * r + 0.43 * g + 0.144 * b,
      0.426 * r + 1.43 * g - 0.856 * b,
    ];
    one.classList.add("painted");
    one.style.setProperty("--light", hex(rgb));
    one.style.setProperty("--dark", hex(dark));
    return one;
  }

  // figures.palette: from two thirds of the colour with white (0) to 45 % of it with black (1)
  function shade(name, strength) {
    const weight = strength < 0.5 ? 0.67 + 0.66 * strength : 1 - 1.1 * (strength - 0.5);
    const white = strength < 0.5 ? 255 * (1 - weight) : 0;
    return COLOURS[name].map((c) => weight * c + white);
  }

  // the shade of one of several features, the first strongest
  const nth = (name, index, count) => shade(name, count > 1 ? 1 - index / (count - 1) : 0.5);

  // figures.diverging: JEPA's colour at -1, paper at 0, MAE's at 1
  function diverging(value) {
    const end = COLOURS[value < 0 ? "JEPA" : "MAE"];
    const share = Math.min(1, Math.abs(value));
    return PAPER.map((c, i) => c + share * (end[i] - c));
  }

  const narrow = matchMedia("(max-width: 575px)");

  // --- axes ----------------------------------------------------------------------------------------

  function linear(low, high, most = 6) {
    const rough = (high - low) / most;
    const decade = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((n) => n * decade).find((n) => n >= rough * 0.999999);
    const first = Math.ceil(low / step - 1e-9);
    const count = Math.floor(high / step + 1e-9) - first + 1;
    const exponent = Math.floor(Math.log10(Math.max(Math.abs(low), Math.abs(high))));
    const unit = exponent > 3 || exponent < -1 ? 10 ** exponent : 1;
    return {
      low,
      high,
      fraction: (value) => (value - low) / (high - low),
      value: (fraction) => low + fraction * (high - low),
      ticks: Array.from({ length: count }, (_, n) => {
        const value = Number(((first + n) * step).toPrecision(12));
        return [value, numbers.shown(value / unit)];
      }),
      unit: unit === 1 ? "" : ` / 10${numbers.superscript(exponent)}`,
    };
  }

  // ticks: at round numbers, or at those that are given
  function logarithmic(low, high, given) {
    const decades = Math.log10(high / low);
    const factors = decades > 2.2 ? [1] : [1, 2, 5];
    const every = Math.ceil(decades / 6);
    const text = (t) => (t < 1e4 && t > 1e-3 ? numbers.shown(t) : numbers.power(t));
    const round = Array.from(
      { length: Math.ceil(decades) + 2 },
      (_, n) => Math.floor(Math.log10(low)) + n,
    )
      .filter((exponent) => exponent % every === 0)
      .flatMap((exponent) => factors.map((factor) => factor * 10 ** exponent))
      .filter((t) => t >= low * 0.999 && t <= high * 1.001);
    return {
      low,
      high,
      fraction: (value) => Math.log(Math.max(value, low * 1e-3) / low) / Math.log(high / low),
      value: (fraction) => low * (high / low) ** fraction,
      ticks: (given ?? round).map((t) => [t, text(t)]),
      unit: "",
    };
  }

  // --- a panel -------------------------------------------------------------------------------------

  const fixed = (value) => Math.min(9999, Math.max(-9999, value)).toFixed(2);
  const LETTER = 6.1; // px a letter takes in labels of 11 px, about

  // An empty panel in an SVG: grid, axes, ticks, titles; what is drawn into it comes by its methods.
  function panel(svg, { width = 360, height = 268, margins = {}, x, y, title, name, xLabel, yLabel }) {
    const { left, right, top, bottom } = { left: 46, right: 10, top: 26, bottom: 40, ...margins };
    const area = { left, right: width - right, top, bottom: height - bottom };
    const px = (value) => area.left + (area.right - area.left) * x.fraction(value);
    const py = (value) => area.bottom - (area.bottom - area.top) * y.fraction(value);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.replaceChildren();
    const put = (...made) => (svg.append(...made), made[0]);
    const line = (kind, x1, y1, x2, y2) =>
      put(node("line", { class: kind, x1: fixed(x1), y1: fixed(y1), x2: fixed(x2), y2: fixed(y2) }));
    const text = (kind, atX, atY, content) =>
      put(node("text", { class: kind, x: fixed(atX), y: fixed(atY) }, `${content}`));

    for (const [value, label] of x.ticks) {
      line("grid", px(value), area.top, px(value), area.bottom);
      text("tick middle", px(value), area.bottom + bottom - 21, label);
    }
    for (const [value, label] of y.ticks) {
      line("grid", area.left, py(value), area.right, py(value));
      text("tick end", area.left - 5, py(value) + 3.5, label);
    }
    line("axis", area.left, area.top, area.left, area.bottom);
    line("axis", area.left, area.bottom, area.right, area.bottom);
    if (title) text("title", area.left, 15, title);
    if (title && name) {
      const sample = node("path", { class: `curve ${name}`, d: `M${area.left + 10 * title.length + 6} 11h34` });
      put(paint(sample, COLOURS[name]));
    }
    if (yLabel) text("tick end", area.right, 15, yLabel);
    if (xLabel) text("tick middle", (area.left + area.right) / 2, height - 5, xLabel + x.unit);

    const clip = `plot-clip-${svg.id || svg.dataset.part}`;
    const full = { x: area.left, y: area.top - 4, width: area.right - area.left, height: area.bottom - area.top + 6 };
    const window_ = node("rect", full);
    put(node("clipPath", { id: clip }, window_));
    const inside = put(node("g", { "clip-path": `url(#${clip})` }));

    const placed = []; // boxes of labels and dots: [left, top, right, bottom]
    const free = ([a, b, c, d]) =>
      a > 0 && c < width && placed.every(([p, q, r, s]) => c <= p || a >= r || d <= q || b >= s);
    const boxOf = (atX, atY, long, anchor) => {
      const start = anchor === "end" ? atX - long : anchor === "middle" ? atX - long / 2 : atX;
      return [start, atY - 9, start + long, atY + 2];
    };

    return {
      width, height, area, x, y, px, py, put, line, text,
      reveal: (value) => window_.setAttribute("width", fixed(Math.max(0, px(value) - area.left))),
      curve(points, rgb, kind = "") {
        const path = points.map(([a, b]) => `${fixed(px(a))},${fixed(py(b))}`).join(" ");
        const made = node("polyline", { class: `curve ${kind}`, points: path });
        inside.append(paint(made, rgb));
        return made;
      },
      region(points, rgb, kind = "") {
        const path = points.map(([a, b]) => `${fixed(px(a))},${fixed(py(b))}`).join(" ");
        const made = node("polygon", { class: `region ${kind}`, points: path });
        inside.prepend(paint(made, rgb));
        return made;
      },
      dot(a, b, rgb, kind = "exact", radius = 3.2) {
        placed.push([px(a) - 4, py(b) - 4, px(a) + 4, py(b) + 4]);
        return put(paint(node("circle", { class: kind, cx: fixed(px(a)), cy: fixed(py(b)), r: radius }), rgb));
      },
      // a triangle below the axis; at the panel's edge where its place lies outside
      mark(a, base, rgb, kind) {
        const at = px(a);
        const held = Math.min(area.right, Math.max(area.left, at));
        const points =
          at > area.right + 0.01 ? "-8,-4 0,0 -8,4" : at < area.left - 0.01 ? "8,-4 0,0 8,4" : "0,-4.5 4.5,4 -4.5,4";
        const made = node("polygon", { class: kind, points, transform: `translate(${fixed(held)} ${fixed(base)})` });
        return put(paint(made, rgb));
      },
      // a name beside a point, where no other stands; far from its point it gets a line to it
      label(a, b, name, kind = "name") {
        const [atX, atY] = [px(a), py(b)];
        const long = LETTER * `${name}`.length + 3;
        const places = [0, 11, 22, 33, 44, 55].flatMap((away) => [
          [atX - 7 - away / 3, atY + 4 - away, "end"],
          [atX + 7 + away / 3, atY + 4 - away, "start"],
          [atX, atY - 8 - away, "middle"],
          [atX - 7 - away / 3, atY + 4 + away, "end"],
          [atX + 7 + away / 3, atY + 4 + away, "start"],
        ]);
        const fits = ([p, q, anchor]) => {
          const box = boxOf(p, q, long, anchor);
          return box[0] > area.left && box[2] < area.right + 4 && q > area.top + 4 && q < area.bottom - 2 && free(box);
        };
        const [p, q, anchor] = places.find(fits) ?? places[0];
        placed.push(boxOf(p, q, long, anchor));
        if (Math.abs(q - atY) > 14) line("leader", atX, atY, p, q > atY ? q - 9 : q + 2);
        return text(`${kind} ${anchor}`, p, q, name);
      },
    };
  }

  // --- the place under the pointer -----------------------------------------------------------------

  // The pointer, a finger or the arrow keys choose a value on the x axis of a panel; nothing is
  // chosen when the mouse leaves or at Escape.
  function follow(svg, panelOf, choose) {
    let fraction;
    const tell = (to) => {
      fraction = to;
      choose(to === undefined ? undefined : panelOf().x.value(to));
    };
    const place = ({ clientX }) => {
      const box = svg.getBoundingClientRect();
      const { width, area } = panelOf();
      const at = ((clientX - box.left) * width) / box.width;
      tell(Math.min(1, Math.max(0, (at - area.left) / (area.right - area.left))));
    };
    svg.addEventListener("pointerdown", place);
    svg.addEventListener("pointermove", place);
    svg.addEventListener("pointerleave", ({ pointerType }) => pointerType === "mouse" && tell(undefined));
    svg.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: 0.02, ArrowLeft: -0.02, PageUp: 0.1, PageDown: -0.1, Home: -1, End: 1 };
      if (event.key === "Escape") return tell(undefined);
      if (!(event.key in steps)) return;
      event.preventDefault();
      tell(Math.min(1, Math.max(0, (fraction ?? 0.5) + steps[event.key])));
    });
    svg.tabIndex = 0;
  }

  // --- files ---------------------------------------------------------------------------------------

  const STYLES = [
    "fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "paint-order",
    "font-family", "font-size", "font-weight", "text-anchor", "opacity",
  ];

  // Drawings beside each other as one SVG that needs no style sheet.
  function standalone(svgs, background) {
    let offset = 0;
    const parts = svgs.map((svg) => {
      const copy = svg.cloneNode(true);
      const pairs = [[svg, copy], ...[...svg.querySelectorAll("*")].map((one, n) => [one, copy.querySelectorAll("*")[n]])];
      for (const [from, to] of pairs) {
        const computed = getComputedStyle(from);
        to.removeAttribute("class");
        to.removeAttribute("style");
        for (const name of STYLES) to.setAttribute(name, computed.getPropertyValue(name));
      }
      const { width, height } = svg.viewBox.baseVal;
      for (const name of ["role", "aria-label", "tabindex", "id"]) copy.removeAttribute(name);
      copy.setAttribute("x", offset);
      copy.setAttribute("width", width);
      copy.setAttribute("height", height);
      offset += width;
      return [copy, height];
    });
    const height = Math.max(...parts.map(([, tall]) => tall));
    const whole = node("svg", { viewBox: `0 0 ${offset} ${height}`, width: offset, height }, [
      node("rect", { width: offset, height, fill: background }),
      ...parts.map(([copy]) => copy),
    ]);
    return new XMLSerializer().serializeToString(whole);
  }

  function download(name, type, content) {
    const address = URL.createObjectURL(new Blob([content], { type }));
    const link = element("a", [], { href: address, download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  }

  return { COLOURS, GREY, narrow, node, element, paint, shade, nth, diverging, linear, logarithmic, panel, follow, standalone, download };
})();
