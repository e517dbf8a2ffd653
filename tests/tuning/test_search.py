"""What a search tries next, when it gives a trial up, and what its trials show."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.core.search import Trial
from tunesmith.core.statistics import group_codes
from tunesmith.tuning.config import LoraConfig, MixtureConfig, SearchConfig
from tunesmith.tuning.search import Space, hopeless, propose
from tunesmith.tuning.search_evidence import RowLoss, compared, in_words, optimism

pytest.importorskip("optuna")
CONFIG = LoraConfig(learning_rate=2e-3, rank=16, alpha=32, epochs=2)
SPACE = Space.of(CONFIG, SearchConfig())


def trial(number: int, loss: float, *, losses: tuple[float, ...] = (), **changes) -> Trial:
    settings = SPACE.own | {"learning_rate": 2e-3 * (1 + number / 10)}
    return Trial(
        number=number, settings=settings, run=f"run{number}", validation_loss=loss, losses=losses,
        **{"state": "complete", **changes},
    )  # fmt: skip


def test_the_space_holds_the_settings_as_they_stand():
    odd = Space.of(LoraConfig(learning_rate=0.05, rank=5, epochs=7), SearchConfig(learning_rate=(1e-4, 1e-3)))
    assert odd.learning_rate == (1e-4, 0.05)
    assert odd.rank == (4, 5, 8, 16, 32)
    assert odd.epochs == (3.5, 7, 14)
    assert SPACE.learning_rate == (4e-4, 1e-2)
    assert "mixture_share" not in SPACE.choices


def test_the_first_trial_is_the_settings_as_they_stand_and_alpha_keeps_its_ratio():
    assert SPACE.configure(propose(SPACE, [], 0)) == CONFIG
    assert SPACE.configure(SPACE.own | {"rank": 4}).alpha == 8


def test_with_rslora_alpha_stays_as_it_is_whatever_the_rank():
    space = Space.of(CONFIG.model_copy(update={"rslora": True, "alpha": 8.0}), SearchConfig())
    assert [space.configure(space.own | {"rank": rank}).alpha for rank in (4, 16, 32)] == [8.0, 8.0, 8.0]


def test_a_share_is_tried_only_where_something_is_mixed_in():
    mixed = Space.of(CONFIG.model_copy(update={"mixture": MixtureConfig(path="general.jsonl")}), SearchConfig())
    assert mixed.choices["mixture_share"] == [0.05, 0.1, 0.2]
    assert mixed.configure(mixed.own | {"mixture_share": 0.2}).mixture == MixtureConfig(path="general.jsonl", share=0.2)


def test_the_next_settings_follow_from_the_trials_and_the_seed_alone():
    tried = [trial(n, 1.0 / n) for n in range(1, 9)]
    first = propose(SPACE, tried, 3)
    propose(SPACE, tried[:4], 3)  # what else was asked leaves no trace
    assert propose(SPACE, tried, 3) == first
    assert propose(SPACE, tried, 4) != first
    assert all(first[name] in SPACE.choices[name] for name in ("rank", "epochs"))


def test_the_sampler_goes_where_losses_are_low():
    # rank 4 has always been best: most of what is asked next is rank 4, of four possible ones
    random = np.random.default_rng(0)
    tried = [
        Trial(
            number=n, settings={"learning_rate": 2e-3, "rank": rank, "epochs": 2.0}, state="complete",
            validation_loss=(0.1 if rank == 4 else 1.0) + random.normal() / 100,
        )
        for n, rank in enumerate([4, 8, 16, 32] * 6, 1)
    ]  # fmt: skip
    asked = [propose(SPACE, tried, seed)["rank"] for seed in range(20)]
    assert asked.count(4) > 10


def test_a_trial_worse_than_the_median_is_given_up_but_not_at_once():
    tried = [trial(n, 0.5, losses=(2.0, 1.0, 0.5)) for n in (1, 2, 3)]
    assert hopeless(SPACE, tried, [2.0, 1.9, 1.8], 0)
    assert not hopeless(SPACE, tried, [2.0, 0.9, 0.4], 0)
    assert not hopeless(SPACE, tried, [2.0, 1.9], 0)  # too early to tell
    assert not hopeless(SPACE, tried[:2], [2.0, 1.9, 1.8], 0)  # too few to compare with


def test_failed_and_pruned_trials_do_not_stop_the_search():
    tried = [
        trial(1, 0.5),
        Trial(number=2, settings=SPACE.own, state="failed", problem="diverged"),
        trial(3, 0.9, state="pruned", losses=(2.0, 1.9)),
    ]
    assert set(propose(SPACE, tried, 0)) == {"learning_rate", "rank", "epochs"}


def rows(means: list[float], seed: int, noise: float = 0.3) -> list[RowLoss]:
    shared = np.random.default_rng(0).normal(size=len(means))  # hard rows are hard for all
    own = np.random.default_rng(seed).normal(size=len(means))
    return [RowLoss(5 * (m + s + noise * x), 5.0) for m, s, x in zip(means, shared, own, strict=True)]


def test_a_clear_difference_is_shown_and_a_small_one_is_not():
    groups = group_codes([None] * 80)
    losses = {1: rows([3.0] * 80, 1), 2: rows([3.02] * 80, 2), 3: rows([3.6] * 80, 3)}
    tried = [trial(n, 3.0) for n in (1, 2, 3)] + [trial(4, 5.0, state="pruned")]
    told = compared(tried, 1, losses, groups)
    assert [t.standing for t in told] == ["best", "not_shown", "worse", "not_compared"]
    far = told[2]
    assert far.low < far.difference < far.high
    assert far.difference == pytest.approx(0.6, abs=0.15)
    assert far.low > 0
    said = in_words(told, 80, 0.01)
    assert any("not shown to differ from it: trial 2" in line for line in said)
    assert any("80 rows are few" in line for line in said)


def test_rows_of_one_group_say_less_than_strangers():
    losses = {1: rows([3.0] * 40, 1), 2: rows([3.3] * 40, 2)}
    tried = [trial(1, 3.0), trial(2, 3.3)]
    strangers = compared(tried, 1, losses, group_codes([None] * 40))[1]
    grouped = compared(tried, 1, losses, group_codes([str(n // 10) for n in range(40)]))[1]
    assert strangers.standing == "worse"
    assert grouped.standing == "not_shown"  # four groups cannot show anything at 5 %: 2 / 2^4


def test_the_best_of_many_alike_flatters_by_what_simulation_says():
    # 12 trials whose true loss is 3.0, 50 rows: the mean loss of the best on the rows is too low by
    # E[max of 12 normals] * noise / sqrt(50) = 1.629 * 0.3 / 7.07 = 0.069
    found, true = [], []
    for run in range(30):
        tables = [rows([3.0] * 50, 100 * run + n) for n in range(12)]
        means = [sum(r.nats for r in table) / sum(r.weight for r in table) for table in tables]
        shared = 3.0 + float(np.random.default_rng(0).normal(size=50).mean())
        true.append(shared - min(means))
        found.append(optimism(tables, group_codes([None] * 50), seed=run))
    assert np.mean(true) == pytest.approx(0.069, abs=0.012)
    assert np.mean(found) == pytest.approx(np.mean(true), rel=0.5)


def test_one_trial_or_one_group_has_no_optimism():
    assert optimism([rows([3.0] * 9, 1)], group_codes([None] * 9)) is None
    assert optimism([rows([3.0] * 9, 1), rows([3.0] * 9, 2)], group_codes(["a"] * 9)) is None
