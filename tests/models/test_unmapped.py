"""A model's files are not held in memory beside the model while it is read."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.models.tiny import build_tiny

READ = """
import sys, torch
from tunesmith.models.engine.nf4 import load_causal

def taken(what):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(what))

small, large = sys.argv[1:]
load_causal(small, torch.bfloat16, torch.device("cpu"))  # all is imported
before = taken("VmRSS")
load_causal(large, torch.bfloat16, torch.device("cpu"))
print(taken("VmHWM") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_float32_model_that_computes_in_bfloat16_takes_less_than_its_file(tmp_path):
    small, large = build_tiny(tmp_path / "small"), build_tiny(tmp_path / "large", hidden=512, layers=12)
    ended = subprocess.run([sys.executable, "-c", READ, small, large], capture_output=True, text=True, check=True)
    file = (large / "model.safetensors").stat().st_size
    assert file > 100e6
    assert int(ended.stdout) < 0.9 * file  # half of it is the model; mapped, it would be one and a half
