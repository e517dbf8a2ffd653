"""Where the judge stands now: what it was calibrated on, whether it may decide anything, whether it has changed."""

from __future__ import annotations

from tunesmith.core.errors import TunesmithError
from tunesmith.core.judging import OVERALL
from tunesmith.core.record import Record
from tunesmith.evaluation.judge.gate import Gate, may_choose, may_gate
from tunesmith.workspace.home import Home
from tunesmith.workspace.judge_pairs import newest_pairs
from tunesmith.workspace.judge_rates import newest_calibration
from tunesmith.workspace.judging import Panel

__all__ = ["JudgeStanding", "judge_standing"]


class JudgeStanding(Record, frozen=True, kw_only=True):
    model: str
    labels: int = 0
    """Labels of single answers that the newest calibration rests on."""
    pairs: int = 0
    """Compared pairs that the newest calibration by ratings rests on."""
    gates: dict[str, Gate] = {}
    """By criterion that was calibrated: whether it may gate by that."""
    pair_gates: dict[str, Gate] = {}
    """By two contenders, `tuned against prompt`: whether it may decide between them."""
    changed: str = ""
    """What has changed since it was calibrated; nothing where it is the same."""

    @property
    def calibrated(self) -> bool:
        return bool(self.gates or self.pair_gates)

    @property
    def in_words(self) -> str:
        """As `status` says it."""
        if not self.calibrated:
            return f"{self.model} is not calibrated: its verdicts are opinions"
        if self.changed:
            return self.changed
        parts = []
        if self.gates:
            parts.append(f"{self.labels} labels, {_allowed(self.gates, 'gate by')}")
        if self.pair_gates:
            parts.append(f"{self.pairs} compared pairs, {_allowed(self.pair_gates, 'decide')}")
        return f"{self.model} is calibrated on {'; on '.join(parts)}"


def judge_standing(home: Home) -> JudgeStanding | None:
    """The judge that the settings name, as it stands; None where none was ever used."""
    calibration, pairs = newest_calibration(home), newest_pairs(home)
    if calibration is None and pairs is None and not home.index("judged", "judge"):
        return None
    try:
        judge = Panel(home).judge
    except TunesmithError as error:  # its model is not here, or nothing is left to judge by
        before = calibration or pairs
        model = before.judge.model if before else home.settings.judge.named or home.settings.model.named
        gate = Gate(may=False, because=(error.problem,))
        return JudgeStanding(model=model, gates={OVERALL: gate}, changed=error.problem)
    config = home.settings.judge
    gates, pair_gates = {}, {}
    if calibration is not None:
        gates = {name: may_gate(judge, calibration, config, name) for name in calibration.criteria}
    if pairs is not None:
        pair_gates = {
            f"{rates.a} against {rates.b}": may_choose(judge, pairs, config, *rates.contenders) for rates in pairs.rates
        }
    changed = [
        gate.because[0]
        for made, found in ((calibration, gates), (pairs, pair_gates))
        if made is not None and made.judge != judge
        for gate in list(found.values())[:1]
    ]
    return JudgeStanding(
        model=judge.model,
        labels=calibration.rates.labels if calibration else 0,
        pairs=sum(rates.pairs for rates in pairs.rates) if pairs else 0,
        gates=gates,
        pair_gates=pair_gates,
        changed="; ".join(changed),
    )


def _allowed(gates: dict[str, Gate], what: str) -> str:
    may = [name for name, gate in gates.items() if gate.may]
    if may:
        return f"may {what} {', '.join(may)}"
    gate = gates.get(OVERALL) or next(iter(gates.values()))
    more = f" and {len(gate.because) - 1} more" if len(gate.because) > 1 else ""
    return f"may not gate: {gate.because[0]}{more}"
