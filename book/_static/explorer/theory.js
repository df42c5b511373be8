// The mathematics of the explorer, and nothing else: the closed form of chapters 3 to 5 as the
// package has it (jepabook/clock.py, dynamics.py, critical_time.py). tests/test_explorer.py holds it
// against the package. A classic script, not a module, so that it also loads from a file:// address.
"use strict";

const theory = (() => {
  // The two objectives differ in k of q = k - 1/L alone.
  const JEPA = { name: "JEPA", base: 3 };
  const MAE = { name: "MAE", base: 2 };

  // Nodes and weights of the 16-point Gauss-Legendre rule on [-1, 1], x > 0.
  const GAUSS = [
    [0.09501250983763744, 0.1894506104550685],
    [0.2816035507792589, 0.1826034150449236],
    [0.45801677765722737, 0.16915651939500254],
    [0.6178762444026438, 0.14959598881657673],
    [0.755404408355003, 0.12462897125553388],
    [0.8656312023878318, 0.09515851168249279],
    [0.9445750230732326, 0.06225352393864789],
    [0.9894009349916499, 0.027152459411754096],
  ];

  // s = 3 - q, m = (q - 1) / s, and the final size, a power of rho.
  function exponents(objective, depth) {
    const power = (3 - objective.base) * depth + 1;
    return {
      s: power / depth,
      m: ((objective.base - 1) * depth - 1) / power,
      size: depth / power,
    };
  }

  function finalSize(objective, rho, depth) {
    return rho ** exponents(objective, depth).size;
  }

  // The integral of z^f along y = logit z, that is of z^(f - 1) / (1 - z) along z.
  function integral(f, from, to) {
    const panels = Math.max(1, Math.ceil(Math.abs(to - from) / (f > 1 ? 1 : 4)));
    const half = (to - from) / (2 * panels);
    let total = 0;
    for (let n = 0; n < panels; n++) {
      const middle = from + (2 * n + 1) * half;
      for (const [x, weight] of GAUSS) {
        const left = (1 + Math.exp(half * x - middle)) ** -f;
        const right = (1 + Math.exp(-half * x - middle)) ** -f;
        total += weight * (left + right);
      }
    }
    return total * half;
  }

  const logit = (logZ) => logZ - Math.log(-Math.expm1(logZ));
  const logExpit = (y) => (y > 0 ? -Math.log1p(Math.exp(-y)) : y - Math.log1p(Math.exp(y)));

  // F(e^stop) - F(e^start) = s lam rho^m t, as a sum of terms of one sign: the finitely many
  // powers of z that diverge at 0, and a tail, which is logit z where m is an integer.
  function clock(m, start, stop) {
    const rest = Math.ceil(m) - m;
    const from = logit(start);
    const to = logit(stop);
    let total = rest ? integral(rest, from, to) : to - from;
    for (let power = m; power > 0; power--) {
      total -= (Math.exp(-power * start) * Math.expm1(-power * (stop - start))) / power;
    }
    return total;
  }

  // The same for a start above the final size, from which a feature shrinks: with u = 1 / z the
  // clock is the integral of u^m / (1 - u).
  function shrinkingClock(m, start, stop) {
    return integral(m + 1, logit(-start), logit(-stop));
  }

  // log z at the start; positive where the feature starts above its final size.
  function logStart(objective, { rho }, depth, epsilon) {
    return exponents(objective, depth).s * Math.log(epsilon) - Math.log(rho);
  }

  function timeScale(objective, { lam, rho }, depth) {
    const { s, m } = exponents(objective, depth);
    return rho ** -m / (s * lam);
  }

  // t* of eq. (11): negative where the start is beyond the fraction p of the final size already,
  // NaN where it is at or above the final size.
  function criticalTime(objective, feature, depth, epsilon, p) {
    const { s, m } = exponents(objective, depth);
    const start = logStart(objective, feature, depth, epsilon);
    if (start >= 0) return NaN;
    return timeScale(objective, feature, depth) * clock(m, start, s * Math.log(p));
  }

  // The paper's asymptotic time: the sum in (12) for JEPA, the leading term of (13) for MAE, and
  // (121) for MAE with one layer.
  function paperTime(objective, feature, depth, epsilon) {
    const { m } = exponents(objective, depth);
    const start = logStart(objective, feature, depth, epsilon);
    if (start >= 0) return NaN;
    if (m === 0) return -Math.log(epsilon) / feature.lam;
    let total = 0;
    for (let power = m; power > 0; power--) total += Math.exp(-power * start) / power;
    return timeScale(objective, feature, depth) * total;
  }

  // All terms of the expansion of chapter 5 that do not vanish with epsilon. What it leaves out of
  // the exact time is the series of the others, itself an integral from z = 0.
  function completeTime(objective, feature, depth, epsilon, p) {
    const { m } = exponents(objective, depth);
    const start = logStart(objective, feature, depth, epsilon);
    if (start >= 0) return NaN;
    const rest = Math.ceil(m) - m;
    const vanishing = rest ? fromZero(rest, start) : -Math.log(-Math.expm1(start));
    const exact = criticalTime(objective, feature, depth, epsilon, p);
    return exact + timeScale(objective, feature, depth) * vanishing;
  }

  // The integral of z^(f - 1) / (1 - z) from 0, by its series as far as z = 1/2.
  function fromZero(f, logZ) {
    const first = Math.min(logZ, -Math.LN2);
    const z = Math.exp(first);
    let total = 0;
    for (let n = 55; n >= 0; n--) total = total * z + 1 / (n + f);
    total *= Math.exp(f * first);
    return logZ > first ? total + integral(f, logit(first), logit(logZ)) : total;
  }

  // Points (t, w / w_inf) of a whole trajectory, until it is within e^-17 of its end. Their steps in
  // logit z follow the rate of the clock.
  function trajectory(objective, feature, depth, epsilon) {
    const { s, m } = exponents(objective, depth);
    const start = logStart(objective, feature, depth, epsilon);
    if (start === 0) return [{ t: 0, share: 1 }];
    const grows = start < 0;
    const run = grows ? clock : shrinkingClock;
    const scale = timeScale(objective, feature, depth);
    const sign = grows ? 1 : -1; // of the logarithm that tends to 0 from below
    const points = [{ t: 0, share: Math.exp(start / s) }];
    let before = sign * start;
    let step = 0.005;
    for (let y = logit(before), t = 0; y < 17; ) {
      const slowdown = (grows ? m : m + 1) * -Math.expm1(before);
      step = Math.min(1.3 * step, 0.15 / (1 + 0.5 * slowdown));
      y += step;
      const next = logExpit(y);
      t += scale * run(m, sign * before, sign * next);
      points.push({ t, share: Math.exp((sign * next) / s) });
      before = next;
    }
    return points;
  }

  return { JEPA, MAE, finalSize, criticalTime, paperTime, completeTime, trajectory };
})();
