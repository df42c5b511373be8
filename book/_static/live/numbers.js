// Numbers and lists as the live pictures write them.
"use strict";

const numbers = (() => {
  const superscript = (n) => String(n).replace(/./g, (c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻");

  function shown(value, digits = 4, padded = false) {
    if (value === 0) return "0";
    if (value < 0) return `−${shown(-value, digits, padded)}`;
    const [mantissa, exponent] = value.toExponential(digits - 1).split("e").map(Number);
    if (exponent > 5 || exponent < -3) return `${mantissa} × 10${superscript(exponent)}`;
    const rounded = Number(value.toPrecision(digits));
    const text = padded && exponent < digits ? value.toPrecision(digits) : String(rounded);
    const [whole, part] = text.split(".");
    const grouped = whole.length > 4 ? whole.replace(/\B(?=(\d{3})+$)/g, "\u202f") : whole;
    return part ? `${grouped}.${part}` : grouped;
  }

  const decimals = (value, count) => value.toFixed(count).replace("-", "−");

  // a tick on a logarithmic axis: 5·10⁻⁴
  function power(value) {
    const exponent = Math.floor(Math.log10(value) + 1e-9);
    const factor = Math.round(value / 10 ** exponent);
    return `${factor > 1 ? `${factor}·` : ""}10${superscript(exponent)}`;
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

  return { shown, decimals, power, superscript, percent, signedPercent, listed };
})();
