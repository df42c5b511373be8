// JEPA's loss while aligned features are learned, as chapter 5 has it, with a target that follows the
// encoder at a rate, and a predictor that learns alpha times as fast as a layer. tests/browser/test_live.py
// holds it against the package and against SciPy.
"use strict";

const losses = (() => {
  const FINE = 1e-9; // of the estimate of a step's error, which is of a lower order than the step
  const MOST_STEPS = 50_000;
  const ARRIVED = 0.005; // of a logarithm
  const ROOT6 = Math.sqrt(6);
  // Radau IIA with three stages, order 5: the terms that oppose each other may be fast
  const STAGES = [(4 - ROOT6) / 10, (4 + ROOT6) / 10, 1];
  const MATRIX = [
    [(88 - 7 * ROOT6) / 360, (296 - 169 * ROOT6) / 1800, (-2 + 3 * ROOT6) / 225],
    [(296 + 169 * ROOT6) / 1800, (88 + 7 * ROOT6) / 360, (-2 - 3 * ROOT6) / 225],
    [(16 - ROOT6) / 36, (16 + ROOT6) / 36, 1 / 9],
  ];
  const ERROR = [(-13 - 7 * ROOT6) / 3, (-13 + 7 * ROOT6) / 3, -1 / 3];
  const REAL = 3 + 3 ** (2 / 3) - 3 ** (1 / 3);

  // The equations of one feature in the paper's clock: x the logarithm of a layer's scale, z that of a
  // layer of the target's. Without decay the predictor's scale v follows from x, for v^2 / alpha - omega^2
  // is conserved.
  function equations({ lam, rho }, { L, eps, alpha, tau }) {
    const c = eps ** (1 / L);
    const variance = lam / rho;
    const start = Math.log(c);
    const own = tau === Infinity; // the target is the encoder
    const predictor = (x) => c * Math.sqrt(Math.max(0, 1 + alpha * Math.expm1(2 * (x - start))));

    // Velocities of x and z, and their derivatives by both.
    function at([x, z]) {
      const v = predictor(x);
      const dv = (alpha * Math.exp(2 * x)) / v;
      const seen = lam * Math.exp(L * (own ? x : z));
      const held = variance * Math.exp(L * x);
      const below = Math.exp((L - 2) * x);
      const left = seen - v * held;
      const byX = -held * (dv + L * v) + (own ? L * seen : 0);
      const velocity = (v * below * left) / L;
      const rowX = [(below * ((dv + (L - 2) * v) * left + v * byX)) / L, own ? 0 : v * below * seen];
      if (own) return [[velocity, velocity], [rowX, rowX]];
      const lag = Math.exp(x - z);
      return [[velocity, (tau * Math.expm1(x - z)) / L], [rowX, [(tau * lag) / L, (-tau * lag) / L]]];
    }

    // gap, floor, variance of the target and the loss's velocity
    function parts([x, z]) {
      const [[vx, vz]] = at([x, z]);
      const v = predictor(x);
      const w = Math.exp(L * x);
      const target = Math.exp(L * (own ? x : z));
      const miss = v * w - rho * target;
      const moved = w * vx * ((alpha * Math.exp(2 * x)) / v + L * v) - rho * L * target * vz;
      const left = Math.max(0, variance - lam * rho);
      return {
        size: w,
        gap: 0.5 * variance * miss ** 2,
        floor: 0.5 * left * target ** 2,
        variance: variance * target ** 2,
        gapVelocity: variance * miss * moved,
        floorVelocity: left * L * target ** 2 * vz,
        varianceVelocity: 2 * L * variance * target ** 2 * vz,
      };
    }

    // Where x and z tend to; -Infinity where the encoder dies.
    function end() {
      const square = c ** 2 + (rho ** 2 - c ** 2) / alpha;
      if (tau > 0) return Array(2).fill(square > 0 ? 0.5 * Math.log(square) : -Infinity);
      // before a frozen target v w rises to rho times its size
      const goal = Math.log(rho) + L * start;
      let [low, high] = [start - 60, start + 60];
      for (let n = 0; n < 200; n++) {
        const middle = (low + high) / 2;
        const above = Math.log(predictor(middle)) + L * middle > goal;
        [low, high] = above ? [low, middle] : [middle, high];
      }
      return [low, start];
    }

    return { start: [start, start], at, parts, end };
  }

  // --- integration -----------------------------------------------------------------------------------

  function inverse(rows) {
    const n = rows.length;
    const all = rows.map((row, i) => [...row, ...Array.from({ length: n }, (_, j) => Number(i === j))]);
    for (let i = 0; i < n; i++) {
      let best = i;
      for (let k = i + 1; k < n; k++) if (Math.abs(all[k][i]) > Math.abs(all[best][i])) best = k;
      [all[i], all[best]] = [all[best], all[i]];
      const pivot = all[i][i];
      for (let j = i; j < 2 * n; j++) all[i][j] /= pivot;
      for (let k = 0; k < n; k++) {
        const factor = all[k][i];
        if (k === i || factor === 0) continue;
        for (let j = i; j < 2 * n; j++) all[k][j] -= factor * all[i][j];
      }
    }
    return all.map((row) => row.slice(n));
  }

  // One step of length h: the new state and an estimate of the error, or nothing where it is too long.
  function step({ at }, y, h) {
    const [velocity, slope] = at(y);
    const rows = MATRIX.flatMap((weights, i) =>
      [0, 1].map((p) =>
        weights.flatMap((weight, j) => [0, 1].map((q) => Number(i === j && p === q) - h * weight * slope[p][q])),
      ),
    );
    const solve = inverse(rows);
    const moved = STAGES.flatMap((share) => velocity.map((one) => 0.5 * share * h * one));
    let before = Infinity;
    for (let n = 0; n < 30; n++) {
      const found = [0, 1, 2].map((j) => at([y[0] + moved[2 * j], y[1] + moved[2 * j + 1]])[0]);
      const miss = MATRIX.flatMap((weights, i) =>
        [0, 1].map((p) => h * weights.reduce((sum, weight, j) => sum + weight * found[j][p], 0) - moved[2 * i + p]),
      );
      let change = 0;
      for (let i = 0; i < 6; i++) {
        let by = 0;
        for (let j = 0; j < 6; j++) by += solve[i][j] * miss[j];
        moved[i] += by;
        change = Math.max(change, Math.abs(by));
      }
      if (!(change < 10)) return undefined;
      if (change < 1e-15 || (change < 1e-12 && change >= before)) break;
      if (n === 29) return undefined;
      before = change;
    }
    const terms = [0, 1].map((p) => velocity[p] + ERROR.reduce((sum, e, j) => sum + e * moved[2 * j + p], 0) / h);
    const [[a, b], [c, d]] = [
      [REAL / h - slope[0][0], -slope[0][1]],
      [-slope[1][0], REAL / h - slope[1][1]],
    ];
    const det = a * d - b * c;
    const error = Math.max(Math.abs(d * terms[0] - b * terms[1]), Math.abs(a * terms[1] - c * terms[0])) / Math.abs(det);
    return { y: [y[0] + moved[4], y[1] + moved[5]], error };
  }

  // A feature's course: its states at times that grow, followed further when asked.
  function course(feature, view) {
    const system = equations(feature, view);
    const end = system.end();
    const times = [0];
    const states = [system.start];
    const fastest = Math.max(...system.at(system.start)[0].map(Math.abs), 1e-300);
    let h = 1e-3 / fastest;

    function advance(until) {
      while (times.at(-1) < until && times.length < MOST_STEPS) {
        const made = step(system, states.at(-1), h);
        const size = made ? made.error / FINE : 1e4;
        if (size <= 1) {
          times.push(times.at(-1) + h);
          states.push(made.y);
        }
        h *= Math.min(4, Math.max(0.2, 0.9 * Math.max(size, 1e-8) ** -0.25));
      }
    }

    const near = (value, goal, from) =>
      goal === -Infinity ? value < from - 3 : Math.abs(value - goal) <= ARRIVED;

    return {
      system,
      first: 1 / fastest,
      // when it has arrived, to half a per cent of a layer's scale
      arrival() {
        for (let n = 0; n < times.length || times.length < MOST_STEPS; n++) {
          if (n === times.length) advance(times.at(-1) + h);
          if (n === times.length) break;
          const [x, z] = states[n];
          if (near(x, end[0], system.start[0]) && near(z, end[1], system.start[1])) return times[n];
        }
        return times.at(-1);
      },
      stateAt(t) {
        advance(t);
        let [low, high] = [0, times.length];
        while (high - low > 1) {
          const middle = (low + high) >> 1;
          if (times[middle] <= t) low = middle;
          else high = middle;
        }
        const rest = t - times[low];
        return rest > 0 ? (step(system, states[low], rest)?.y ?? states[low]) : states[low];
      },
    };
  }

  // The features together: what a log would show.
  function training(list, view) {
    const all = list.map((feature) => course(feature, view));
    const horizon = 2 * Math.max(...all.map((one) => one.arrival()), 0) || 1;
    const first = 0.02 * Math.min(...all.map((one) => one.first));

    function at(t) {
      const parts = all.map(({ system, stateAt }) => system.parts(stateAt(t)));
      const sum = (name) => parts.reduce((total, one) => total + one[name], 0);
      const [gap, floor, variance] = ["gap", "floor", "variance"].map(sum);
      const loss = gap + floor;
      const velocity = sum("gapVelocity") + sum("floorVelocity");
      const share = (2 * loss) / variance;
      return {
        t, loss, floor, variance, share, velocity,
        shareVelocity: (2 * velocity - share * sum("varianceVelocity")) / variance,
        sizes: parts.map(({ size }) => size),
      };
    }
    return { at, horizon, first: Math.min(first, horizon / 10) };
  }

  // A zero between two places where a function has different signs, by regula falsi (Illinois).
  function root(value, low, high, below, above) {
    for (let n = 0, side = 0; n < 60 && high - low > 1e-15 * high; n++) {
      const middle = (low * above - high * below) / (above - below);
      const found = value(middle);
      if (found === 0 || middle <= low || middle >= high) return middle;
      if (Math.sign(found) === Math.sign(above)) {
        [high, above] = [middle, found];
        if (side > 0) below /= 2;
        side = 1;
      } else {
        [low, below] = [middle, found];
        if (side < 0) above /= 2;
        side = -1;
      }
      if (Math.abs(found) < 1e-14 * Math.max(Math.abs(above), Math.abs(below))) return middle;
    }
    return (low + high) / 2;
  }

  // Where a curve turns: the points, in order, from the start to the end, at which it goes from falling to
  // rising or back, without those between which it moves by less than a thousandth.
  function turns({ at, horizon }, grid, name) {
    const key = name === "loss" ? "velocity" : "shareVelocity";
    const found = [at(0)];
    for (let n = 1; n < grid.length; n++) {
      if (grid[n - 1][key] * grid[n][key] >= 0) continue;
      found.push(at(root((t) => at(t)[key], grid[n - 1].t, grid[n].t, grid[n - 1][key], grid[n][key])));
    }
    found.push(at(horizon));
    for (let n = 1; n + 2 < found.length; ) {
      const still = Math.abs(found[n + 1][name] / found[n][name] - 1) < 1e-3;
      if (still) found.splice(n, 2), (n = 1);
      else n++;
    }
    if (found.length > 2 && Math.abs(found[1][name] / found[0][name] - 1) < 1e-3) found.splice(1, 1);
    if (found.length > 2 && Math.abs(found.at(-2)[name] / found.at(-1)[name] - 1) < 1e-3) found.splice(-2, 1);
    return found;
  }

  return { training, turns };
})();
