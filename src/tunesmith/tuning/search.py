"""Which settings to try next, and when to give one up: Optuna's sampler and pruner over what was tried so far.

Both follow from the trials kept and the seed alone, so a search that was killed goes on as if it had not been.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tunesmith.core.errors import TunesmithError
from tunesmith.core.search import Trial
from tunesmith.tuning.config import LoraConfig, MixtureConfig, SearchConfig

__all__ = ["Space", "check_installed", "hopeless", "propose"]

Settings = dict[str, int | float]

RANDOM_TRIALS = 5
"""Drawn at random before the sampler knows enough to choose; the first of them is the settings as they stand."""
UNPRUNED_TRIALS, UNPRUNED_LOOKS = 3, 2
"""Trials that run to their end whatever they show, and looks after which another may be given up."""


def check_installed() -> None:
    """Raises:
    TunesmithError: Optuna is not installed.
    """
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise TunesmithError(
            "Optuna, which chooses what a search tries, is not installed.", "pip install 'tunesmith[search]'"
        ) from error


class Space(NamedTuple):
    """What a search chooses from. Everything else is as in ``config``."""

    config: LoraConfig
    learning_rate: tuple[float, float]
    rank: tuple[int, ...]
    epochs: tuple[float, ...]
    mixture_share: tuple[float, ...]
    """Empty where nothing is mixed in."""

    @classmethod
    def of(cls, config: LoraConfig, search: SearchConfig) -> Space:
        """The space around ``config``, which is in it.

        Raises:
            TunesmithError: Its rates have no order.
        """
        rate, mixture = config.learning_rate, config.mixture
        low, high = search.learning_rate or (rate / 5, min(5 * rate, max(rate, 0.02)))
        if low > high:
            raise TunesmithError(
                f"search.learning_rate goes from {low:g} down to {high:g}.", "write the lower one first"
            )
        return cls(
            config,
            (min(low, rate), max(high, rate)),
            tuple(sorted({*search.rank, config.rank})),
            tuple(sorted({*(search.epochs or (config.epochs / 2, config.epochs * 2)), config.epochs})),
            tuple(sorted({*search.mixture_share, mixture.share})) if mixture else (),
        )

    @property
    def own(self) -> Settings:
        """The settings of ``config``."""
        mixture = self.config.mixture
        own = {name: getattr(self.config, name) for name in ("learning_rate", "rank", "epochs")}
        return own | ({"mixture_share": mixture.share} if mixture and self.mixture_share else {})

    @property
    def choices(self) -> dict[str, Any]:
        """By setting: the two ends of the rate, and what may be chosen of the others."""
        named = {name: list(getattr(self, name)) for name in self._fields[1:]}
        return {name: values for name, values in named.items() if values}

    def configure(self, settings: Settings) -> LoraConfig:
        """``config`` with these settings. Alpha keeps its ratio to the rank, so that a rank changes size alone; with
        rslora, which is made for that, it stays as it is."""
        changes: dict[str, Any] = dict(settings)
        share = changes.pop("mixture_share", None)
        if not self.config.rslora:
            changes["alpha"] = self.config.alpha * changes["rank"] / self.config.rank
        if share is not None and self.config.mixture:
            changes["mixture"] = MixtureConfig(path=self.config.mixture.path, share=share)
        return self.config.model_copy(update=changes)


def propose(space: Space, trials: Sequence[Trial], seed: int) -> Settings:
    """Settings of the next trial: first those as they stand, then at random, then where the sampler expects most."""
    if not trials:
        return space.own
    chosen: Settings = _study(space, trials, seed).ask(_distributions(space)).params
    return chosen | {"learning_rate": float(f"{chosen['learning_rate']:.3g}")}


def hopeless(space: Space, trials: Sequence[Trial], losses: Sequence[float], seed: int) -> bool:
    """Whether a trial with these validation losses, one a look, is worse than the median of those before it."""
    trial = _study(space, trials, seed).ask()
    for look, loss in enumerate(losses):
        trial.report(loss, look)
    return bool(trial.should_prune())


def _study(space: Space, trials: Sequence[Trial], seed: int) -> Any:
    """The trials as Optuna knows them. Its random state follows from their number, not from what was asked before."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=(seed + len(trials)) % 2**32, n_startup_trials=RANDOM_TRIALS),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED_TRIALS, n_warmup_steps=UNPRUNED_LOOKS),
    )
    known = optuna.trial.TrialState
    for trial in trials:
        whole = trial.state in ("complete", "budget")
        study.add_trial(
            optuna.trial.create_trial(
                params=_within(space, trial.settings),
                distributions=_distributions(space),
                value=trial.validation_loss if whole else None,
                intermediate_values=dict(enumerate(trial.losses)),
                state=known.COMPLETE if whole else known.PRUNED,  # one that failed is pruned before its first look
            )
        )
    return study


def _distributions(space: Space) -> dict[str, Any]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    several = {name: values for name, values in space.choices.items() if name != "learning_rate"}
    return {"learning_rate": FloatDistribution(*space.learning_rate, log=True)} | {
        name: CategoricalDistribution(values) for name, values in several.items()
    }


def _within(space: Space, settings: Settings) -> Settings:
    """Settings with a rate that rounding took out of the space put back at its end."""
    low, high = space.learning_rate
    return settings | {"learning_rate": min(max(settings["learning_rate"], low), high)}
