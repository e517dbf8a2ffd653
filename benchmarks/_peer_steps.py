"""What the programs of `tuning` share that run in a peer's own Python. Imports nothing of Tunesmith."""

from __future__ import annotations

import json
import os
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

for name in ("HF_HUB_OFFLINE", "DO_NOT_TRACK"):
    os.environ.setdefault(name, "1")


def read_task(file: str) -> dict[str, Any]:
    """What FILE asks for; PyTorch computes on as many threads from here on."""
    import torch

    task: dict[str, Any] = json.loads(Path(file).read_text(encoding="utf-8"))
    torch.set_num_threads(task["threads"])
    return task


def clock() -> Any:
    """For a trainer of transformers: a callback that keeps the ``seconds`` and the ``losses`` of its steps."""
    from transformers import TrainerCallback

    class Clock(TrainerCallback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.seconds: list[float] = []
            self.losses: list[float] = []

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.began = perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            wait_for_gpu()
            self.seconds.append(perf_counter() - self.began)

        def on_log(self, *_: Any, logs: dict[str, float], **__: Any) -> None:
            self.losses.extend([logs["loss"]] if "loss" in logs else [])

    return Clock()


def tell(package: str, seconds: list[float], losses: list[float], per_step: float) -> None:
    """Print the line of JSON that the benchmark reads."""
    about = {"version": version(package), "torch": version("torch"), "peak_kb": gpu_peak_kb() or peak_kb()}
    print(json.dumps({"seconds": seconds, "losses": losses, "per_step": per_step} | about))


def linked(base: Path, folder: Path) -> Path:
    """A folder with links to the files of the model in ``base``, for who writes into it."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in base.iterdir():
        (folder / file.name).unlink(missing_ok=True)
        (folder / file.name).symlink_to(file.resolve())
    return folder


def wait_for_gpu() -> None:
    """Return once all that was asked of the GPU is done, where there is one."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def gpu_peak_kb() -> int:
    """The most that tensors took on the GPU; 0 without one."""
    import torch

    return int(torch.cuda.max_memory_allocated()) // 1024 if torch.cuda.is_available() else 0


def machine() -> str:
    """What computes here."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"{os.cpu_count()} cores"


def peak_kb() -> int:
    """Peak resident memory of this process."""
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
