"""`tunesmith cost`."""

from __future__ import annotations

from tunesmith.cli.app import app, open_workspace, show


@app.command()
def cost() -> None:
    """Say what each contender costs and brings; what is not known is null with its reason."""
    report = open_workspace().cost()
    lines = []
    for name, sheet in report.contenders.items():
        lines.append(name)
        for key in (
            "usd_per_thousand",
            "usd_per_month",
            "tuning_usd",
            "data_usd",
            "value_usd_per_month",
            "break_even_months",
        ):
            value = getattr(sheet, key)
            told = f"{value:,.4g}" if value is not None else f"-  {sheet.reasons.get(key, '')}"
            whose = (
                f"  ({sheet.tuning_basis})" if key == "tuning_usd" and sheet.tuning_basis and value is not None else ""
            )
            lines.append(f"  {key:<22} {told}{whose}")
    show(report, "\n".join(lines))
