// Filters for the rows of the ledger. Everything is read off the table, which has the TeX of its
// formulas as annotations; the state lives in the address. An address that names a row, #eq-77,
// shows that row whatever the filters say.
"use strict";

(() => {
  const form = document.getElementById("ledger-filters");
  const status = form.querySelector("[role=status]");
  const table = [...document.querySelectorAll("article table")].find((one) =>
    one.querySelector("tbody td:first-child [id]"),
  );
  if (!table) return;

  const KINDS = {
    eq: "equation",
    fig: "figure",
    new: "ours",
    assumption: "named statement",
    thm: "named statement",
    lemma: "named statement",
    cor: "named statement",
    text: "sentence",
  };
  const METHODS = { S: "symbolic", N: "numeric", R: "rigorous", E: "experiment" };
  const GREEK = {
    α: "alpha", β: "beta", γ: "gamma", δ: "delta", ε: "epsilon", ϵ: "epsilon", η: "eta", θ: "theta",
    κ: "kappa", λ: "lambda", ξ: "xi", ρ: "rho", σ: "sigma", τ: "tau", φ: "phi", ψ: "psi", ω: "omega",
  };
  const place = (name) => (/^\d/.test(name) ? `Section ${name}` : `Appendix ${name}`);
  const LABELS = {
    method: (letter) => `${letter}, ${METHODS[letter]}`,
    section: (name) => (name === "ours" ? "not in the paper" : place(name)),
    chapter: (number) => `chapter ${number}`,
  };
  const sameFirst = (a, b) => a.localeCompare(b, "en", { numeric: true });

  const rows = [...table.tBodies[0].rows].map((row) => {
    const [item, section, , verdict, last] = row.cells;
    const id = item.querySelector("[id]").id;
    const [methods, chapter] = last.textContent.split(";").map((part) => part.trim());
    return {
      row,
      id,
      verdict: [verdict.textContent.trim()],
      kind: [KINDS[id.split("-")[0]]],
      method: methods.split(", "),
      section: [section.textContent.trim()],
      chapter: [chapter],
      text: `${id} ${id.replace("-", ":")} ${row.textContent}`.toLowerCase(),
    };
  });

  const NAMES = ["verdict", "kind", "method", "section", "chapter"];
  for (const name of NAMES) {
    const values = [...new Set(rows.flatMap((row) => row[name]))];
    if (name === "section" || name === "chapter") values.sort(sameFirst);
    form.elements[name].replaceChildren(...["", ...values].map((value) => new Option("", value)));
  }

  let led = null; // the row that the address names

  const spelled = (text) =>
    text.toLowerCase().replace(/[α-ωϵ]/g, (letter) => (GREEK[letter] ? `\\${GREEK[letter]}` : letter));

  function fits(row, but) {
    const wanted = spelled(form.elements.words.value).split(/\s+/);
    return (
      NAMES.every((name) => {
        const value = form.elements[name].value;
        return name === but || !value || row[name].includes(value);
      }) && wanted.every((word) => row.text.includes(word))
    );
  }

  function show() {
    let count = 0;
    for (const row of rows) {
      const shown = fits(row);
      count += shown;
      row.row.hidden = !shown && row !== led;
    }
    for (const name of NAMES) {
      const open = rows.filter((row) => fits(row, name));
      for (const option of form.elements[name].options) {
        const value = option.value;
        const number = open.filter((row) => !value || row[name].includes(value)).length;
        option.textContent = `${value ? (LABELS[name]?.(value) ?? value) : "all"} (${number})`;
      }
    }
    const besides = led && !fits(led) ? ", and the one that the address names" : "";
    status.textContent =
      count === rows.length
        ? `All ${count} rows are shown.`
        : `${count} of ${rows.length} rows are shown${besides}.`;
  }

  // What the address says: a filter (it has an =), or the name of a row.
  function read() {
    const said = location.hash.slice(1);
    led = rows.find((row) => row.id === said) ?? null;
    if (!said || said.includes("=")) {
      const given = new URLSearchParams(said);
      form.elements.words.value = given.get("words") ?? "";
      for (const name of NAMES) {
        const select = form.elements[name];
        select.value = given.get(name) ?? "";
        if (select.selectedIndex < 0) select.value = "";
      }
    }
    show();
    led?.row.scrollIntoView({ block: "center" });
  }

  function write() {
    led = null;
    const given = new URLSearchParams();
    for (const name of [...NAMES, "words"]) {
      const value = form.elements[name].value.trim();
      if (value) given.set(name, value);
    }
    const hash = given.toString();
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
    show();
  }

  form.addEventListener("input", write);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(write));
  window.addEventListener("hashchange", read);
  form.hidden = false;
  read();
})();
