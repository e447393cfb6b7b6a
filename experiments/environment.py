"""What a result was made with: versions and the machine, without names or paths."""

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("numpy", "scipy", "torch", "cma", "pyswarm", "matplotlib")


def versions(*more: str) -> dict[str, str]:
    """Return the versions of Python, of the packages that results depend on, and of others."""
    found = {"python": platform.python_version()}
    for package in (*PACKAGES, *more):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "missing"
    return found


def machine() -> dict[str, Any]:
    """Return processor, cores, system, and the linear algebra libraries that were loaded."""
    return {
        "cpu": _processor(),
        "cores": _cores(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "blas": _blas(),
    }


def describe(versions: dict[str, str], machine: dict[str, Any]) -> str:
    """Return both as one line of text."""
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    blas = f", {machine['blas']}" if machine["blas"] else ""
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['architecture']}, "
        f"{machine['system']}{blas}; {packages}"
    )


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _blas() -> str:
    """The BLAS behind numpy; rounding, and so some trajectories, depend on it."""
    import numpy as np

    try:
        blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    except (KeyError, TypeError):
        return ""
    return f"{blas.get('name', '')} {blas.get('version', '')}".strip()
