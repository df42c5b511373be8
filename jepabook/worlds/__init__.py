"""Where (λ, ρ) come from: random masks, a flickering world, photographs.

Needs NumPy and SciPy; `photographs` also the extra ``photographs``.
"""
