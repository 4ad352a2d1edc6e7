"""Timings of parts, run by scripts/benchmark.py.

paired      who takes turns, and the tables
peers       least-squares NMF of other packages
matrices    NMF: to a target, one iteration, inner iterations
columns     pure pixels and sparse regressions, all pixels at once
tensors     products of a tensor, and one iteration of CP
layers      unrolled networks, forward and backward
"""
