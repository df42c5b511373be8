// Deep linear networks trained in float64, as the package's engine trains them (jepabook's networks.py,
// linear_net.py, minibatch.py): one seed, one curve. tests/test_live.py holds it against the package.
"use strict";

const network = (() => {
  // --- random numbers: the stream of torch.Generator on a CPU (Mersenne Twister) --------------------

  function generator(seed) {
    const N = 624;
    const words = new Uint32Array(N);
    words[0] = seed >>> 0;
    for (let j = 1; j < N; j++) words[j] = Math.imul(1812433253, words[j - 1] ^ (words[j - 1] >>> 30)) + j;
    let next = N;
    let kept; // the second of a pair of normal numbers, where few are asked for

    function advance() {
      for (let j = 0; j < N; j++) {
        const mixed = (words[j] & 0x80000000) | (words[(j + 1) % N] & 0x7fffffff);
        words[j] = words[(j + 397) % N] ^ (mixed >>> 1) ^ (mixed & 1 ? 0x9908b0df : 0);
      }
      next = 0;
    }

    function word() {
      if (next === N) advance();
      let y = words[next++];
      y ^= y >>> 11;
      y ^= (y << 7) & 0x9d2c5680;
      y ^= (y << 15) & 0xefc60000;
      return (y ^ (y >>> 18)) >>> 0;
    }

    // 53 bits of two words, the first one high
    function uniform() {
      const high = word() & 0x1fffff;
      return (high * 4294967296 + word()) * 2 ** -53;
    }

    // Box and Muller: sixteen at a time, the last sixteen anew where the count is no multiple; below
    // sixteen, pair by pair.
    function normals(count) {
      const out = new Float64Array(count);
      if (count < 16) {
        for (let i = 0; i < count; i++) {
          if (kept !== undefined) {
            [out[i], kept] = [kept, undefined];
            continue;
          }
          const [first, second] = [uniform(), uniform()];
          const radius = Math.sqrt(-2 * Math.log1p(-second));
          out[i] = radius * Math.cos(2 * Math.PI * first);
          kept = radius * Math.sin(2 * Math.PI * first);
        }
        return out;
      }
      const sixteen = (from) => {
        for (let i = from; i < from + 8; i++) {
          const radius = Math.sqrt(-2 * Math.log(1 - out[i]));
          const angle = 2 * Math.PI * out[i + 8];
          out[i] = radius * Math.cos(angle);
          out[i + 8] = radius * Math.sin(angle);
        }
      };
      for (let i = 0; i < count; i++) out[i] = uniform();
      for (let i = 0; i + 15 < count; i += 16) sixteen(i);
      if (count % 16) {
        for (let i = count - 16; i < count; i++) out[i] = uniform();
        sixteen(count - 16);
      }
      return out;
    }

    return { uniform, normals };
  }

  // --- matrices (d, d), row by row --------------------------------------------------------------------

  const zeros = (d) => new Float64Array(d * d);

  function identity(d, scale = 1) {
    const out = zeros(d);
    for (let i = 0; i < d; i++) out[i * d + i] = scale;
    return out;
  }

  // a b, or a' b, or a b'
  function multiply(a, b, d, turnA = false, turnB = false) {
    const out = zeros(d);
    const [rowA, stepA] = turnA ? [1, d] : [d, 1];
    const [stepB, columnB] = turnB ? [1, d] : [d, 1];
    for (let i = 0; i < d; i++) {
      for (let j = 0; j < d; j++) {
        let sum = 0;
        for (let k = 0; k < d; k++) sum += a[i * rowA + k * stepA] * b[k * stepB + j * columnB];
        out[i * d + j] = sum;
      }
    }
    return out;
  }

  // Q of a = Q R with a positive diagonal of R: columns made orthogonal, twice.
  function orthogonal(a, d) {
    const q = a.slice();
    for (let j = 0; j < d; j++) {
      for (let round = 0; round < 2; round++) {
        for (let i = 0; i < j; i++) {
          let along = 0;
          for (let k = 0; k < d; k++) along += q[k * d + i] * q[k * d + j];
          for (let k = 0; k < d; k++) q[k * d + j] -= along * q[k * d + i];
        }
      }
      let square = 0;
      for (let k = 0; k < d; k++) square += q[k * d + j] ** 2;
      for (let k = 0; k < d; k++) q[k * d + j] /= Math.sqrt(square);
    }
    return q;
  }

  // --- starts -----------------------------------------------------------------------------------------

  // L layers of the encoder and the decoder. Random ones are those of networks.initial_weights; of an
  // aligned start the encoder is the orthogonal one, and the decoder what Assumption 3.1 asks for.
  function start(kind, objective, depth, d, gain, seed) {
    const all = generator(seed).normals((depth + 1) * d * d);
    const layers = Array.from({ length: depth + 1 }, (_, a) => all.slice(a * d * d, (a + 1) * d * d));
    if (kind === "gaussian") return layers.map((layer) => layer.map((value) => (value * gain) / Math.sqrt(d)));
    const turned = layers.map((layer) => orthogonal(layer, d).map((value) => value * gain));
    if (kind === "aligned") turned[depth] = aligned(objective, turned.slice(0, depth), d, gain);
    return turned;
  }

  function aligned(objective, encoder, d, gain) {
    if (objective === theory.JEPA) return identity(d, gain);
    const whole = encoder.reduce((below, layer) => multiply(layer, below, d));
    const scale = gain ** (1 - encoder.length);
    return Float64Array.from({ length: d * d }, (_, i) => scale * whole[(i % d) * d + Math.floor(i / d)]);
  }

  // --- what is learned from ---------------------------------------------------------------------------

  // Covariances of x and of y with x: the population's, or at every call those of `batch` new pairs,
  // x = y + noise with E[y y] = lam and E[x x] = lam / rho, rho <= 1, as minibatch.GaussianViews draws them.
  function source(features, batch, seed) {
    const d = features.length;
    const diagonal = (value) => {
      const out = zeros(d);
      features.forEach((feature, i) => (out[i * d + i] = value(feature)));
      return out;
    };
    const xx = diagonal(({ lam, rho }) => lam / rho);
    const yx = diagonal(({ lam }) => lam);
    if (!batch) return () => ({ xx, yx });
    const random = generator(seed);
    const factor = features.map(({ lam, rho }) => Math.sqrt(lam / rho));
    const slope = features.map(({ lam }, i) => lam / factor[i]);
    const left = features.map(({ lam }, i) => lam - slope[i] * slope[i]);
    const rounding = 8 * d * Number.EPSILON * Math.max(...features.map(({ lam }) => lam));
    const noise = left.map((value) => (value > rounding ? Math.sqrt(value) : 0));
    return () => {
      const [a, b] = [random.normals(d * batch), random.normals(d * batch)];
      const y = new Float64Array(d * batch);
      const x = new Float64Array(d * batch);
      for (let i = 0; i < d; i++) {
        for (let k = i * batch; k < (i + 1) * batch; k++) {
          x[k] = factor[i] * a[k];
          y[k] = slope[i] * a[k] + noise[i] * b[k];
        }
      }
      return { xx: covariance(x, x, d, batch), yx: covariance(y, x, d, batch) };
    };
  }

  function covariance(rows, columns, d, batch) {
    const out = zeros(d);
    for (let i = 0; i < d; i++) {
      for (let j = 0; j < d; j++) {
        let sum = 0;
        for (let k = 0; k < batch; k++) sum += rows[i * batch + k] * columns[j * batch + k];
        out[i * d + j] = sum / batch;
      }
    }
    return out;
  }

  // --- training ---------------------------------------------------------------------------------------

  // One network. settings: depth, gain, start, batch (0: the population), rate, decay, tau (Infinity: the
  // target is the encoder), seed. Minibatches take the seed after the start's.
  function run(objective, features, settings) {
    const { depth, gain, rate, decay, tau, seed } = settings;
    const d = features.length;
    const layers = start(settings.start, objective, depth, d, gain, seed);
    const draw = source(features, settings.batch, seed + 1);
    const slow = objective === theory.JEPA && tau !== Infinity ? layers.slice(0, depth).map((layer) => layer.slice()) : null;
    const share = Math.min(1, rate * tau);
    const one = identity(d);
    const product = (all) => all.reduce((below, layer) => multiply(layer, below, d));

    function step() {
      const products = [];
      layers.forEach((layer, a) => products.push(a ? multiply(layer, products[a - 1], d) : layer));
      const target = objective === theory.JEPA ? (slow ? product(slow) : products[depth - 1]) : one;
      const { xx, yx } = draw();
      const [forward, back] = [multiply(products[depth], xx, d), multiply(target, yx, d)];
      let residual = forward.map((value, i) => (value - back[i]) * rate);
      const gradients = [];
      for (let a = depth; a > 0; a--) {
        gradients[a] = multiply(residual, products[a - 1], d, false, true);
        residual = multiply(layers[a], residual, d, true);
      }
      gradients[0] = residual;
      layers.forEach((layer, a) => {
        const shrink = 1 - rate * decay;
        layers[a] = layer.map((value, i) => (decay ? value * shrink : value) - gradients[a][i]);
      });
      slow?.forEach((layer, a) => {
        slow[a] = layer.map((value, i) => value + share * (layers[a][i] - value));
      });
    }

    // |W e_i|
    function sizes() {
      const whole = product(layers.slice(0, depth));
      return features.map((_, j) => {
        let square = 0;
        for (let i = 0; i < d; i++) square += whole[i * d + j] ** 2;
        return Math.sqrt(square);
      });
    }

    return { step, sizes, encoder: () => product(layers.slice(0, depth)), layers: () => layers };
  }

  // The sizes at given steps; for the tests.
  function train(objective, features, settings, moments) {
    const one = run(objective, features, settings);
    const recorded = [];
    for (let step = 0; step <= moments.at(-1); step++) {
      if (moments.includes(step)) recorded.push(one.sizes());
      one.step();
    }
    return recorded;
  }

  return { generator, start, run, train };
})();
