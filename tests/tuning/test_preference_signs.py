"""Warnings of DPO runs, each from a log that shows it and against one that does not."""

from __future__ import annotations

from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.preference_signs import preference_signs
from tunesmith.tuning.warning_signs import warning_signs

CONFIG = LoraConfig(objective="dpo", learning_rate=3e-5, dpo_beta=0.1)


def log(chosen: float, rejected: float, steps: int = 8) -> list[dict[str, float]]:
    """Steps in which the completions' log-probabilities have moved by so many nats."""
    beta = CONFIG.dpo_beta
    return [
        {"step": n, "train_loss": 0.5, "chosen_reward": beta * chosen, "rejected_reward": beta * rejected}
        for n in range(1, steps + 1)
    ]


def names(chosen: float, rejected: float, config: LoraConfig = CONFIG, steps: int = 8) -> set[str]:
    return {warning.name for warning in preference_signs(log(chosen, rejected, steps), config)}


def test_chosen_completions_that_become_less_likely_are_told():
    assert names(-3.0, -9.0) == {"chosen_falling"}
    (warning,) = preference_signs(log(-3.0, -9.0), CONFIG)
    assert "moved by -3.0 nats, that of the rejected ones by -9.0" in warning.problem
    assert "dpo_sft_weight to 1" in warning.mend
    assert names(1.5, -9.0) == set()
    assert names(-1.0, -9.0) == set()  # a little less likely is not yet a failure


def test_a_model_that_went_far_from_its_start_is_told():
    assert names(2.0, -45.0) == {"beta_too_low"}
    (warning,) = preference_signs(log(2.0, -45.0), CONFIG)
    assert "tuning.dpo_beta to 0.3" in warning.mend


def test_a_few_steps_show_nothing():
    assert names(-50.0, -90.0, steps=4) == set()


def test_a_rate_for_completions_is_told():
    assert names(0.0, 0.0, CONFIG.model_copy(update={"learning_rate": 2e-3})) == {"unusual_dpo_rate"}


def test_the_mends_of_the_other_warnings_name_the_setting_of_preferences():
    rising = [{"step": 0, "validation_loss": 0.69}, {"step": 1, "train_loss": 0.7, "validation_loss": 0.8}]
    rising.append({"step": 2, "train_loss": 0.7, "validation_loss": 0.9})
    (warning,) = warning_signs(rising, CONFIG, 10)
    assert warning.mend.startswith("set tuning.dpo_learning_rate to 1e-05;")
    flat = [{"step": n, "train_loss": 0.69, "gradient_norm": 0.1} for n in range(40)]
    (warning,) = [w for w in warning_signs(flat, CONFIG, 60) if w.name == "flat_loss"]
    assert "--range-test" not in warning.mend and "tuning.dpo_learning_rate to 5e-05" in warning.mend


def test_no_mend_names_a_rate_that_another_one_warns_of():
    bold = CONFIG.model_copy(update={"learning_rate": 0.1})
    found = preference_signs(log(-40.0, -90.0), bold) + warning_signs(log(-40.0, -90.0), bold, 60)
    assert [warning.name for warning in found] == ["chosen_falling", "beta_too_low", "unusual_dpo_rate"]
    falling, far, unusual = (warning.mend for warning in found)
    assert "tuning.dpo_learning_rate to 3e-05" in falling and "tuning.dpo_learning_rate to 3e-05" in far
    assert "between 1e-05 and 5e-05" in unusual
    firm = bold.model_copy(update={"dpo_beta": 0.5, "dpo_sft_weight": 1.0})
    (falling,) = [warning for warning in preference_signs(log(-40.0, -90.0), firm) if warning.name == "chosen_falling"]
    assert falling.mend == "set tuning.dpo_learning_rate to 3e-05"


def test_what_is_usual_goes_by_the_size_of_the_model():
    seven = 7_000_000_000
    assert [w.name for w in preference_signs(log(0.0, 0.0), CONFIG, seven)] == ["unusual_dpo_rate"]
    (warning,) = preference_signs(log(0.0, 0.0), CONFIG, seven)
    assert "on a model of this size" in warning.problem and "between 1.7e-06 and 8.3e-06" in warning.mend  # of 5e-6
    assert preference_signs(log(0.0, 0.0), CONFIG.model_copy(update={"learning_rate": 5e-6}), seven) == []
    flat = [{"step": n, "train_loss": 0.69, "gradient_norm": 0.1} for n in range(40)]
    highest = CONFIG.model_copy(update={"learning_rate": 5e-5})
    (warning,) = [w for w in warning_signs(flat, highest, 60) if w.name == "flat_loss"]
    assert "set tuning.epochs higher" in warning.mend and "learning_rate" not in warning.mend
