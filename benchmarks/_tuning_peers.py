"""The programs that `tuning` runs beside Tunesmith, and how the fastest setting of each is found."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from benchmarks.million import Ran, process

AT_ONCE = (1, 2, 4, 8, 16, 32)
"""Examples that a peer computes at once, the rest of the step by gradient accumulation. Tried upwards while it pays."""
TRIED = 8
"""Examples a step, where more are not computed at once, while a setting is chosen: their rate is that of 32."""
PACKED = 2048
"""Tokens of TRL's packed rows."""
PAYS, NEAR = 0.95, 0.7
"""More at once is tried while the rate is this much of the last, and while it is that much of the best of all."""


class Setting(NamedTuple):
    """One way of running a peer."""

    dtype: str
    """Number format, in the peer's own words."""
    at_once: int
    packing: str = ""
    """blind: rows of equal length whose examples see one another; neat: one row, and no example sees another."""

    def __str__(self) -> str:
        way = {"blind": f"packed to {PACKED} tokens", "neat": f"{self.at_once} packed neatly"}
        return f"{self.dtype}, {way.get(self.packing, f'{self.at_once} at once')}"


def upwards(dtype: str, packing: str = "", least: int = 1) -> tuple[Setting, ...]:
    return tuple(Setting(dtype, many, packing) for many in AT_ONCE if many >= least)


class Peer(NamedTuple):
    name: str
    """Of the package, and of the flag that names its virtual environment."""
    program: str
    """File in this folder that its Python runs."""
    ways: tuple[tuple[Setting, ...], ...]
    """Each tried upwards while it pays."""
    left_out: tuple[Setting, ...] = ()
    """Told and never chosen: on a CPU they learn something else."""


PEERS = (
    Peer("trl", "_trl_work.py", (upwards("bfloat16"), upwards("float32")), (Setting("bfloat16", 1, "blind"),)),
    Peer(
        "llamafactory",
        "_llamafactory_work.py",
        (upwards("bfloat16"), upwards("float32"), upwards("bfloat16", "neat", least=2)),
    ),
    Peer("litgpt", "_litgpt_work.py", tuple(upwards(dtype) for dtype in ("bf16-true", "bf16-mixed", "32-true"))),
)


def in_float32(peer: Peer) -> Peer:
    """The peer with nothing but its settings in float32."""
    ways = (tuple(setting for setting in way if setting.dtype in ("float32", "32-true")) for way in peer.ways)
    return peer._replace(ways=tuple(way for way in ways if way), left_out=())


class Beside:
    """A peer at one kind of data.

    Args:
        python: Of its virtual environment.
        write: Makes the file of a number of steps with some settings.
        at_once: Numbers of examples computed at once that are tried, among those it knows.
    """

    def __init__(
        self, peer: Peer, python: Path, write: Callable[..., Path], at_once: Collection[int] = AT_ONCE
    ) -> None:
        self.peer, self.python, self.write, self.at_once = peer, python, write, at_once
        self.best: Setting | None = None
        """The fastest setting; None where the peer does not run."""
        self.runs: list[Ran] = []
        """Its turns at that."""

    def choose(self, steps: int) -> None:
        """Find the fastest setting, each tried in ``steps`` warm steps and told."""
        rates: dict[Setting, float] = {}
        for way in self.peer.ways:
            last = 0.0
            for setting in (one for one in way if one.at_once in self.at_once):
                rate = self._tried(setting, steps)
                if rate is None:
                    break  # out of memory, or not for this machine: so is the rest
                rates[setting] = rate
                if rate < PAYS * last or rate < NEAR * max(rates.values()):
                    break
                last = rate
        for setting in self.peer.left_out if rates else ():
            self._tried(setting, steps)
        self.best = max(rates, key=lambda setting: rates[setting]) if rates else None

    def take_turn(self, steps: int, per_step: int) -> None:
        if self.best is not None:
            self.runs.append(self._run(self.best, steps, per_step))

    def _run(self, setting: Setting, steps: int, per_step: int) -> Ran:
        """Learn ``steps`` steps after one that warms up.

        Raises:
            SystemExit: With what it said, where it failed.
        """
        task = {
            "dtype": setting.dtype, "at_once": setting.at_once, "packing": setting.packing, "per_step": per_step,
            "packed": PACKED if setting.packing == "blind" else None,
        }  # fmt: skip
        return process([self.python, Path(__file__).parent / self.peer.program, self.write(steps, **task)])

    def _tried(self, setting: Setting, steps: int) -> float | None:
        """Examples a second of a few warm steps, told; None where it fails."""
        name = f"  {self.peer.name}, {setting}"
        try:
            ran = self._run(setting, steps, per_step=max(TRIED, setting.at_once))
        except SystemExit as error:
            print(f"{name}: fails: {said(error)}", flush=True)
            return None
        rate: float = ran.told["per_step"] / statistics.median(ran.told["seconds"][1:])
        left_out = setting in self.peer.left_out
        about = "one example sees another, so left out" if left_out else f"loss {ran.told['losses'][0]:.4f}"
        print(f"{name}: {rate:.2f} examples/s, {ran.megabytes:,.0f} MB, {about}", flush=True)
        return rate


def said(error: SystemExit) -> str:
    """The last line of what a failed program wrote."""
    return (str(error).strip().splitlines() or ["nothing"])[-1][:150]
