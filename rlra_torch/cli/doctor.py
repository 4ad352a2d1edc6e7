"""``rlra doctor``: what this machine has, what is installed, and what is missing for what."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import textwrap
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from .options import add_json


class Extra(NamedTuple):
    """What an extra of the package adds, and the packages that it takes."""

    purpose: str
    packages: tuple[str, ...]


NEEDED = (
    "matplotlib",
    "numpy",
    "opt-einsum",
    "psutil",
    "pytorch-lightning",
    "rich",
    "scipy",
    "tensorly",
    "torch",
    "torchmetrics",
    "torchvision",
)
EXTRAS = {
    "bench": Extra(
        "more peers to time against", ("matcouply", "nmf-torch", "scikit-learn", "torchnmf")
    ),
    "completion": Extra("rlra completion", ("shtab",)),
    "hsi": Extra("ENVI images and spectral libraries", ("spectral",)),
    "io": Extra("matrices in .h5 and .zarr", ("h5py", "zarr")),
    "music": Extra(
        "rlra learn-notes and transcribe", ("mir_eval", "music21", "pretty_midi", "soundfile")
    ),
    "report": Extra("the page of rlra report", ("plotly",)),
    "sklearn": Extra("the estimators rlra_torch.sklearn", ("scikit-learn",)),
    "train": Extra("rlra train, test and predict", ("jsonargparse", "tensorboard")),
}


def add_doctor(commands: Any) -> None:  # noqa: ANN401
    """Add the parser."""
    parser = commands.add_parser(
        "doctor",
        usage="rlra doctor [--json]",
        help="tell what is installed, and what is missing for what",
        description=(
            "Versions, devices and memory of this machine; the packages that are installed,\n"
            "and for those that are missing what they serve and the command that adds them."
        ),
        epilog="example:\n  rlra doctor",
    )
    parser.set_defaults(run=_run_doctor)
    add_json(parser)


def _run_doctor(arguments: argparse.Namespace) -> None:
    found = _found()
    print(json.dumps(found) if arguments.json else _described(found))


def _found() -> dict[str, Any]:
    missing = [name for name in NEEDED if _version(name) is None]
    lacking = {
        name: [package for package in extra.packages if _version(package) is None]
        for name, extra in EXTRAS.items()
    }
    extras = [name for name, packages in lacking.items() if packages]
    return {
        "rlra_torch": import_module("rlra_torch").__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {name: _version(name) for name in NEEDED},
        "extras": {
            name: {"for": purpose, "packages": {each: _version(each) for each in packages}}
            for name, (purpose, packages) in EXTRAS.items()
        },
        "missing": {"needed": missing, "extras": extras},
        "install": _install(missing, extras),
        "machine": _machine(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _install(missing: list[str], extras: list[str]) -> str | None:
    """The command that adds what is missing; what is needed comes with the package."""
    chosen = f"[{','.join(extras)}]" if extras else ""
    return f"pip install {shlex.quote(f'rlra-torch{chosen}')}" if missing or extras else None


def _machine() -> dict[str, Any]:
    """Cores and devices, as far as the packages that know them are there."""
    found: dict[str, Any] = {"cores": os.cpu_count(), "triton": _version("triton")}
    if _version("psutil") is not None:
        import psutil

        memory = psutil.virtual_memory()
        found |= {"memory_gb": _gb(memory.total), "free_gb": _gb(memory.available)}
    if _version("torch") is None:
        return found
    import torch

    cuda = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    about = {f"cuda:{index}": torch.cuda.get_device_properties(index) for index in cuda}
    devices = {
        name: {"name": one.name, "memory_gb": _gb(one.total_memory)} for name, one in about.items()
    }
    if torch.backends.mps.is_available():
        devices["mps"] = {"name": platform.processor(), "memory_gb": None}
    built = torch.version.cuda
    return {**found, "threads": torch.get_num_threads(), "built_for": built, "devices": devices}


def _gb(count: int) -> float:
    return round(count / 1e9, 1)


def _described(found: dict[str, Any]) -> str:
    machine = found["machine"]
    lines = [
        f"rlra_torch {found['rlra_torch']}, Python {found['python']}, {found['system']}",
        f"cpu: {machine['cores']} cores, {machine.get('threads', '?')} threads, "
        f"{machine.get('memory_gb', '?')} GB of memory, {machine.get('free_gb', '?')} free",
        *_devices(machine),
        "packages: " + _listed(found["packages"]),
        "",
    ]
    for name, extra in found["extras"].items():
        mark = "missing" if name in found["missing"]["extras"] else "ok"
        lines.append(f"{mark:8}{name:11}{extra['for']}: {_listed(extra['packages'])}")
    shown = "\n".join(_folded(line) for line in lines)
    install = found["install"]
    return f"{shown}\n\n" + (f"to add what is missing:\n{install}" if install else "all is there")


def _devices(machine: dict[str, Any]) -> list[str]:
    triton = f"Triton {machine['triton']}" if machine["triton"] else "no Triton"
    devices = machine.get("devices", {})
    if not devices:
        built = "built for CUDA " + machine["built_for"] if machine.get("built_for") else "CPU only"
        return [f"cuda: none usable; torch is {built}; {triton}"]
    shown = [
        f"{name}: {device['name']}, {device['memory_gb'] or '?'} GB"
        for name, device in devices.items()
    ]
    return [*shown, triton]


def _listed(packages: dict[str, str | None]) -> str:
    return ", ".join(f"{name} {found or 'MISSING'}" for name, found in packages.items())


def _folded(line: str) -> str:
    return textwrap.fill(line, 79, subsequent_indent="    ", break_on_hyphens=False)
