"""Packages that only evaluation needs."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from avatar.core.errors import VisavisError
from engines.installing import pip

INSTALL = pip("install 'visavis[train]'")


def need(module: str, install: str = INSTALL) -> Any:
    """Import a module. Raises VisavisError with the command that installs it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise VisavisError(f"Evaluation needs the package behind `{module}` ({error}). Run: {install}") from error


def package_file(module: str, *parts: str, install: str = INSTALL) -> Path:
    """A file shipped inside a package, found without importing it (some import far more than the file needs)."""
    spec = find_spec(module)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder, *parts)
        if path.is_file():
            return path
    raise VisavisError(f"Evaluation needs {'/'.join(parts)} of the package `{module}`. Run: {install}")
