"""Passwords, keys and tokens: whoever gets the model may get them too."""

from __future__ import annotations

from collections.abc import Iterator

from tunesmith.core.findings import Finding
from tunesmith.data.checks.material import Material, check
from tunesmith.data.checks.personal_data import private_findings

__all__ = ["secrets"]


@check("secrets")
def secrets(material: Material) -> Iterator[Finding]:
    """Report, kind by kind, which rows hold a password, key or token. What was found is not repeated."""
    mend = "put [{}] in its place, and change it where it opens anything: it was in a file"
    return private_findings(material, "secrets", "error", mend, secret=True)
