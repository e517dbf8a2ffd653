"""`python -m benchmarks NAME`: run one benchmark; without a name, list them. Run nothing else meanwhile."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

NAMES = sorted(p.stem for p in Path(__file__).parent.glob("*.py") if not p.stem.startswith("_"))


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in NAMES:
        for name in NAMES:
            print(
                f"python -m benchmarks {name:<12} {(import_module(f'benchmarks.{name}').__doc__ or '').splitlines()[0]}"
            )
        return 0 if not arguments else 2
    return int(import_module(f"benchmarks.{arguments[0]}").main(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
