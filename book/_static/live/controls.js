// What a live picture is set to: named settings, each with a slider and a field, and the address of
// the page, which holds them all.
"use strict";

const controls = (() => {
  const { shown, listed } = numbers;

  // --- kinds of settings: read(text, fallback) gives [value, what is to be told of the text] -------

  function number(symbol, low, high, { whole = false, logarithmic = false } = {}) {
    const right = (value) => value >= low && value <= high && (!whole || Number.isInteger(value));
    const near = (value) => Math.min(high, Math.max(low, whole ? Math.round(value) : value));
    const parsed = (text) => (text.trim() === "" ? NaN : Number(text));
    return {
      symbol,
      limits: [low, high],
      rule: `${symbol} must ${whole ? "be a whole number" : "lie"} between ${shown(low)} and ${shown(high)}.`,
      exactly: (text) => (right(parsed(text)) ? parsed(text) : undefined),
      read(text, fallback) {
        const value = parsed(text);
        if (right(value)) return [value];
        if (Number.isNaN(value)) return [fallback, `${symbol} = ${short(text)} is no number: ${shown(fallback)} stands instead.`];
        const limits = whole ? "a whole number from" : "between";
        const why = `${symbol} = ${short(text)} is not ${limits} ${shown(low)} ${whole ? "to" : "and"} ${shown(high)}`;
        return [near(value), `${why}: ${shown(near(value))} stands instead.`];
      },
      write: (value) => `${value}`,
      toSlider: (value) => (logarithmic ? Math.log10(value) : value),
      fromSlider: (place) => near(Number((logarithmic ? 10 ** place : place).toPrecision(3))),
    };
  }

  function choice(symbol, ...options) {
    return {
      symbol,
      read: (text, fallback) =>
        options.includes(text)
          ? [text]
          : [fallback, `${symbol} = ${short(text)} is none of ${listed(options)}: ${fallback} stands instead.`],
      write: (value) => value,
    };
  }

  const short = (text) => (text === "" ? "nothing" : text.length > 24 ? `${text.slice(0, 24)}…` : text);

  // --- the address -----------------------------------------------------------------------------------

  function decoded(text) {
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  }

  const pairs = (text) =>
    text
      .split("&")
      .filter(Boolean)
      .map((pair) => {
        const [, name, value] = /^([^=]*)=?(.*)$/s.exec(pair);
        return [decoded(name), value];
      });

  // The state of a page: `settings` by name, `start` the text of its default. A setting that is `raw`
  // decodes its text itself.
  function state(settings, start) {
    const names = Object.keys(settings);
    const given = (text) => new Map(pairs(text));
    const defaults = {};
    for (const [name, value] of given(start)) {
      [defaults[name]] = settings[name].read(settings[name].raw ? value : decoded(value));
    }

    // what a text like "L=5&eps=0.01" asks for, and what in it cannot be had
    function parse(text) {
      const values = {};
      const told = [];
      const asked = given(text);
      for (const name of names) {
        const one = settings[name];
        values[name] = structuredClone(defaults[name]);
        if (!asked.has(name)) continue;
        const [value, ...problems] = one.read(one.raw ? asked.get(name) : decoded(asked.get(name)), values[name]);
        values[name] = value;
        told.push(...problems.filter(Boolean));
      }
      const unknown = [...asked.keys()].filter((name) => !names.includes(name)).map(short);
      if (unknown.length) told.push(`The address also has ${listed(unknown)}, which this picture does not know.`);
      return { values, told };
    }

    const format = (values) => names.map((name) => `${name}=${settings[name].write(values[name])}`).join("&");

    // From the query, which others use, too, only the settings are taken. A hash without "=" is an
    // anchor of the page and says nothing of the state.
    function asked() {
      const hash = location.hash.slice(1);
      const query = pairs(location.search.slice(1)).filter(([name]) => names.includes(name));
      const text = [...query.map((pair) => pair.join("=")), ...(hash.includes("=") ? [hash] : [])].join("&");
      return text === "" ? undefined : text;
    }

    let unsaved;
    function save(values) {
      clearTimeout(unsaved);
      const text = format(values);
      if (asked() === undefined && text === format(defaults)) return;
      if (location.hash.slice(1) === text) return;
      const address = new URL(location.href);
      if (pairs(address.search.slice(1)).some(([name]) => names.includes(name))) address.search = "";
      address.hash = text;
      history.replaceState(null, "", address.href);
    }

    return {
      parse, format, asked, save,
      saveSoon(values) {
        clearTimeout(unsaved);
        unsaved = setTimeout(() => save(values), 300); // browsers refuse an address that changes at every step
      },
      // a step in the history
      go(values) {
        clearTimeout(unsaved);
        location.hash = format(values);
      },
    };
  }

  // --- a slider and a field --------------------------------------------------------------------------

  // Two inputs for one number. `changed` is told which field is being typed into, `refuse` what is
  // wrong with it, or nothing when it is right again. Returns what brings both to the value.
  function connect(control, setting, { get, set, changed, refuse }) {
    const [slider, field] = control.querySelectorAll("input");
    slider.addEventListener("input", () => {
      set(setting.fromSlider(Number(slider.value)));
      refuse("");
      changed();
    });
    field?.addEventListener("input", () => {
      const value = setting.exactly(field.value);
      field.setAttribute("aria-invalid", value === undefined);
      refuse(value === undefined ? setting.rule : "");
      if (value === undefined) return;
      set(value);
      changed(field);
    });
    field?.addEventListener("change", () => {
      refuse("");
      changed();
    });
    return (active) => {
      const value = get();
      slider.value = setting.toSlider(value);
      slider.setAttribute("aria-valuetext", shown(value));
      if (!field || field === active) return;
      field.value = value;
      field.removeAttribute("aria-invalid");
    };
  }

  // --- a picture on its page -------------------------------------------------------------------------

  // Its state, which it may change, and then tells by `changed`; `draw` is called with the field that
  // is being typed into, if any, whenever the state is another. Buttons with data-view anywhere on the
  // page bring their settings, as a step in the history.
  function picture(root, settings, start, draw) {
    const address = state(settings, start);
    const values = address.parse("").values;
    const message = root.querySelector(".live-message");
    const said = root.querySelector(".live-hidden[role=status]");
    const words = root.querySelector(".live-words");
    const say = (text) => (message.textContent = text);

    function changed(active) {
      if (!root.querySelector("[aria-invalid=true]")) say("");
      show(active);
      address.saveSoon(values);
    }

    function load() {
      const asked = address.asked();
      if (asked !== undefined) {
        const { values: given, told } = address.parse(asked);
        Object.assign(values, given);
        say(told.join(" "));
      }
      show();
    }

    function show(active) {
      draw(active);
      for (const button of root.querySelectorAll("[data-view]")) {
        const same = address.format(address.parse(button.dataset.view).values) === address.format(values);
        button.setAttribute("aria-pressed", same);
      }
    }

    let resting;
    return {
      state: values,
      say,
      changed,
      save: () => address.save(values),
      saveSoon: () => address.saveSoon(values),
      // Say in words what is seen: lines, each a text or a list of texts and elements, one of them
      // strong. A screen reader hears them when the sliders have come to rest. No line breaks beside a
      // sign of equality.
      tell(lines, strong, aloud = true) {
        const kept = (one) => (typeof one === "string" ? one.replaceAll(" = ", "\u00a0=\u00a0") : one);
        const made = lines.map((line) => plot.element("p", [line].flat().map(kept)));
        const all = made.map((one, i) => {
          if (i !== strong) return one;
          return plot.element("p", plot.element("strong", [...one.childNodes]));
        });
        words.replaceChildren(...all);
        if (!aloud) return;
        clearTimeout(resting);
        resting = setTimeout(() => (said.textContent = all.map((one) => one.textContent).join(" ")), 600);
      },
      connect: (control, setting, get, set) => connect(control, setting, { get, set, changed, refuse: say }),
      // a slider and a field for each of the named settings, found by data-name
      connectAll: (names) =>
        names.map((name) =>
          connect(root.querySelector(`[data-name=${name}]`), settings[name], {
            get: () => values[name],
            set: (value) => (values[name] = value),
            changed,
            refuse: say,
          }),
        ),
      open() {
        window.addEventListener("hashchange", () => address.asked() !== undefined && load());
        plot.narrow.addEventListener("change", () => show());
        document.addEventListener("click", ({ target }) => {
          const button = target.closest("[data-view]");
          if (!button) return;
          address.save(values);
          address.go(address.parse(button.dataset.view).values);
          load();
          root.querySelector(".live-plot").scrollIntoView({ block: "nearest" });
        });
        load();
      },
    };
  }

  // Copy a text; what is to be said of it.
  async function copied(text, done) {
    try {
      await navigator.clipboard.writeText(text);
      return done;
    } catch {
      return "This browser does not let a page copy.";
    }
  }

  // The parts of a picture, by their names in its page.
  const parts = (root) => (name) => root.querySelector(`[data-part="${name}"]`);

  const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

  return { decoded, number, choice, picture, copied, parts, still };
})();
