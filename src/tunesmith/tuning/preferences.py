"""DPO: pairs of completions, of which the chosen one is to become more likely, beside the rejected one, than it was.

The loss of a pair is -log sigmoid(beta * margin), where the margin is how much further the log-probability of the
chosen completion has moved from what the model said of it before the first step than that of the rejected one has. A
completion's log-probability is the sum over its tokens, the ending one included.

Source: R. Rafailov et al., arXiv:2305.18290; label smoothing as E. Mitchell's conservative DPO; the likelihood of
chosen completions beside it, R. Y. Pang et al., arXiv:2404.19733.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from tunesmith.core.codec import digest
from tunesmith.core.counts import MixtureCounts
from tunesmith.core.progress import Progress
from tunesmith.core.runs import TuningWarning
from tunesmith.models.template import Template
from tunesmith.tuning.base import pack_tokens
from tunesmith.tuning.batches import Order
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.gradients import Network
from tunesmith.tuning.interrupt import Interrupt
from tunesmith.tuning.lengths import UNKNOWN, About
from tunesmith.tuning.objectives import TRAIN, Learnt
from tunesmith.tuning.pairs import EncodedPairs, Pair, PairBatch, PairRow, encode_pairs, pair_batches
from tunesmith.tuning.preference_signs import preference_signs
from tunesmith.tuning.processes import ALONE, Processes
from tunesmith.tuning.reference import keep_reference, kept_reference
from tunesmith.tuning.rows import EncodedRows, Sides
from tunesmith.tuning.sizes import MOST_STEPS, check_memory
from tunesmith.tuning.warning_signs import Log, warning_signs

__all__ = ["Preferring", "dpo_losses"]

AT_ONCE = 64
"""Pairs of which the start model is asked at once, between two places where the work can be interrupted."""


def dpo_losses(margin_P: Tensor, beta: float, smoothing: float = 0.0) -> Tensor:
    """Loss (P,) of each pair, given by how many nats the chosen completion has moved further than the rejected one.

    >>> [round(x, 4) for x in dpo_losses(torch.tensor([0.0, 10.0, -10.0]), 0.1).tolist()]
    [0.6931, 0.3133, 1.3133]
    """
    return -(1 - smoothing) * logsigmoid(beta * margin_P) - smoothing * logsigmoid(-beta * margin_P)


class _Sums(NamedTuple):
    """What pairs add up to."""

    loss: float = 0.0
    pairs: float = 0.0
    right: float = 0.0
    chosen: float = 0.0
    """How many nats the chosen completions have moved."""
    rejected: float = 0.0
    tokens: float = 0.0
    """That went through the model."""

    def plus(self, losses_P: Tensor, moved_P2: Tensor) -> _Sums:
        margin_P = moved_P2[:, 0] - moved_P2[:, 1]
        right = float((margin_P > 0).sum()) + float((margin_P == 0).sum()) / 2
        chosen, rejected = moved_P2.sum(0).tolist()
        return _Sums(
            self.loss + float(losses_P.sum()), self.pairs + len(margin_P), self.right + right, self.chosen + chosen,
            self.rejected + rejected, self.tokens,
        )  # fmt: skip

    def told(self, beta: float, prefix: str = "") -> dict[str, float]:
        """Means: a reward is beta times how far a log-probability has moved; a tie is half right."""
        chosen, rejected = beta * self.chosen / self.pairs, beta * self.rejected / self.pairs
        return {
            f"{prefix}reward_margin": chosen - rejected,
            f"{prefix}reward_accuracy": self.right / self.pairs,
            f"{prefix}chosen_reward": chosen,
            f"{prefix}rejected_reward": rejected,
        }


class _Reference(NamedTuple):
    """Log-probabilities (pairs, 2) of the start model, chosen and rejected, in nats."""

    train: Tensor
    validation: Tensor


class Preferring:
    """Chosen completions preferred to rejected ones: direct preference optimization."""

    def __init__(
        self, template: Template, train: Sequence[PairRow], validation: Sequence[PairRow], config: LoraConfig,
        limit: int, about: About = UNKNOWN,
    ) -> None:  # fmt: skip
        """
        Args:
            about: The base model: which rate is usual, and how long a row may be.

        Raises:
            NothingToMeasure: A side has no pair, or none that fits.
            TunesmithError: A pair is too long.
        """
        self._config, self._weights = config, about.weights
        self._learnt = encode_pairs(template, train, "train", limit, config.too_long, about.context)
        self._watched = encode_pairs(template, validation, "validation", limit, config.too_long, about.context)
        self._order = Order(len(self._learnt.pairs), config.batch_size, config.epochs, config.seed)
        self._reference: _Reference | None = None
        self.count, self.per_epoch = self._order.steps, self._order.steps_per_epoch
        self.too_long = self._learnt.too_long + self._watched.too_long

    def inputs(self) -> dict[str, str]:
        return {"train pairs": digest(self._learnt), "validation pairs": digest(self._watched)}

    @property
    def sides(self) -> Sides:
        """The completions, the two of a pair one after the other."""
        return Sides(*(EncodedRows([*chain(*side.pairs)], side.too_long) for side in (self._learnt, self._watched)))

    def memory(self, base: Path) -> tuple[TuningWarning | None, bool]:
        """That of as many completions as the pairs have."""
        twice = self._config.model_copy(update={"batch_size": 2 * self._config.batch_size})
        return check_memory(base, *self.sides, None, twice, pairs=True)

    def begin(
        self, network: Network, folder: Path, interrupt: Interrupt, progress: Progress, processes: Processes = ALONE
    ) -> None:
        """What the model says of all pairs before it learns: read where it was kept, else computed once."""
        train, watched = self._learnt.pairs, self._watched.pairs
        with processes.together():
            sizes = {"train": len(train), "validation": len(watched)}
            kept = kept_reference(folder, sizes) if processes.first else None
        kept = processes.agree(kept)
        if kept is None:
            parts = [train[at : at + AT_ONCE] for at in range(0, len(train), AT_ONCE)]
            found = []
            for number, part in enumerate(parts, 1):
                found.append(self._log_probabilities(network, part, interrupt, processes))
                progress(number, len(parts), "asking the start model about the pairs")
            said_of_watched = self._log_probabilities(network, watched, interrupt, processes)
            kept = {"train": torch.cat(found), "validation": said_of_watched}
            if processes.first:
                keep_reference(folder, kept)
        self._reference = _Reference(**kept)

    def pretend(self) -> None:
        """In place of ``begin`` where steps are only timed: their time does not go by what the start model says."""
        self._reference = _Reference(*(torch.zeros(len(side.pairs), 2) for side in (self._learnt, self._watched)))

    def tokens(self, step: int) -> int:
        """Of the pairs of the step at this number, both sides, each with its prompt."""
        return sum(self._learnt.pairs[n].tokens for n in self._order.numbers(step))

    @property
    def learnt_tokens(self) -> int:
        """Of all pairs that are learnt, once."""
        return sum(pair.tokens for pair in self._learnt.pairs)

    @property
    def epoch_tokens(self) -> int:
        """That go through the model in the first epoch, what pairs of a step share counted once."""
        steps = (self._order.numbers(step) for step in range(self.per_epoch))
        return sum(self._computed([self._learnt.pairs[n] for n in numbers]) for numbers in steps)

    @property
    def looked_tokens(self) -> int:
        """That go through the model at a look, what pairs share counted once."""
        return self._computed(self._watched.pairs)

    @property
    def asked_tokens(self) -> int:
        """That go through the start model before the first step."""
        train = self._learnt.pairs
        return self.looked_tokens + sum(self._computed(train[n : n + AT_ONCE]) for n in range(0, len(train), AT_ONCE))

    def _computed(self, pairs: Sequence[Pair]) -> int:
        return sum(made.batch.tokens for made in pair_batches(pairs, pack_tokens(self._config)))

    def watching(self, tokens: float) -> Preferring:
        """The same, watching pairs from all over those that are watched, of about so many tokens; to be timed."""
        every = max(1, round(self.looked_tokens / max(tokens, 1)))
        part = copy(self)
        part._watched = EncodedPairs(self._watched.pairs[::every], 0)
        part.pretend()
        return part

    def learn(self, network: Network, step: int, interrupt: Interrupt, processes: Processes = ALONE) -> Learnt:
        assert self._reference is not None  # begun
        numbers = self._order.numbers(step)
        pairs, reference = [self._learnt.pairs[n] for n in numbers], self._reference.train[numbers]
        sums = self._summed(network, pairs, reference, interrupt, processes, learn=True)
        told = sums.told(self._config.dpo_beta)
        return Learnt({TRAIN: sums.loss / sums.pairs}, round(sums.tokens), len(pairs), told)

    def rehearsed(self) -> list[int]:
        return 2 * [max(range(min(self.count, MOST_STEPS)), key=self.tokens)]

    def look(self, network: Network, interrupt: Interrupt, processes: Processes = ALONE) -> dict[str, float]:
        assert self._reference is not None  # begun
        pairs, reference = self._watched.pairs, self._reference.validation
        sums = self._summed(network, pairs, reference, interrupt, processes, learn=False)
        return {"validation_loss": sums.loss / sums.pairs} | sums.told(self._config.dpo_beta, "validation_")

    def signs(self, log: Log) -> list[TuningWarning]:
        config, weights = self._config, self._weights
        return warning_signs(log, config, self.count, weights) + preference_signs(log, config, weights)

    def counts(self, steps: int) -> MixtureCounts | None:
        """Nothing is mixed in."""
        return None

    def _summed(
        self, network: Network, pairs: Sequence[Pair], reference_P2: Tensor, interrupt: Interrupt,
        processes: Processes, *, learn: bool,
    ) -> _Sums:  # fmt: skip
        """The sums of some pairs, each process computing its own; ``learn`` adds the gradients of their mean loss."""
        mine = processes.deal([pair.tokens for pair in pairs])
        batches = pair_batches([pairs[n] for n in mine], pack_tokens(self._config))
        a_token = len(pairs) / sum(pair.chosen.supervised for pair in pairs)

        def own(between: Callable[[], None]) -> _Sums:
            network.model.train(learn)
            sums = _Sums(tokens=sum(made.batch.tokens for made in batches))
            with torch.set_grad_enabled(learn):
                for losses_P, moved_P2 in self._losses(network, batches, reference_P2[mine], a_token, between):
                    if learn:
                        (losses_P.sum() / len(pairs)).backward()  # type: ignore[no-untyped-call]
                    sums = sums.plus(losses_P.detach(), moved_P2)
            return sums

        return _Sums(*processes.summed(own, interrupt, len(_Sums._fields)))

    def _losses(
        self, network: Network, batches: Sequence[PairBatch], reference_P2: Tensor, a_token: float,
        between: Callable[[], None],
    ) -> Iterator[tuple[Tensor, Tensor]]:  # fmt: skip
        """Losses (P,) of some pairs after others, with their graph, and how far their sides have moved (P, 2).

        Args:
            a_token: Pairs of the step for each token of their chosen completions.
        """
        config = self._config
        for numbers, said_P2 in _said(network, batches, between):
            moved_P2 = said_P2 - reference_P2[numbers].to(said_P2)
            losses_P = dpo_losses(moved_P2[:, 0] - moved_P2[:, 1], config.dpo_beta, config.dpo_label_smoothing)
            if config.dpo_sft_weight:
                losses_P = losses_P - config.dpo_sft_weight * a_token * said_P2[:, 0]
            yield losses_P, moved_P2.detach()

    def _log_probabilities(
        self, network: Network, pairs: Sequence[Pair], interrupt: Interrupt, processes: Processes
    ) -> Tensor:
        """(pairs, 2) in nats, in float64, each process asking about its own pairs."""
        mine = processes.deal([pair.tokens for pair in pairs])
        batches = pair_batches([pairs[n] for n in mine], pack_tokens(self._config))

        def own(between: Callable[[], None]) -> list[float]:
            network.model.eval()
            found = torch.zeros(len(pairs), 2, dtype=torch.float64)
            with torch.no_grad():
                for numbers, said_P2 in _said(network, batches, between):
                    found[[mine[n] for n in numbers]] = said_P2.double().cpu()
            numbers_of_all: list[float] = found.flatten().tolist()
            return numbers_of_all

        return torch.tensor(processes.summed(own, interrupt, 2 * len(pairs)), dtype=torch.float64).view(-1, 2)


def _said(
    network: Network, batches: Sequence[PairBatch], between: Callable[[], None]
) -> Iterator[tuple[list[int], Tensor]]:
    """Numbers of some pairs after others, and the log-probabilities (P, 2) of their sides in nats, with their graph."""
    for made in batches:
        numbers = chain(*made.numbers)
        for losses_S in network.losses(made.batch, between, together=2):
            yield list(islice(numbers, len(losses_S) // 2)), -losses_S.view(-1, 2)
