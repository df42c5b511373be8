// The mathematics of the live pictures, and nothing else: the closed form of chapters 2, 8 and 9 as the
// package has it (jepabook/clock.py, dynamics.py, critical_time.py). tests/test_explorer.py holds it
// against the package. A classic script, not a module, so that it also loads from a file:// address.
"use strict";

const theory = (() => {
  // The two objectives differ in k of q = k - 1/L alone.
  const JEPA = { name: "JEPA", base: 3 };
  const MAE = { name: "MAE", base: 2 };
  const BOTH = [JEPA, MAE];

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

  // All terms of the expansion of chapter 9 that do not vanish with epsilon. What it leaves out of
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

  // Points (t, w / w_inf) of a whole trajectory, until it is within e^-17 of its end; y is logit z, or
  // logit 1/z of a feature that shrinks. Their steps in y follow the rate of the clock.
  function trajectory(objective, feature, depth, epsilon) {
    const { s, m } = exponents(objective, depth);
    const start = logStart(objective, feature, depth, epsilon);
    if (start === 0) return [{ t: 0, share: 1 }];
    const sign = start < 0 ? 1 : -1; // of the logarithm that tends to 0 from below
    const advance = clockFrom(objective, feature, depth, sign);
    let y = logit(sign * start);
    const points = [{ t: 0, share: Math.exp(start / s), y }];
    let step = 0.005;
    for (let t = 0; y < 17; ) {
      const slowdown = (sign > 0 ? m : m + 1) * -Math.expm1(logExpit(y));
      step = Math.min(1.3 * step, 0.15 / (1 + 0.5 * slowdown));
      t += advance(y, y + step);
      y += step;
      points.push({ t, share: Math.exp((sign * logExpit(y)) / s), y });
    }
    return points;
  }

  // The time from one y to another.
  function clockFrom(objective, feature, depth, sign) {
    const { m } = exponents(objective, depth);
    const run = sign > 0 ? clock : shrinkingClock;
    const scale = timeScale(objective, feature, depth);
    return (from, to) => scale * run(m, sign * logExpit(from), sign * logExpit(to));
  }

  // w / w_inf at a time: the points of the trajectory enclose it, and between two of them the clock
  // is solved for y by regula falsi (Illinois).
  function shareAt(objective, feature, depth, epsilon, time, points) {
    points ??= trajectory(objective, feature, depth, epsilon);
    if (time <= 0 || points.length === 1) return points[0].share;
    const { s } = exponents(objective, depth);
    const sign = points[0].share < 1 ? 1 : -1;
    const share = (y) => Math.exp((sign * logExpit(y)) / s);
    const next = points.findIndex(({ t }) => t >= time);
    if (next < 0) {
      const { t, y } = points.at(-1); // from here on y runs at a constant rate, to e^-17
      return share(y + (time - t) / timeScale(objective, feature, depth));
    }
    const from = points[next - 1];
    const advance = clockFrom(objective, feature, depth, sign);
    let [low, high] = [from.y, points[next].y];
    let [before, after] = [from.t - time, points[next].t - time];
    for (let n = 0, side = 0; n < 60 && high - low > 1e-14 * Math.abs(high); n++) {
      const y = (low * after - high * before) / (after - before);
      const miss = from.t + advance(from.y, y) - time;
      if (Math.abs(miss) <= 1e-14 * time || y <= low || y >= high) return share(y);
      if (miss > 0) {
        [high, after] = [y, miss];
        if (side > 0) before /= 2;
        side = 1;
      } else {
        [low, before] = [y, miss];
        if (side < 0) after /= 2;
        side = -1;
      }
    }
    return share((low + high) / 2);
  }

  // Chapter 1's equation for a layer, at the scale c: what pushes it, lam, and what brakes it, a share
  // of the variance lam / rho: one layer's for JEPA, the whole stack's for MAE.
  function firstMetre(objective, { lam, rho }, depth, epsilon) {
    const { s } = exponents(objective, depth);
    const through = Math.exp(s * Math.log(epsilon)); // c for JEPA, c^(L + 1) for MAE
    return { push: lam, brake: (through * lam) / rho, through };
  }

  // The ratio of lam at which two features are learned at one time, at the fraction p of their sizes.
  function boundary(objective, rho, other, depth, epsilon, p) {
    const time = (value) => criticalTime(objective, { lam: 1, rho: value }, depth, epsilon, p);
    return time(other) / time(rho);
  }

  return {
    JEPA, MAE, BOTH, finalSize, criticalTime, paperTime, completeTime, trajectory, shareAt, firstMetre, boundary,
  };
})();
