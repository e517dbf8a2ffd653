"""`tunesmith doctor`."""

from __future__ import annotations

import typer

from tunesmith.cli.app import app, show


@app.command()
def doctor() -> None:
    """Is this machine ready? Exits with 1 if something that the local road needs is missing."""
    from tunesmith.workspace.doctor import examine

    findings = examine()
    lines = [
        f"{'ok ' if f.ok else 'NO '} {f.name}: {f.found}" + ("" if f.ok else f"\n    To mend it: {f.mend}")
        for f in findings
    ]
    ready = all(f.ok for f in findings if f.needed)
    show({"ready": ready, "findings": findings}, "\n".join([*lines, "ready" if ready else "not ready"]))
    raise typer.Exit(0 if ready else 1)
