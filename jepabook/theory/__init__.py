"""The theory: one feature at a time, the whole network at small width, and where training ends.

Needs NumPy and SciPy only. ``lam`` is λ, ``rho`` is ρ, ``depth`` is the encoder's L.
"""
