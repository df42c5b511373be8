// A list of features that the reader makes: in the address, and as rows of controls.
"use strict";

const features = (() => {
  const { element } = plot;
  const FEWEST = 2;
  const LONGEST = 12; // letters of a name
  const DEFAULTS = [
    { lam: 1, rho: 1, name: "" },
    { lam: 1.2, rho: 0.6, name: "" },
  ];

  const cleaned = (name) => [...name.replace(/\p{C}/gu, "")].slice(0, LONGEST).join("").trim();

  // Two to `most` features, with regression coefficients up to `largest`.
  function setting(most, largest) {
    const lamSetting = controls.number("λ", 0.05, 5, { logarithmic: true });
    const rhoSetting = controls.number("ρ", 0.05, largest);
    return {
      raw: true, // a name may hold commas and colons
      most,
      numbers: { lam: lamSetting, rho: rhoSetting },
      read(text) {
        const problems = [];
        const items = text.split(",");
        const list = items.slice(0, most).map((item, i) => {
          const [lam, rho = "", name = ""] = item.split(":").map(controls.decoded);
          const usual = DEFAULTS[i] ?? DEFAULTS[0];
          const read = [lamSetting.read(lam, usual.lam), rhoSetting.read(rho, usual.rho)];
          problems.push(...read.flatMap(([, told]) => (told ? [`Feature ${i + 1}: ${told}`] : [])));
          return { lam: read[0][0], rho: read[1][0], name: cleaned(name) };
        });
        if (items.length > most) problems.push(`Only the first ${most} features are taken.`);
        if (list.length < FEWEST) problems.push("One feature is too few: a second one stands beside it.");
        while (list.length < FEWEST) list.push({ ...DEFAULTS[list.length] });
        return [list, ...problems];
      },
      write: (list) =>
        list.map(({ lam, rho, name }) => `${lam}:${rho}${name && `:${encodeURIComponent(name)}`}`).join(","),
    };
  }

  // Rows of controls for picture.state.f in `place`, and the button that adds one. Returns what brings
  // them to the state.
  function rows(picture, { most, numbers: kinds }, place, add) {
    const { state, changed } = picture;
    const made = [];

    function control(key, index) {
      const kind = kinds[key];
      const id = `feature-${key}-${index + 1}`;
      const [low, high] = kind.limits;
      const slider = { low: kind.toSlider(low), high: kind.toSlider(high) };
      const range = element("input", [], { type: "range", id, min: slider.low, max: slider.high, step: 0.001 });
      const exact = `${kind.symbol} of feature ${index + 1}, exact value`;
      const field = element("input", [], { type: "number", min: low, max: high, step: "any", "aria-label": exact });
      const label = element("label", kind.symbol, { for: id });
      const whole = element("div", [label, range, field], { class: "live-control", "data-name": key });
      const update = picture.connect(
        whole,
        kind,
        () => state.f[index][key],
        (value) => (state.f[index][key] = value),
      );
      return { whole, update };
    }

    function row(index) {
      const swatches = ["JEPA", "MAE"].map((name) => element("span", [], { class: `live-swatch ${name}` }));
      const name = element("input", [], {
        type: "text",
        maxlength: LONGEST,
        placeholder: `feature ${index + 1}`,
        "aria-label": `name of feature ${index + 1}`,
      });
      name.addEventListener("input", () => {
        state.f[index].name = cleaned(name.value);
        changed(name);
      });
      const both = ["lam", "rho"].map((key) => control(key, index));
      const remove = element("button", "×", { type: "button", class: "live-remove", "aria-label": `Remove feature ${index + 1}` });
      remove.addEventListener("click", () => {
        state.f.splice(index, 1);
        changed();
        add.focus();
      });
      const named = element("span", [...swatches, name], { class: "live-name" });
      const whole = element("div", [named, ...both.map((one) => one.whole), remove], {
        class: "live-feature",
        role: "group",
        "aria-label": `feature ${index + 1}`,
      });
      place.append(whole);
      return {
        whole,
        update(active) {
          both.forEach((one) => one.update(active));
          if (name !== active) name.value = state.f[index].name;
          swatches.forEach((swatch, n) => plot.paint(swatch, plot.nth(["JEPA", "MAE"][n], index, state.f.length)));
          remove.disabled = state.f.length <= FEWEST;
        },
      };
    }

    add.addEventListener("click", () => {
      const { lam, rho } = state.f.at(-1);
      state.f.push({ lam, rho: Math.max(kinds.rho.limits[0], Number((0.8 * rho).toPrecision(3))), name: "" });
      changed();
    });

    return (active) => {
      while (made.length > state.f.length) made.pop().whole.remove();
      while (made.length < state.f.length) made.push(row(made.length));
      made.forEach(({ update }) => update(active));
      add.disabled = state.f.length >= most;
    };
  }

  const letter = (item) => (item.name ? `“${item.name}”` : `${item.index + 1}`);
  const called = (item) => (item.name ? letter(item) : `feature ${letter(item)}`);

  return { setting, rows, letter, called };
})();
