"""What every test can ask for: a device, a dtype, and a seeded generator."""

import os

import pytest
import torch


def pytest_addoption(parser):
    parser.addoption("--device", default="cpu", help="where the tests put their tensors")
    parser.addoption("--dtype", default="float64", choices=["float32", "float64"])


def pytest_configure(config):
    os.environ.setdefault("MPLBACKEND", "Agg")
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    torch.set_num_threads(max(1, torch.get_num_threads() // workers))


@pytest.fixture
def device(request) -> torch.device:
    return torch.device(request.config.getoption("device"))


@pytest.fixture
def dtype(request) -> torch.dtype:
    return getattr(torch, request.config.getoption("dtype"))


@pytest.fixture
def generator(device) -> torch.Generator:
    return torch.Generator(device).manual_seed(0)
