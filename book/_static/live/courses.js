// What becomes of features under an objective, from theory.js.
"use strict";

const courses = (() => {
  const NEARLY = 0.01; // times within one per cent of each other count as one

  // fate: learned at a time; "beyond" the fraction p at the start already; or shrinking.
  function of(objective, features, { L, eps, p }) {
    return features.map((feature, index) => {
      const exact = theory.criticalTime(objective, feature, L, eps, p);
      return {
        ...feature,
        index,
        exact,
        fate: Number.isNaN(exact) ? "shrinks" : exact > 0 ? "learned" : "beyond",
        paper: theory.paperTime(objective, feature, L, eps),
        complete: theory.completeTime(objective, feature, L, eps, p),
        size: theory.finalSize(objective, feature.rho, L),
        points: theory.trajectory(objective, feature, L, eps),
      };
    });
  }

  const learned = (all) =>
    all.filter(({ fate }) => fate === "learned").sort((a, b) => a.exact - b.exact);
  const spread = (sorted) => sorted.at(-1).exact / sorted[0].exact - 1;
  const together = (sorted) => sorted.length > 1 && spread(sorted) < NEARLY;

  // The end of the time axis: all that can be learned is learned, and nine tenths of the way is gone.
  function horizon(all) {
    for (const fate of ["learned", "beyond", "shrinks"]) {
      const times = all
        .filter((item) => item.fate === fate)
        .map(({ points, exact }) => {
          const way = Math.abs(points[0].share - 1);
          const there = points.find(({ share }) => Math.abs(share - 1) <= 0.1 * way);
          return Math.max(there.t, exact || 0);
        });
      if (times.length && Math.max(...times) > 0) return 1.2 * Math.max(...times);
    }
    return 1;
  }

  const shareAt = (objective, item, { L, eps }, time) =>
    theory.shareAt(objective, item, L, eps, time, item.points);

  return { of, learned, spread, together, horizon, shareAt };
})();
