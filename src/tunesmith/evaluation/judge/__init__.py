"""A model grades answers, and is itself measured: rubric, prompts, reading of verdicts, calibration, the gate."""
