"""What `tune --plan` predicts against what a run takes: bytes of tensors and seconds, over models, lengths and ranks.

Each case is a process of its own. It plans, as `tune --plan` does with its ten-step probe; trains; and does the same
steps again with every tensor counted. Models have random weights; NF4 cases need bitsandbytes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.million import process
from tunesmith.models.opening import model_folder

SIZES = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
SHAPES = {
    "1M": (64, 128, 2, 4, 2),
    "15M": (288, 768, 6, 6, 6),
    "60M": (512, 1408, 12, 8, 4),
    "135M": (576, 1536, 30, 9, 3),
}
"""By about so many weights, beside an embedding of 28 million and less."""


class Case(NamedTuple):
    """A row of the table. Lengths are in words, a word being a little more than a token."""

    model: str
    prefix: int
    length: int
    rank: int
    dtype: str = "auto"
    checkpointing: bool = False
    nf4: bool = False
    rows: int = 96

    def __str__(self) -> str:
        base = "nf4" if self.nf4 else self.dtype.replace("auto", "as here")
        return (
            f"{self.model:>5} {self.prefix:>6} {self.length:>6} {self.rank:>4} {base:<8} "
            f"{'yes' if self.checkpointing else 'no':<5}"
        )


CASES = [
    Case("1M", 0, 40, 4, "float32", rows=400),
    Case("1M", 300, 40, 16, "float32", rows=400),
    Case("15M", 0, 60, 16, "float32"),
    Case("15M", 400, 20, 64),
    Case("15M", 0, 600, 8, "float32", rows=48),
    Case("60M", 200, 40, 16),
    Case("60M", 200, 40, 16, checkpointing=True),
    Case("60M", 0, 300, 16, nf4=True, rows=48),
    Case("135M", 500, 20, 16, rows=80),
    Case("135M", 0, 40, 4, "float32", rows=80),
    Case("135M", 0, 700, 64, rows=32),
    Case("135M", 0, 700, 64, checkpointing=True, rows=32),
    Case("135M", 500, 20, 16, nf4=True, rows=48),
    Case("135M", 0, 700, 16, checkpointing=True, nf4=True, rows=32),
]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks plan", description=__doc__)
    parser.add_argument("--base", default="smollm2-135m", help="the model whose tokenizer is used")
    parser.add_argument("--only", help="models of this size alone")
    options = parser.parse_args(arguments)
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft"))
    four_bit = f", bitsandbytes {version('bitsandbytes')}" if find_spec("bitsandbytes") else ""
    print(f"Python {platform.python_version()}, {packages}{four_bit}; {os.cpu_count()} cores\n")
    print(f"{'':>43} {'MiB of tensors at most':^31} {'process, MiB':^15} {'seconds':^23}")
    print(
        f"{'model':>5} {'prefix':>6} {'length':>6} {'rank':>4} {'format':<8} {'again':<5} {'predicted':>10} "
        f"{'measured':>9} {'off':>6} {'pred.':>7} {'meas.':>7} {'predicted':>10} {'measured':>9} "
        f"{'off':>6}"
    )
    memory, times = [], []
    for case in CASES:
        if (options.only and case.model != options.only) or (case.nf4 and not four_bit):
            continue
        told = ran(case, model_folder(options.base))
        off = told["predicted_bytes"] / told["measured_bytes"] - 1
        memory.append(abs(off))
        line = f"{case} {mib(told['predicted_bytes'])} {mib(told['measured_bytes'], 9)} {off:>+6.1%} "
        late = told["predicted_seconds"] / told["seconds"] - 1
        times.append(abs(late))
        line += (
            f"{mib(told['resident_bytes'], 7)} "
            f"{mib(told['measured_resident_bytes'], 7)} {told['predicted_seconds']:>10.1f} {told['seconds']:>9.1f} "
            f"{late:>+6.0%}"
        )
        print(line, flush=True)
    print(f"\ntensors: at most {max(memory):.1%} off; time: at most {max(times):.0%} off")
    return 0


def ran(case: Case, tokenizer: Path) -> dict[str, Any]:
    config = {
        "rank": case.rank, "alpha": 2.0 * case.rank, "dtype": case.dtype, "checkpointing": case.checkpointing,
        "quantize": "nf4" if case.nf4 else "none",
        "epochs": 2.0, "batch_size": 8, "learning_rate": 1e-3, "max_length": 4096, "patience": 99,
    }  # fmt: skip
    task = {
        "tokenizer": str(tokenizer), "shape": dict(zip(SIZES, SHAPES[case.model], strict=True)), "config": config,
        "rows": case.rows, "prefix": case.prefix, "length": case.length, "counted_steps": 1000,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "case.json"
        file.write_text(json.dumps(task), encoding="utf-8")
        told: dict[str, Any] = process([sys.executable, "-m", "benchmarks._plan_work", file]).told
    return told


def mib(size: int, width: int = 10) -> str:
    return f"{size / 2**20:>{width},.0f}"
