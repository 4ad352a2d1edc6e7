"""Races between our iterations and other packages, run by scripts/benchmark.py.

tasks    what is factorized: data, loss, rank
ours     our iterations under their names: adding one is one line
peers    other packages under theirs
judge    objective and KKT residual of anybody's factors, recomputed in float64
track    a process for each method, in which alone the clock runs
running  who runs when; what was measured
report   tables and figures
"""
