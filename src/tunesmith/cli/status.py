"""`tunesmith status`."""

from __future__ import annotations

from tunesmith.cli.app import app, open_workspace, show


@app.command()
def status() -> None:
    """Say where the workspace stands on the road, and what to type next."""
    workspace = open_workspace()
    stations = workspace.status()
    signs = {"done": "+", "ready": ">", "stale": "!", "missing": "."}
    lines = [f"{workspace.home.task.name}  ({workspace.home.root})"]
    lines += [f"  {signs[s.state]} {s.name:<11} {s.state:<8} {s.because}" for s in stations]
    following = next((s for s in stations if s.state in ("ready", "stale")), None)
    if following is not None:
        lines.append(f"Next: {following.next}")
    show({"workspace": str(workspace.home.root), "stations": stations}, "\n".join(lines))
