"""`tunesmith data snapshots`."""

from __future__ import annotations

from tunesmith.cli.app import open_workspace, show


def snapshots() -> None:
    """The examples as they were when something was made from them, newest last."""
    found = open_workspace().snapshots()
    lines = []
    for s in found:
        erased = f", {s.erased} of them erased since" if s.erased else ""
        used = f"  for {', '.join(s.used_by)}" if s.used_by else ""
        lines.append(f"{s.hash}  {s.at[:16].replace('T', ' ')}  {s.examples} examples{erased}, {s.bytes} bytes{used}")
    show({"snapshots": found}, "\n".join(lines) or "none yet: check and split take them")
