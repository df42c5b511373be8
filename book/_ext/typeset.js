// MathJax without a page, for formulas.py: its components first (COMPONENTS there), then this.
"use strict";

const { core, handlers, input, output, adaptors, mathjax } = MathJax._;
const PACKAGES = ["base", "ams", "newcommand", "boldsymbol", "cancel", "braket", "color"];

const dom = adaptors.liteAdaptor.liteAdaptor();
handlers.html_ts.RegisterHTMLHandler(dom);
const tex = new input.tex_ts.TeX({
  packages: PACKAGES,
  formatError: (jax, error) => {
    throw error;
  },
});
const chtml = new output.chtml_ts.CHTML({
  font: new output.chtml.fonts.tex_ts.TeXFont({ fontURL: "formulas" }),
});
const page = mathjax.mathjax.document("", { InputJax: tex, OutputJax: chtml });
const mathml = new core.MmlTree.SerializedMmlVisitor.SerializedMmlVisitor();
const escape = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };

// A page may hold no styles itself: each becomes a rule, and its elements name it.
const styles = new Map();
function moveStyles(node) {
  const style = dom.getAttribute(node, "style");
  if (style) {
    if (!styles.has(style)) styles.set(style, styles.size);
    dom.removeAttribute(node, "style");
    dom.setAttribute(node, "data-s", String(styles.get(style)));
  }
  dom.childNodes(node).filter((one) => dom.kind(one) !== "#text").forEach(moveStyles);
}

// One formula: what is seen, and MathML with the TeX for those who hear it or search for it.
function typeset(source, display) {
  const item = new page.options.MathItem(source, tex, display);
  item.setMetrics(16, 8, 80 * 16, 1e7, 1);
  try {
    item.convert(page, core.MathItem.STATE.TYPESET);
  } catch (error) {
    return { error: error.message };
  }
  const shown = item.typesetRoot;
  moveStyles(shown);
  dom.setAttribute(dom.firstChild(shown), "aria-hidden", "true");
  const heard = mathml
    .visitTree(item.root)
    .replace(/\n\s*/g, "")
    .replace(/ data-mjx-[\w-]+="[^"]*"/g, "");
  const from = heard.indexOf(">") + 1;
  const inside = heard.slice(from, -"</math>".length);
  const said = source.trim().replace(/[&<>]/g, (sign) => escape[sign]);
  const math =
    `${heard.slice(0, from)}<semantics><mrow>${inside}</mrow>` +
    `<annotation encoding="application/x-tex">${said}</annotation></semantics></math>`;
  const end = "</mjx-container>";
  const html = dom.outerHTML(shown);
  return { html: `${html.slice(0, -end.length)}<mjx-assistive-mml>${math}</mjx-assistive-mml>${end}` };
}

// The style sheet of all that was set so far. The styles of single elements come before its rules.
const rule = ([style, name]) => `[data-s="${name}"] { ${style.replace(/;/g, " !important;")} }`;
const sheet = () =>
  [dom.textContent(chtml.styleSheet(page)), ...Array.from(styles, rule), ""].join("\n");
