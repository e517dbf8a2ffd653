"""`tunesmith evaluate`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from tunesmith.cli.app import app, end_by, open_workspace, show
from tunesmith.cli.progress import progress
from tunesmith.core.errors import TunesmithError


@app.command()
def evaluate(
    contenders: Annotated[list[str] | None, typer.Argument(help="Names; default: all that are prepared.")] = None,
    on: Annotated[
        Literal["validation", "test"], typer.Option(help="Which side. Each look at test is written down.")
    ] = "validation",
    sample: Annotated[
        int | None, typer.Option(min=1, help="Score so many of the side's rows, drawn by --seed.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws the sample, the folds and the order of --repeat.")] = 0,
    all_metrics: Annotated[
        bool, typer.Option("--all", help="Show every metric, and which label was answered for which.")
    ] = False,
    repeat: Annotated[
        int, typer.Option(min=0, help="Ask again so many times: how much answers change by themselves.")
    ] = 0,
    cv: Annotated[
        int | None,
        typer.Option("--cv", min=2, help="Cross-validate untuned contenders in so many folds; test stays unseen."),
    ] = None,
    cv_repeats: Annotated[int, typer.Option(min=1, help="Deal the folds anew so many times.")] = 3,
    plan: Annotated[
        float | None,
        typer.Option(help="How many test examples show a difference so large: 0.05, or 5 of chrF. Asks nothing."),
    ] = None,
    trust_code: Annotated[
        bool, typer.Option("--trust-code", help="Run the file with your own metrics, as it is now, on this machine.")
    ] = False,
) -> None:
    """Score and compare contenders on one side of the split."""
    from tunesmith.cli.metric_tables import confusion_tables, metric_table, unmeasured_lines
    from tunesmith.cli.tables import comparison_table, contender_table, repeat_table
    from tunesmith.decision.lines import FEW_EXAMPLES

    workspace = open_workspace()
    if plan is not None:
        if cv is not None or sample is not None or repeat:
            raise TunesmithError(
                "--plan says how many test examples are needed and asks nothing, so it goes with none of --cv, "
                "--sample and --repeat.",
                "leave those out, or leave out --plan",
            )
        _plan(plan, trust_code=trust_code)
        return
    if cv is not None:
        if on == "test" or sample is not None or repeat:
            raise TunesmithError(
                "--cv holds out every row that is not test, so it goes with none of --on test, --sample and --repeat.",
                "leave those out, or leave out --cv",
            )
        _cross_validate(contenders or [], cv, cv_repeats, seed, trust_code=trust_code)
        return
    with progress("answering") as told:
        evaluation = workspace.evaluate(
            contenders or (), on=on, sample=sample, seed=seed, repeat=repeat, trust_code=trust_code, progress=told
        )
    lines = [
        f"{evaluation.examples} {on} examples",
        contender_table(evaluation.contenders, workspace.home),
    ]
    if all_metrics:
        lines += [metric_table(evaluation), *confusion_tables(evaluation.contenders)]
    lines += unmeasured_lines(evaluation, of_bar=not all_metrics, bar=workspace.home.settings.bar)
    if evaluation.comparisons:
        lines.append(comparison_table(evaluation.comparisons))
    if evaluation.repeats:
        lines.append(repeat_table(evaluation.repeats))
    if on == "test":
        lines.append(f"looks at this test set so far: {evaluation.test_looks}")
    lines += [f"warning: {warning}" for warning in evaluation.warnings]
    if evaluation.sample is None and evaluation.examples < FEW_EXAMPLES:
        lines.append(
            f"note: with {evaluation.examples} examples intervals are wide; `tunesmith evaluate --cv 5` holds out each "
            "train and validation example once, for contenders that are not tuned"
        )
    show(evaluation, "\n".join(lines))
    end_by(evaluation.contenders, contenders)


def _plan(difference: float, *, trust_code: bool) -> None:
    from tunesmith.cli.tables import plain_table

    made = open_workspace().plan_evaluation(difference, trust_code=trust_code)
    spreads = any(needed.spread is not None for needed in made.in_general)
    apart = "spread" if spreads else "discordant"
    rows = [("to show a difference of", apart, "examples", f"of {made.test} test")]
    for needed in (*made.measured, *made.in_general):
        share = needed.spread if spreads else needed.discordant
        told = "-" if share is None else f"{share:g}" if spreads else f"{share:.2f}"
        rows.append((needed.of, told, str(needed.examples), "enough" if needed.enough else "too few"))
    lines = [f"{difference:g} of {made.metric} shown four times of five, at the 5 % level", plain_table(rows)]
    if spreads:
        lines.append("spread: standard deviation of the differences, example by example")
    show(made, "\n".join(lines))


def _cross_validate(names: list[str], folds: int, repeats: int, seed: int, *, trust_code: bool) -> None:
    from tunesmith.cli.tables import comparison_table, plain_table

    with progress("cross-validating") as told:
        made = open_workspace().cross_validate(
            names, folds=folds, repeats=repeats, seed=seed, trust_code=trust_code, progress=told
        )
    rows = [("contender", made.metric, "95 % interval", "lowest fold", "highest", "failed")]
    for name, scored in made.contenders.items():
        found, each = scored.metrics[made.metric], [value for row in scored.folds for value in row]
        interval = f"[{found.low:.3f}, {found.high:.3f}]"
        rows.append((name, f"{found.value:.3f}", interval, f"{min(each):.3f}", f"{max(each):.3f}", str(scored.failed)))
    lines = [
        f"cross-validation: {made.examples} train and validation examples in {made.groups} groups, {folds} folds, "
        f"{repeats} times; test was not looked at, and the intervals are approximate",
        plain_table(rows),
    ]
    if made.comparisons:
        lines.append(comparison_table(made.comparisons))
    lines += [f"{name}: not measured: {reason}" for name, reason in made.not_measured.items()]
    lines += [f"{pair}: not compared: {reason}" for pair, reason in made.not_compared.items()]
    show(made, "\n".join(lines))
