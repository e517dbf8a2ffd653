"""A wheel as for a release, and the command line run from it where there is no clone."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from tests.house.source import ROOT

__all__ = ["build_wheel", "installed"]


def build_wheel(folder: Path) -> Path:
    """The wheel, built without the network."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("tunesmith-*.whl"))


def installed(wheel: Path, site: Path) -> list[str]:
    """Unpack ``wheel`` into ``site``; what starts its command line, the same dependencies and no clone on the path."""
    zipfile.ZipFile(wheel).extractall(site)
    start = (
        f"import sys; sys.path.insert(0, {str(site)!r}); import tunesmith; "
        f"assert tunesmith.__file__.startswith({str(site)!r}); from tunesmith.cli.start import main; main()"
    )
    return [sys.executable, "-c", start]
