"""A first result of the theory, for a reader who installed it alone: `make theory`."""

from jepabook import JEPA, MAE, __version__, critical_time
from jepabook._support.command import Parser

FEATURES = {"clean": (1.0, 1.0), "noisy": (1.2, 0.6)}  # name: (lam, rho), those of chapter 1
NETWORK = {"depth": 5, "epsilon": 1e-2}
GO_ON = "Go on: .venv-theory/bin/python, and the reference of the package, book/api/theory.md"


def lines():
    """The times to half of each feature's size, as a table of text, and who goes first."""
    lam, rho = zip(*FEATURES.values(), strict=True)
    times = {o: critical_time.exact(o, lam, rho, **NETWORK) for o in (JEPA, MAE)}
    yield f"jepabook {__version__}, without PyTorch. Time to learn half of a feature, at L = 5:"
    yield f"{'feature':<24}{'JEPA':>10}{'MAE':>10}"
    for n, name in enumerate(FEATURES):
        told = f"{name}, λ = {lam[n]}, ρ = {rho[n]}"
        yield f"{told:<24}{times[JEPA][n]:>10.0f}{times[MAE][n]:>10.1f}"
    first = {o: min(zip(times[o], FEATURES, strict=True))[1] for o in times}
    yield f"JEPA learns the {first[JEPA]} one first, MAE the {first[MAE]} one."
    yield GO_ON


def main():
    Parser("python -m tools.theory", description=__doc__).parse_args()
    print(*lines(), sep="\n")


if __name__ == "__main__":
    main()
