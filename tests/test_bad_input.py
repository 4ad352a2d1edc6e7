"""Bad input gets one sentence: before any work, and without a trace on the disk."""

import math

import numpy as np
import pytest
import scipy.sparse
import torch

from rlra_torch import Factorization, Problem, cp, factorize, nmf, nnkl, nnls, solve
from rlra_torch.iterations import (
    FISTA,
    HALS,
    MSOM,
    MU,
    SOM,
    ActiveSet,
    Alternating,
    BlockIteration,
    BurgMirrorDescent,
    Extrapolated,
    Iteration,
    ProjectedGradient,
    ProjectedLeastSquares,
    Repeat,
)
from rlra_torch.losses import BetaDivergence, Frobenius, ItakuraSaito, KullbackLeibler
from rlra_torch.models import CP, NMF, Multilinear, Sensed, Tucker
from rlra_torch.operators import Dense
from rlra_torch.regularizers import (
    L1,
    Box,
    ElasticNet,
    Free,
    Group,
    KSparse,
    LowerBound,
    NonNegative,
    Ridge,
    Simplex,
    UnitNorm,
)
from rlra_torch.solvers import Checkpoint, EarlyStop, load_checkpoint

RNG = np.random.default_rng(0)
Y, A, B = RNG.random((6, 5)), RNG.random((6, 3)), RNG.random(6)
T = torch.from_numpy(Y)
W, H = (torch.from_numpy(RNG.random((size, 2))) for size in (6, 5))
POSITIVE = (NonNegative(), NonNegative())
ABUNDANCES = (NonNegative(), Simplex())
NAN, INF = math.nan, math.inf


def put(x, value):
    """A copy whose first entry is ``value``."""
    x = x.clone() if isinstance(x, torch.Tensor) else x.copy()
    x[(0,) * x.ndim] = value
    return x


def problem(y=T, loss=None, regs=POSITIVE, **settings):
    return Problem(y, NMF(), Frobenius() if loss is None else loss, regs, **settings)


def solved(iteration, start=(W, H), parts=None, **settings):
    return solve(iteration, problem() if parts is None else parts, start, **settings)


def hals(**settings):
    return Alternating(HALS(), **settings)


def sensed(rows=6):
    return Sensed(NMF(), Dense(torch.eye(rows, 6, dtype=torch.float64)))


def modelled(model, start=(W, H), y=T, iteration="mu", **settings):
    return factorize(y, model, "frobenius", iteration, start=start, **settings)


# What is called, the error, and what was given and what is needed as the sentence says them.
DATA = {
    "list": (lambda: nmf(Y.tolist(), 2), TypeError, "got list", "NumPy array"),
    "string": (lambda: nmf("Y", 2), TypeError, "got str", "torch tensor"),
    "none": (lambda: nmf(None, 2), TypeError, "got NoneType", "SciPy sparse"),
    "integer": (lambda: nmf(Y.astype(int), 2), TypeError, "int64", ".astype(float)"),
    "bool": (lambda: nmf(Y > 0.5, 2), TypeError, "bool", "real floating point"),
    "complex": (lambda: nmf(Y + 0j, 2), TypeError, "complex128", "real floating point"),
    "half": (lambda: cp(Y.astype(np.float16), 2), TypeError, "float16", "float32"),
    "longdouble": (lambda: nmf(Y.astype(np.longdouble), 2), TypeError, "float128", "float64"),
    "object": (lambda: nmf(Y.astype(object), 2), TypeError, "object", "real floating point"),
    "text": (lambda: nmf(Y.astype(str), 2), TypeError, "<U", "real floating point"),
    "masked": (lambda: nmf(np.ma.masked_greater(Y, 0.5), 2), TypeError, "masked", "np.nan"),
    "tensor-integer": (lambda: nmf(T.long(), 2), TypeError, "torch.int64", "floating point"),
    "tensor-bool": (lambda: nmf(T > 0.5, 2), TypeError, "torch.bool", "floating point"),
    "tensor-complex": (lambda: nmf(T.cfloat(), 2), TypeError, "torch.complex64", "real"),
    "tensor-half": (lambda: cp(T.half(), 2), TypeError, "torch.float16", "float32"),
    "tensor-bfloat16": (lambda: cp(T.bfloat16(), 2), TypeError, "torch.bfloat16", "float32"),
    "sparse-integer": (
        lambda: nmf(scipy.sparse.csr_matrix(Y.astype(int)), 2), TypeError, "int64", "convert",
    ),
    "tensor-sparse-integer": (
        lambda: nmf(T.long().to_sparse(), 2), TypeError, "torch.int64", "convert",
    ),
    "vector": (lambda: nmf(B, 2), ValueError, "(6,)", "matrix"),
    "number": (lambda: nmf(np.array(1.0), 2), ValueError, "()", "matrix"),
    "cp-vector": (lambda: cp(B, 2), ValueError, "(6,)", "order 2"),
    "cp-order": (lambda: cp(np.ones((1,) * 25), 1), ValueError, "25", "at most 24"),
    "empty": (lambda: nmf(Y[:0], 2), ValueError, "(0, 5)", "empty"),
    "cp-empty": (lambda: cp(np.ones((2, 0, 3)), 2), ValueError, "(2, 0, 3)", "empty"),
    "all-nan": (lambda: nmf(Y * NAN, 2), ValueError, "NaN", "observed"),
    "infinite": (lambda: nmf(put(Y, INF), 2), ValueError, "1 infinite", "NaN"),
    "minus-infinite": (lambda: cp(put(Y, -INF), 2), ValueError, "1 infinite", "NaN"),
    "kl-negative": (lambda: nmf(put(Y, -1), 2, "kl"), ValueError, "1 of 30", "use Frobenius"),
    "is-negative": (lambda: nmf(put(Y, -1), 2, "is"), ValueError, "negative", "clip"),
    "is-zero": (lambda: nmf(put(Y, 0), 2, "is"), ValueError, "1 of 30 entries are zero", "clip"),
    "beta-negative": (lambda: nmf(put(Y, -1), 2, 1.5), ValueError, "negative", "clip"),
    "beta-above-2-negative": (lambda: nmf(put(Y, -1), 2, 3.0), ValueError, "negative", "clip"),
    "beta-below-0-zero": (lambda: nmf(put(Y, 0), 2, -0.5), ValueError, "zero", "mask"),
    "cp-kl-negative": (lambda: cp(put(Y, -1), 2, "kl"), ValueError, "1 of 30", "clip"),
}  # fmt: skip

WEIGHTS = {
    "shape": (lambda: nmf(Y, 2, weights=Y[:3]), ValueError, "(3, 5)", "(6, 5)"),
    "negative": (lambda: nmf(Y, 2, weights=-Y), ValueError, "weights", "nonnegative"),
    "zero": (lambda: nmf(Y, 2, weights=0 * Y), ValueError, "all weights are zero", "observed"),
    "all-masked": (lambda: nmf(Y, 2, weights=Y > 2), ValueError, "weights are zero", "observed"),
    "masked-and-nan": (
        lambda: nmf(np.where(Y > 0.5, Y, NAN), 2, weights=Y <= 0.5), ValueError, "NaN", "observed",
    ),
    "integer": (lambda: nmf(Y, 2, weights=Y.astype(int)), TypeError, "weights", "int64"),
    "complex": (lambda: nmf(Y, 2, weights=Y + 0j), TypeError, "weights", "complex128"),
    "nan": (lambda: nmf(Y, 2, weights=put(Y, NAN)), ValueError, "weights", "finite"),
    "infinite": (lambda: nmf(Y, 2, weights=put(Y, INF)), ValueError, "weights", "finite"),
    "dtype": (
        lambda: nmf(Y, 2, weights=Y.astype(np.float32)), TypeError, "float32", "torch.float64",
    ),
    "device": (lambda: nmf(T, 2, weights=T.to("meta")), TypeError, "meta", "cpu"),
    "mask-device": (lambda: nmf(T, 2, weights=(T > 0).to("meta")), TypeError, "meta", "cpu"),
    "list": (lambda: nmf(Y, 2, weights=Y.tolist()), TypeError, "weights", "list"),
    "string": (lambda: cp(Y, 2, weights="mask"), TypeError, "weights", "str"),
}  # fmt: skip

RANK = {
    "zero": (lambda: nmf(Y, 0), ValueError, "got 0", "at least 1"),
    "negative": (lambda: nmf(Y, -1), ValueError, "got -1", "at least 1"),
    "bool": (lambda: nmf(Y, True), ValueError, "got True", "integer"),
    "float": (lambda: nmf(Y, 2.0), ValueError, "got 2.0", "integer"),
    "string": (lambda: nmf(Y, "2"), ValueError, "got '2'", "integer"),
    "none": (lambda: nmf(Y, None), ValueError, "got None", "integer"),
    "cp-float": (lambda: cp(Y, 2.5), ValueError, "got 2.5", "integer"),
    "nndsvd": (lambda: nmf(Y, 6, init="nndsvd"), ValueError, "rank 6", "between 1 and 5"),
    "nndsvda": (lambda: nmf(Y, 6, init="nndsvda"), ValueError, "rank 6", "random"),
    "nndsvdar": (lambda: nmf(Y, 6, init="nndsvdar"), ValueError, "(6, 5)", "random"),
    "spa": (lambda: nmf(Y, 6, init="spa"), ValueError, "rank 6", "between 1 and 5"),
    "factors": (lambda: nmf(Y, 3, init=(W, H)), ValueError, "rank is 3", "2 columns"),
    "cp-factors": (lambda: cp(Y, 3, init=(W, H)), ValueError, "rank is 3", "2 columns"),
}

INIT = {
    "unknown": (lambda: nmf(Y, 2, init="zeros"), ValueError, "'zeros'", "'nndsvda'"),
    "cp-unknown": (lambda: cp(Y, 2, init="nndsvd"), ValueError, "'nndsvd'", "'svd'"),
    "number": (lambda: nmf(Y, 2, init=5), TypeError, "got int", "factors"),
    "array": (lambda: nmf(Y, 2, init=W), TypeError, "got Tensor", "list of factors"),
    "cp-none": (lambda: cp(Y, 2, init=None), ValueError, "init", "'random'"),
    "one": (lambda: nmf(Y, 2, init=(W,)), ValueError, "got 1", "2 factors"),
    "three": (lambda: nmf(Y, 2, init=(W, H, H)), ValueError, "got 3", "2 factors"),
    "transposed": (lambda: nmf(Y, 2, init=(W, H.T)), ValueError, "(2, 5)", "rank is 2"),
    "exchanged": (lambda: nmf(Y, 2, init=(H, W)), ValueError, "(5, 2)", "is 6 in the data"),
    "columns": (lambda: nmf(Y, 2, init=(W, H[:, :1])), ValueError, "(5, 1)", "rank is 2"),
    "vector": (lambda: nmf(Y, 2, init=(W[:, 0], H)), ValueError, "(6,)", "2 dimensions"),
    "batch": (lambda: nmf(Y, 2, init=(W[None], H[None])), ValueError, "(1,)", "()"),
    "nan": (lambda: nmf(Y, 2, init=(put(W, NAN), H)), ValueError, "factor 0", "1 NaN"),
    "infinite": (lambda: nmf(Y, 2, init=(W, put(H, INF))), ValueError, "factor 1", "infinite"),
    "dtype": (lambda: nmf(Y, 2, init=(W, H.float())), TypeError, "float32", "torch.float64"),
    "device": (lambda: nmf(T, 2, init=(W, H.to("meta"))), TypeError, "meta", "cpu"),
    "integer": (lambda: nmf(Y, 2, init=(W.long(), H)), TypeError, "factor 0", "floating point"),
    "list": (lambda: nmf(Y, 2, init=(W.tolist(), H)), TypeError, "got list", "NumPy array"),
    "inner-none": (lambda: nmf(Y, 2, init=(W, None)), TypeError, "got NoneType", "NumPy array"),
    "kl-negative": (lambda: nmf(Y, 2, "kl", init=(put(W, -1), H)), ValueError, "factor 0", "clip"),
    "mu-negative": (
        lambda: nmf(Y, 2, iteration="mu", init=(W, put(H, -1))), ValueError, "MU", "factor 1",
    ),
    "cp-shape": (lambda: cp(Y[..., None], 2, init=(W, H, H)), ValueError, "(5, 2)", "the data"),
}  # fmt: skip

NAMES = {
    "loss-unknown": (lambda: nmf(Y, 2, "l2"), ValueError, "'l2'", "'frobenius'"),
    "loss-none": (lambda: nmf(Y, 2, None), TypeError, "got NoneType", "a beta"),
    "loss-bool": (lambda: nmf(Y, 2, True), TypeError, "got bool", "a beta"),
    "loss-list": (lambda: nmf(Y, 2, [2]), TypeError, "got list", "a beta"),
    "loss-class": (lambda: nmf(Y, 2, Frobenius), TypeError, "class Frobenius", "Frobenius()"),
    "loss-nan": (lambda: nmf(Y, 2, NAN), ValueError, "got nan", "finite"),
    "loss-infinite": (lambda: cp(Y, 2, INF), ValueError, "got inf", "finite"),
    "iteration-unknown": (lambda: nmf(Y, 2, iteration="adam"), ValueError, "'adam'", "'hals'"),
    "iteration-number": (lambda: nmf(Y, 2, iteration=5), TypeError, "got int", "HALS()"),
    "iteration-class": (lambda: cp(Y, 2, iteration=HALS), TypeError, "class HALS", "HALS()"),
    "nnls-unknown": (lambda: nnls(A, B, "adam"), ValueError, "'adam'", "'active_set'"),
    "nnls-whole": (lambda: nnls(A, B, hals()), TypeError, "got Alternating", "HALS()"),
    "nnkl-number": (lambda: nnkl(A, B, 5), TypeError, "got int", "HALS()"),
    "regs-single": (lambda: nmf(Y, 2, regs=NonNegative()), TypeError, "NonNegative", "list"),
    "regs-one": (lambda: nmf(Y, 2, regs=(Free(),)), ValueError, "1 regularizers", "2 factors"),
    "regs-three": (lambda: nmf(Y, 2, regs=(Free(),) * 3), ValueError, "3 regul", "2 factors"),
    "regs-strings": (lambda: nmf(Y, 2, regs=("l1", "l1")), TypeError, "str", "NonNegative()"),
    "regs-none": (lambda: cp(Y, 2, regs=(None, None)), TypeError, "NoneType", "NonNegative()"),
    "regs-class": (lambda: nmf(Y, 2, regs=(Free, Free)), TypeError, "class Free", "Free()"),
}

SETTINGS = {
    "max-iter-zero": (lambda: nmf(Y, 2, max_iter=0), ValueError, "got 0", "at least 1"),
    "max-iter-float": (lambda: nmf(Y, 2, max_iter=10.0), ValueError, "got 10.0", "integer"),
    "max-iter-bool": (lambda: cp(Y, 2, max_iter=True), ValueError, "got True", "integer"),
    "check-every-zero": (lambda: nmf(Y, 2, check_every=0), ValueError, "got 0", "at least 1"),
    "check-every-float": (lambda: nmf(Y, 2, check_every=1.5), ValueError, "got 1.5", "integer"),
    "tol-negative": (lambda: nmf(Y, 2, tol=-1.0), ValueError, "got -1", "nonnegative"),
    "tol-nan": (lambda: nmf(Y, 2, tol=NAN), ValueError, "got nan", "tol"),
    "tol-none": (lambda: nmf(Y, 2, tol=None), (TypeError, ValueError), "None", "tol"),
    "tol-string": (lambda: nnls(A, B, tol="small"), (TypeError, ValueError), "small", "tol"),
    "seed-float": (lambda: nmf(Y, 2, seed=1.5), ValueError, "got 1.5", "integer"),
    "seed-none": (lambda: cp(Y, 2, seed=None), ValueError, "got None", "integer"),
    "seed-string": (lambda: nmf(Y, 2, seed="a"), ValueError, "got 'a'", "integer"),
    "seed-negative": (lambda: nmf(Y, 2, seed=-1), ValueError, "got -1", "at least 0"),
    "seed-large": (lambda: cp(Y, 2, seed=2**64), ValueError, "got 18446744073709551616", "2^63"),
    "callbacks-single": (lambda: nmf(Y, 2, callbacks=print), TypeError, "builtin", "callbacks"),
    "callbacks-number": (lambda: nmf(Y, 2, callbacks=[5]), TypeError, "int", "callbacks"),
    "resume-string": (lambda: nmf(Y, 2, resume="a.pt"), TypeError, "str", "load_checkpoint"),
    "nnls-max-iter": (lambda: nnls(A, B, max_iter=0), ValueError, "got 0", "at least 1"),
    "nnkl-tol": (lambda: nnkl(A, B, tol=-1e-3), ValueError, "got -0.001", "nonnegative"),
}

PAIRINGS = {
    "hals-kl": (lambda: nmf(Y, 2, "kl", "hals"), TypeError, "KullbackLeibler", "use MU"),
    "hals-beta": (lambda: nmf(Y, 2, 1.5, "hals"), TypeError, "BetaDivergence", "use MU"),
    "fista-kl": (lambda: nmf(Y, 2, "kl", "fista"), TypeError, "KullbackLeibler", "use MU"),
    "pg-is": (lambda: nmf(Y, 2, "is", "pg"), TypeError, "ItakuraSaito", "use MU"),
    "als-kl": (lambda: nmf(Y, 2, "kl", "als"), TypeError, "KullbackLeibler", "use MU"),
    "active-set-kl": (lambda: nmf(Y, 2, "kl", "active_set"), TypeError, "ActiveSet", "use MU"),
    "burg-frobenius": (lambda: nmf(Y, 2, iteration="burg"), TypeError, "Frobenius", "use MU"),
    "burg-is": (lambda: nmf(Y, 2, "is", "burg"), TypeError, "ItakuraSaito", "use MU"),
    "hals-simplex": (lambda: nmf(Y, 2, regs=ABUNDANCES), TypeError, "Simplex", "use MSOM"),
    "mu-simplex": (
        lambda: nmf(Y, 2, iteration="mu", regs=ABUNDANCES), TypeError, "Simplex", "MU",
    ),
    "burg-simplex": (
        lambda: nmf(Y, 2, "kl", "burg", regs=ABUNDANCES), TypeError, "Simplex", "split",
    ),
    "mu-unit-norm": (
        lambda: nmf(Y, 2, "kl", regs=(UnitNorm(True), Free())), TypeError, "UnitNorm", "MU",
    ),
    "active-set-box": (
        lambda: nmf(Y, 2, iteration="active_set", regs=(Free(), Box())),
        TypeError, "ActiveSet", "NonNegative",
    ),
    "active-set-free": (
        lambda: cp(Y, 2, iteration="active_set", regs=(Free(), Free())), TypeError, "Free", "FISTA",
    ),
    "sensed-hals": (
        lambda: modelled(sensed(), iteration="hals"), TypeError, "Sensed", "use MU",
    ),
    "sensed-active-set": (
        lambda: modelled(sensed(), iteration="active_set"), TypeError, "Sensed", "gram",
    ),
    "nnls-burg": (lambda: nnls(A, B, "burg"), TypeError, "Frobenius", "use MU"),
    "nnkl-hals": (lambda: nnkl(A, B, "hals"), TypeError, "HALS", "use MU"),
    "nnkl-active-set": (lambda: nnkl(A, B, "active_set"), TypeError, "ActiveSet", "use MU"),
    "nnkl-fista": (lambda: nnkl(A, B, "fista"), TypeError, "FISTA", "use MU"),
    "nnls-mu-signs": (lambda: nnls(A - 0.5, B, "mu"), ValueError, "MU", "negative"),
}  # fmt: skip

REGRESSION = {
    "shape": (lambda: nnls(A, B[:5]), ValueError, "(5,)", "(6,) or (6, k)"),
    "batch": (lambda: nnls(A, np.ones((2, 6, 1))), ValueError, "(2, 6, 1)", "(6, k)"),
    "vector": (lambda: nnls(B, B), ValueError, "(6,)", "matrix"),
    "empty": (lambda: nnls(A[:, :0], B), ValueError, "(6, 0)", "empty"),
    "nan-A": (lambda: nnls(put(A, NAN), B), ValueError, "A has 1 NaN", "rows"),
    "nan-Y": (lambda: nnls(A, put(B, NAN)), ValueError, "Y has 1 NaN", "rows"),
    "infinite-Y": (lambda: nnkl(A, put(B, INF)), ValueError, "Y has 1", "infinite"),
    "all-nan": (lambda: nnls(A, B * NAN), ValueError, "6 NaN", "of 6"),
    "negative-A": (lambda: nnkl(put(A, -1), B), ValueError, "A has 1 negative", "use nnls"),
    "negative-Y": (lambda: nnkl(A, put(B, -1)), ValueError, "Y has 1 negative", "use nnls"),
    "dtype": (lambda: nnls(A.astype(np.float32), B), TypeError, "float32", "torch.float64"),
    "device": (lambda: nnls(torch.from_numpy(A).to("meta"), T), TypeError, "meta", "cpu"),
    "list-A": (lambda: nnls(A.tolist(), B), TypeError, "A must be", "got list"),
    "list-Y": (lambda: nnls(A, B.tolist()), TypeError, "Y must be", "got list"),
    "integer-A": (lambda: nnls(A.astype(int), B), TypeError, "A must be", "int64"),
    "bool-Y": (lambda: nnkl(A, B > 0.5), TypeError, "Y must be", "bool"),
    "l1-negative": (lambda: nnls(A, B, l1=-1.0), ValueError, "l1", "nonnegative"),
    "ridge-nan": (lambda: nnls(A, B, ridge=NAN), ValueError, "ridge", "finite"),
    "l1-none": (lambda: nnkl(A, B, l1=None), TypeError, "l1", "NoneType"),
    "ridge-string": (lambda: nnkl(A, B, ridge="a"), TypeError, "ridge", "a"),
}

MODELS = {
    "no-arrow": (lambda: Multilinear("ir,jr"), ValueError, "'ir,jr'", "->"),
    "no-output": (lambda: Multilinear("ir,jr->"), ValueError, "'ir,jr->'", "output"),
    "repeated": (lambda: Multilinear("iir,jr->ij"), ValueError, "'iir'", "repeats"),
    "unknown": (lambda: Multilinear("ir,jr->ik"), ValueError, "'k'", "in no factor"),
    "lone": (lambda: Multilinear("irs,jr->ij"), ValueError, "'s'", "one factor only"),
    "no-letters": (lambda: Multilinear("i1,j1->ij"), ValueError, "'i1'", "letters"),
    "ellipsis": (lambda: Multilinear("...ir,jr->ij"), ValueError, "'...ir'", "letters"),
    "blank": (lambda: Multilinear(""), ValueError, "''", "'ir,jr->ij'"),
    "two-arrows": (lambda: Multilinear("ir->jr->ij"), ValueError, "'jr->ij'", "letters"),
    "number": (lambda: Multilinear(5), TypeError, "got 5", "string"),
    "none": (lambda: Multilinear(None), TypeError, "got None", "string"),
    "cp-order": (lambda: CP(1), ValueError, "got 1", "at least 2"),
    "cp-string": (lambda: CP("3"), (TypeError, ValueError), "'3'", "order"),
    "cp-float": (lambda: CP(2.0), (TypeError, ValueError), "2.0", "order"),
    "tucker-order": (lambda: Tucker(13), ValueError, "got 13", "from 2 to 12"),
    "operator": (
        lambda: Sensed(Multilinear("ir,jr,kr->ijk"), Dense(torch.eye(2))), ValueError, "3", "2",
    ),
    "name": (lambda: modelled("nmf"), TypeError, "got str", "NMF()"),
    "class": (lambda: modelled(NMF), TypeError, "class NMF", "NMF()"),
    "data-order": (lambda: modelled(CP(3), (W, H, H)), ValueError, "(6, 5)", "3 dimensions"),
    "start-name": (lambda: modelled(NMF(), "random"), TypeError, "got str", "factors"),
    "start-none": (lambda: modelled(NMF(), None), TypeError, "got NoneType", "factors"),
    "start-function": (lambda: modelled(NMF(), lambda y: (W, H.T)), ValueError, "(2, 5)", "data"),
    "sensed-shape": (lambda: modelled(sensed(4)), ValueError, "(6, 5)", "(4, 5)"),
    "beta-string": (lambda: BetaDivergence("a"), ValueError, "'a'", "finite real number"),
    "beta-none": (lambda: BetaDivergence(None), ValueError, "None", "finite real number"),
}  # fmt: skip

PROBLEMS = {
    "array": (lambda: problem(Y), TypeError, "got ndarray", "Tensor"),
    "model": (lambda: Problem(T, "nmf", Frobenius(), POSITIVE), TypeError, "got str", "Model"),
    "loss": (lambda: problem(loss="kl"), TypeError, "got str", "Loss"),
    "regs-none": (lambda: problem(regs=None), TypeError, "got NoneType", "list of regularizers"),
    "regs-single": (lambda: problem(regs=Free()), TypeError, "got Free", "list of regularizers"),
    "regs-strings": (lambda: problem(regs=("a", "b")), TypeError, "got str", "Regularizer"),
    "regs-one": (lambda: problem(regs=(Free(),)), ValueError, "1 regularizers", "2 factors"),
    "vector": (lambda: problem(T[0]), ValueError, "(5,)", "2 dimensions"),
    "free-none": (lambda: problem().freeze(0, 1), ValueError, "got ()", "0..1"),
    "free-large": (lambda: problem(free=(2,)), ValueError, "got (2,)", "0..1"),
    "free-number": (lambda: problem(free=0), ValueError, "got 0", "0..1"),
    "weights-shape": (lambda: problem(weights=T[:2]), ValueError, "(2, 5)", "(6, 5)"),
    "weights-array": (lambda: problem(weights=Y), TypeError, "got ndarray", "Tensor"),
    "weights-dtype": (lambda: problem(weights=T.float()), TypeError, "float32", "torch.float64"),
    "weights-bool": (lambda: problem(weights=T > 0), TypeError, "torch.bool", "torch.float64"),
    "weights-device": (lambda: problem(weights=T.to("meta")), TypeError, "meta", "cpu"),
    "weights-negative": (
        lambda: solved(hals(), parts=problem(weights=-T)), ValueError, "weights", "nonnegative",
    ),
    "weights-zero": (
        lambda: solved(hals(), parts=problem(weights=0 * T)), ValueError, "weights are zero", "obs",
    ),
    "nan": (lambda: problem(put(T, NAN)).validate((W, H)), ValueError, "the data", "1 NaN"),
    "integer": (lambda: problem(T.long()).validate((W, H)), TypeError, "torch.int64", "real"),
    "empty": (lambda: problem(T[:0]).validate((W, H)), ValueError, "(0, 5)", "empty"),
    "kl-data": (
        lambda: problem(-T, KullbackLeibler()).validate((W, H)), ValueError, "30 of 30", "clip",
    ),
    "is-data": (
        lambda: problem(put(T, 0), ItakuraSaito()).validate((W, H)), ValueError, "zero", "clip",
    ),
    "kl-frozen": (
        lambda: problem(loss=KullbackLeibler(), free=(1,)).validate((put(W, -1), H)),
        ValueError, "factor 0", "1 negative",
    ),
    "factors-one": (lambda: problem().validate((W,)), ValueError, "got 1", "2 factors"),
    "factors-array": (lambda: problem().validate((W.numpy(), H)), TypeError, "ndarray", "tensor"),
    "factors-dtype": (lambda: problem().validate((W.float(), H)), TypeError, "float32", "float64"),
    "reg-dtype": (
        lambda: problem(regs=(NonNegative(torch.ones(2)), Free())).validate((W, H)),
        TypeError, "l1", "torch.float64",
    ),
}  # fmt: skip

SOLVES = {
    "block": (lambda: solved(HALS()), TypeError, "HALS", "Alternating"),
    "name": (lambda: solved("hals"), TypeError, "str", "Iteration"),
    "problem": (lambda: solve(hals(), "problem", (W, H)), TypeError, "str", "Problem"),
    "start-none": (lambda: solved(hals(), None), TypeError, "NoneType", "factors"),
    "start-array": (lambda: solved(hals(), W), (TypeError, ValueError), "factors", ""),
    "max-iter": (lambda: solved(hals(), max_iter=0), ValueError, "got 0", "at least 1"),
    "tol": (lambda: solved(hals(), tol=NAN), ValueError, "got nan", "tol"),
    "check-every": (lambda: solved(hals(), check_every=0), ValueError, "got 0", "at least 1"),
    "iterations": (lambda: solved(Alternating((HALS(),) * 3)), TypeError, "3", "2 factors"),
    "inner": (lambda: solved(hals(inner=(1, 2, 3))), TypeError, "3", "2 factors"),
    "order": (lambda: solved(hals(order=(5,))), (TypeError, ValueError), "5", "order"),
    "mu-start": (lambda: solved(Alternating(MU()), (put(W, -1), H)), ValueError, "MU", "factor 0"),
    "mu-frozen": (
        lambda: solved(Alternating(MU()), (put(W, -1), H), problem(free=(1,))),
        ValueError, "MU", "1 negative",
    ),
    "mu-inside": (
        lambda: solved(Extrapolated(Alternating((HALS(), MU()))), (put(W, -1), H)),
        ValueError, "MU", "1 negative",
    ),
}  # fmt: skip

KINDS = (TypeError, ValueError)
ITERATIONS = {
    "pivots-zero": (lambda: ActiveSet(0), ValueError, "got 0", "at least"),
    "pivots-float": (lambda: ActiveSet(2.5), KINDS, "2.5", "ivot"),
    "floor-negative": (lambda: MU(-1.0), ValueError, "got -1", "0 <= floor < 1"),
    "floor-one": (lambda: MU(1.0), ValueError, "got 1.0", "0 <= floor < 1"),
    "floor-string": (lambda: MU("a"), KINDS, "a", "floor"),
    "gamma-zero": (lambda: MSOM(0), ValueError, "got 0", "(0, 2)"),
    "gamma-two": (lambda: MSOM(2.0), ValueError, "got 2.0", "(0, 2)"),
    "gamma-nan": (lambda: ProjectedGradient(NAN), ValueError, "got nan", "gamma"),
    "gamma-negative": (lambda: SOM(torch.ones_like, -1.0), ValueError, "got -1", "(0, 2)"),
    "gamma-string": (lambda: MSOM("a"), KINDS, "a", "gamma"),
    "gamma-none": (lambda: ProjectedGradient(None), KINDS, "None", "gamma"),
    "direction": (lambda: SOM(5), KINDS, "5", "direction"),
    "inner-zero": (lambda: hals(inner=0), ValueError, "got 0", "at least 1"),
    "inner-second": (lambda: hals(inner=(1, 0)), ValueError, "got 0", "at least 1"),
    "inner-float": (lambda: hals(inner=1.5), KINDS, "1.5", "inner"),
    "inner-list-float": (lambda: hals(inner=(1, 1.5)), KINDS, "1.5", "inner"),
    "inner-string": (lambda: hals(inner="3"), KINDS, "3", "inner"),
    "inner-bool": (lambda: hals(inner=True), KINDS, "True", "inner"),
    "alternating-string": (lambda: Alternating("hals"), TypeError, "str", "block iteration"),
    "alternating-number": (lambda: Alternating(5), TypeError, "int", "block iteration"),
    "alternating-empty": (lambda: Alternating([]), KINDS, "Alternating", "block iteration"),
    "alternating-class": (lambda: Alternating(HALS), TypeError, "HALS", "block iteration"),
    "alternating-whole": (lambda: Alternating([hals()]), TypeError, "Alternating", "block"),
    "repeat-zero": (lambda: Repeat(hals(), 0), ValueError, "got 0", "at least"),
    "repeat-float": (lambda: Repeat(hals(), 1.5), KINDS, "1.5", "Repeat"),
    "repeat-block": (lambda: Repeat(HALS(), 2), TypeError, "HALS", "Alternating"),
    "extrapolated-block": (lambda: Extrapolated(HALS()), TypeError, "HALS", "Alternating"),
    "extrapolated-beta": (lambda: Extrapolated(hals(), beta=1.0), ValueError, "beta=1.0", "needs"),
    "extrapolated-eta": (lambda: Extrapolated(hals(), eta=0.5), ValueError, "eta=0.5", "needs"),
    "early-negative": (lambda: EarlyStop(-1), ValueError, "got -1", "nonnegative"),
    "early-nan": (lambda: EarlyStop(NAN), ValueError, "got nan", "decrease"),
    "checkpoint-every": (lambda: Checkpoint("a.pt", 0), ValueError, "got 0", "at least 1"),
    "checkpoint-path": (lambda: Checkpoint(5), TypeError, "int", "str"),
}

REGULARIZERS = {
    "l1-negative": (lambda: NonNegative(-1.0), ValueError, "got -1", "nonnegative"),
    "l1-nan": (lambda: NonNegative(NAN), ValueError, "got nan", "finite"),
    "l1-infinite": (lambda: L1(INF), ValueError, "got inf", "finite"),
    "l1-none": (lambda: NonNegative(None), KINDS, "NoneType", "l1"),
    "l1-string": (lambda: NonNegative("a"), KINDS, "a", "l1"),
    "l1-array": (lambda: NonNegative(np.ones(2)), KINDS, "ndarray", "l1"),
    "ridge-negative": (lambda: Ridge(-1.0), ValueError, "got -1", "nonnegative"),
    "box-reversed": (lambda: Box(1, 0), ValueError, "[1, 0]", "lower < upper"),
    "box-nan": (lambda: Box(NAN, 1), ValueError, "[nan, 1]", "lower < upper"),
    "box-string": (lambda: Box("a"), KINDS, "a", "lower"),
    "interval-empty": (lambda: ElasticNet(1, 1, 2, 2), ValueError, "[2, 2]", "lower < upper"),
    "bound-infinite": (lambda: LowerBound(INF), ValueError, "inf", "lower < upper"),
    "simplex-zero": (lambda: Simplex(0), ValueError, "got 0", "positive"),
    "simplex-nan": (lambda: Simplex(NAN), ValueError, "got nan", "simplex"),
    "simplex-infinite": (lambda: Simplex(INF), ValueError, "got inf", "simplex"),
    "simplex-string": (lambda: Simplex("a"), KINDS, "a", "simplex"),
    "simplex-dim": (lambda: Simplex(dim=0), ValueError, "got 0", "-1"),
    "norm-dim": (lambda: UnitNorm(dim=1), ValueError, "got 1", "-2"),
    "sparse-zero": (lambda: KSparse(0), ValueError, "got 0", "at least 1"),
    "sparse-float": (lambda: KSparse(1.5), KINDS, "1.5", "k"),
    "sparse-bool": (lambda: KSparse(True), KINDS, "True", "k"),
    "sparse-string": (lambda: KSparse("a"), KINDS, "a", "k"),
    "group-negative": (lambda: Group(-1.0), ValueError, "got -1", "nonnegative"),
    "group-none": (lambda: Group(None), KINDS, "NoneType", "weight"),
}

SECTIONS = {
    "data": DATA,
    "weights": WEIGHTS,
    "rank": RANK,
    "init": INIT,
    "names": NAMES,
    "settings": SETTINGS,
    "pairings": PAIRINGS,
    "regression": REGRESSION,
    "models": MODELS,
    "problems": PROBLEMS,
    "solves": SOLVES,
    "iterations": ITERATIONS,
    "regularizers": REGULARIZERS,
}
CASES = [
    pytest.param(*case, id=f"{section}-{name}")
    for section, cases in SECTIONS.items()
    for name, case in cases.items()
]


def complaint(call, error):
    """What a call complains about: one sentence, of exactly the kind of error expected."""
    with pytest.raises(error) as caught:
        call()
    # A subclass would be an accident deeper down.
    assert caught.type in (error if isinstance(error, tuple) else (error,))
    sentence = str(caught.value)
    assert len(sentence.splitlines()) == 1 and len(sentence) <= 200
    assert ". " not in sentence
    return sentence


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("call", "error", "given", "needed"), CASES)
def test_bad_input_gets_one_sentence(call, error, given, needed, folder, monkeypatch):
    def work(*_):
        raise AssertionError("work was done")

    for kind in (BlockIteration, HALS, FISTA):
        monkeypatch.setattr(kind, "repeat", work)
    for kind in (MU, MSOM, ActiveSet, BurgMirrorDescent, ProjectedGradient, ProjectedLeastSquares):
        monkeypatch.setattr(kind, "forward", work)
    sentence = complaint(call, error)
    assert given in sentence and needed in sentence
    assert list(folder.iterdir()) == []


def test_many_cases_are_held_against_it():
    assert len(CASES) >= 50


@pytest.fixture
def fit():
    return nmf(Y, 2, max_iter=20)


@pytest.mark.parametrize("path", ["fit.txt", "fit", "fit.npz.gz"])
def test_saving_needs_the_right_ending(path, fit, folder):
    for call in (lambda: fit.save(path), lambda: Factorization.load(path)):
        assert ".npz" in complaint(call, ValueError)
    assert list(folder.iterdir()) == []


def test_saving_needs_a_folder(fit, folder):
    sentence = complaint(lambda: fit.save(folder / "missing" / "fit.npz"), FileNotFoundError)
    assert "missing" in sentence and list(folder.iterdir()) == []


def test_saving_leaves_nothing_half_written(fit, folder):
    (folder / "fit.npz").mkdir()
    with pytest.raises(OSError):
        fit.save(folder / "fit.npz")
    assert [path.name for path in folder.iterdir()] == ["fit.npz"]


def test_loading_what_is_not_there(folder):
    assert "fit.npz" in complaint(lambda: Factorization.load("fit.npz"), FileNotFoundError)
    assert "run.pt" in complaint(lambda: load_checkpoint("run.pt"), FileNotFoundError)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "flipped", "array", "other"])
def test_loading_what_is_damaged(damage, fit, folder):
    path = folder / "fit.npz"
    fit.save(path)
    whole = path.read_bytes()
    if damage == "array":
        with path.open("wb") as file:
            np.save(file, Y)
    elif damage == "other":
        np.savez(path, Y=Y)
    else:
        flipped = bytearray(whole)
        flipped[flipped.index(b"NUMPY") + 200] ^= 255
        parts = {"empty": b"", "text": b"W, H", "cut": whole[: len(whole) // 2]}
        path.write_bytes(parts.get(damage, bytes(flipped)))
    sentence = complaint(lambda: Factorization.load(path.relative_to(folder)), ValueError)
    assert "fit.npz" in sentence and "damaged" in sentence
    assert [file.name for file in folder.iterdir()] == ["fit.npz"]


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "other"])
def test_resuming_from_what_is_damaged(damage, folder):
    path = folder / "run.pt"
    nmf(Y, 2, max_iter=20, callbacks=[Checkpoint(path)])
    whole = path.read_bytes()
    if damage == "other":
        torch.save({"factors": (W, H)}, path)
    else:
        parts = {"empty": b"", "text": b"W, H", "cut": whole[: len(whole) // 2]}
        path.write_bytes(parts[damage])
    sentence = complaint(lambda: load_checkpoint("run.pt"), ValueError)
    assert "run.pt" in sentence and "damaged" in sentence
    assert [file.name for file in folder.iterdir()] == ["run.pt"]


def test_resuming_must_fit(folder):
    nmf(Y, 2, max_iter=20, tol=0.0, callbacks=[Checkpoint("run.pt")])
    progress = load_checkpoint("run.pt")
    assert "is 4 in the data but 6" in complaint(lambda: nmf(Y[:4], 2, resume=progress), ValueError)
    other = complaint(lambda: nmf(Y, 2, iteration="fista", resume=progress), ValueError)
    assert "iteration" in other
    other = complaint(lambda: nmf(Y.astype(np.float32), 2, resume=progress), TypeError)
    assert "float64" in other


def test_plotting_one_problem_only(fit):
    batch = nmf(np.stack([Y, Y]), 2, max_iter=5)
    assert "batch" in complaint(batch.plot, ValueError)
    assert "'time'" in complaint(lambda: fit.plot(x="time"), ValueError)


def test_iterations_are_abstract():
    for kind in (Iteration, BlockIteration):
        with pytest.raises(TypeError, match="abstract"):
            kind()
