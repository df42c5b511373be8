// Filters for the rows of the ledger, and the evidence that unfolds under each. What the filters ask
// for is said in rows.js, made of ledger.json; words are sought in the rows, which have the TeX of
// their formulas as annotations. The state lives in the address. An address that names a row, #eq-77,
// shows that row whatever the filters say.
"use strict";

(() => {
  const form = document.getElementById("ledger-filters");
  const status = form.querySelector("[role=status]");
  const table = [...document.querySelectorAll("article table")].find((one) =>
    one.querySelector("tbody td:first-child [id]"),
  );
  if (!table) return;

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

  const [NAMES, facets] = LEDGER;
  const rows = [...table.tBodies[0].rows].map((row) => {
    const id = row.querySelector("[id]").id;
    const link = row.querySelector(".ledger-more");
    link.remove();
    const text = `${id} ${id.replace("-", ":")} ${row.textContent}`.toLowerCase();
    const values = Object.fromEntries(NAMES.map((name, i) => [name, [facets[id][i]].flat()]));
    values.chapter = [String(parseInt(values.chapter))];
    const one = { row, id, text, values, evidence: null };
    row.cells[0].append(button(one, link));
    return one;
  });

  for (const name of NAMES) {
    const values = [...new Set(rows.flatMap((row) => row.values[name]))];
    if (name === "section" || name === "chapter") values.sort(sameFirst);
    form.elements[name].replaceChildren(...["", ...values].map((value) => new Option("", value)));
  }

  // A button in the place of the link to the source: it unfolds a row with the evidence below.
  function button(one, link) {
    const made = document.createElement("button");
    made.type = "button";
    made.className = link.className;
    made.textContent = link.textContent;
    made.ariaLabel = link.ariaLabel;
    made.ariaExpanded = "false";
    made.addEventListener("click", () => {
      const open = made.ariaExpanded !== "true";
      made.ariaExpanded = String(open);
      one.evidence ??= load(one, link);
      one.evidence.dataset.open = open;
      fold(one);
    });
    return made;
  }

  function load(one, link) {
    const evidence = one.row.parentElement.insertRow(one.row.sectionRowIndex + 1);
    evidence.className = "ledger-evidence";
    const cell = evidence.insertCell();
    cell.colSpan = one.row.cells.length;
    const told = document.createElement("p");
    told.role = "status";
    told.textContent = "Loading …";
    cell.append(told);
    const script = document.createElement("script");
    script.src = `../_static/ledger/evidence/${one.id}.js`;
    script.onerror = () => {
      const source = link.cloneNode();
      source.removeAttribute("class");
      source.removeAttribute("aria-label");
      source.textContent = "its source";
      told.replaceChildren("The evidence did not load. The statement is in ", source, ".");
    };
    document.head.append(script);
    return evidence;
  }

  window.showEvidence = (id, html) => {
    const cell = rows.find((one) => one.id === id).evidence.cells[0];
    cell.innerHTML = html;
    letScroll(cell);
  };

  function fold({ row, evidence }) {
    if (evidence) evidence.hidden = row.hidden || evidence.dataset.open !== "true";
  }

  let led = null; // the row that the address names

  const spelled = (text) =>
    text.toLowerCase().replace(/[α-ωϵ]/g, (letter) => (GREEK[letter] ? `\\${GREEK[letter]}` : letter));

  function fits(row, but) {
    const wanted = spelled(form.elements.words.value).split(/\s+/);
    return (
      NAMES.every((name) => {
        const value = form.elements[name].value;
        return name === but || !value || row.values[name].includes(value);
      }) && wanted.every((word) => row.text.includes(word))
    );
  }

  function show() {
    let count = 0;
    for (const row of rows) {
      const shown = fits(row);
      count += shown;
      row.row.hidden = !shown && row !== led;
      fold(row);
    }
    for (const name of NAMES) {
      const open = rows.filter((row) => fits(row, name));
      for (const option of form.elements[name].options) {
        const value = option.value;
        const number = open.filter((row) => !value || row.values[name].includes(value)).length;
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
