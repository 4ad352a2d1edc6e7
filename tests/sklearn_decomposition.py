"""Run scikit-learn's own tests of its NMF on ours, loaded from where it is installed."""

import sys

import pytest
import sklearn.decomposition as theirs

import rlra_torch.sklearn as ours

NAMES = ("NMF", "MiniBatchNMF", "non_negative_factorization")


def main(arguments):
    """The exit status of scikit-learn's test file, its public names bound to ours."""
    for name in NAMES:
        setattr(theirs, name, getattr(ours, name))
    options = [
        "-q",
        "-rf",
        "--tb=short",
        "-c",
        "/dev/null",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore",
    ]
    target = f"{theirs.__path__[0]}/tests/test_nmf.py"
    return pytest.main([*options, "-W", "ignore", "--import-mode=importlib", target, *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
