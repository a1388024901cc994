"""Programs in Go, built from the sources as they stand; that their own tests pass is part of building them."""

import subprocess
from pathlib import Path

from deploy.local.stack import ROOT


def built(target: str) -> Path:
    """The program that this target of the Makefile makes."""
    made = subprocess.run(["make", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert 0 == made.returncode, made.stdout + made.stderr
    return ROOT / target
