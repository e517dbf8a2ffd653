"""The processes that train one adapter together: who computes what of a step, and what they must agree on.

One process alone is the usual case, and pays nothing for this. Where there are more, torchrun, `accelerate launch` or
Ray Train started them, and Accelerate sets them up. Each computes its share of a step's examples, the gradients are
summed once a step, and each takes the same optimizer step. A decision is made from a sum, or is the first process's, so
that all make the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from tunesmith.core.codec import digest
from tunesmith.core.errors import TunesmithError, out_of_memory
from tunesmith.tuning.batches import Batch, make_packs
from tunesmith.tuning.gradients import Network
from tunesmith.tuning.interrupt import Interrupt

__all__ = ["ALONE", "Agreed", "ProcessEnded", "Processes", "RanOut"]

T = TypeVar("T")

PATIENCE = timedelta(hours=12)
"""How long a process waits for another. The first one may prepare rows, or have validation rows answered, for long; one
that ended is noticed at once, by its closed connection or by what started it."""


class Agreed(TunesmithError):
    """An error that all processes of a run raise at once, so that none waits for another, and one may tell of it."""


class RanOut(MemoryError):
    """Memory ran out in one process of several, and all of them raise this at once."""


class ProcessEnded(TunesmithError):
    """Another process of the run is gone."""


class Processes:
    """All processes of a run, as seen from one of them. The first one keeps the run's folder and tells of it."""

    def __init__(self, rank: int = 0, count: int = 1, device: torch.device | str = "cpu") -> None:
        self.rank, self.count, self.device = rank, count, torch.device(device)
        self._led = False

    @classmethod
    def launched(cls) -> Processes:
        """Those that torchrun or `accelerate launch` started, connected; this one alone where they started none.

        Raises:
            TunesmithError: There are more processes on this machine than GPUs.
        """
        return cls.joined() if int(os.environ.get("WORLD_SIZE") or 1) > 1 and "RANK" in os.environ else ALONE

    @classmethod
    def joined(cls) -> Processes:
        """Those that the environment names (RANK, WORLD_SIZE, MASTER_ADDR), connected, each on its GPU if there are
        any. ``TunesmithError`` as ``launched``."""
        from accelerate import PartialState

        gpus, here = torch.cuda.device_count(), int(os.environ.get("LOCAL_WORLD_SIZE") or 1)
        if 0 < gpus < here:
            raise TunesmithError(
                f"{here} processes were started on a machine with {gpus} GPU{'s' if gpus > 1 else ''}.",
                f"start {gpus} of them a machine (--nproc-per-node, --num_processes), or none on a GPU with "
                "`CUDA_VISIBLE_DEVICES=` in front",
            )
        state = PartialState(cpu=not gpus, timeout=PATIENCE)
        return cls(state.process_index, state.num_processes, state.device)

    @property
    def first(self) -> bool:
        return self.rank == 0

    # What is shared out.

    def share(self, batch: Batch) -> Batch | None:
        """This process's examples of ``batch``, None where there are fewer than processes."""
        limit = max(sum(len(segment.ids) for segment in pack) for pack in batch.packs)
        segments = [segment for pack in batch.packs for segment in pack]
        mine = [segments[number] for number in self.deal([len(segment.ids) for segment in segments])]
        return Batch(batch.prefix, make_packs(mine, limit)) if mine else None

    def deal(self, sizes: Sequence[int]) -> list[int]:
        """This process's numbers of things of such sizes, in order, possibly none.

        They are dealt out largest first, each to the process that has the least so far.
        """
        has, mine = [0] * self.count, []
        for number in sorted(range(len(sizes)), key=lambda n: -sizes[n]):
            to = has.index(min(has))
            has[to] += sizes[number]
            if to == self.rank:
                mine.append(number)
        return sorted(mine)

    def learn(self, network: Network, batch: Batch, interrupt: Interrupt, *, of: float) -> float:
        """``Network.learn``, each process on its share; the loss returned is the whole batch's.

        Raises:
            KeyboardInterrupt: One of the processes was interrupted; all raise it.
            RanOut: One has run out of memory; all raise it.
        """
        if self.count == 1:
            return network.learn(batch, interrupt.check, of=of)
        share = self.share(batch)

        def own(between: Callable[[], None]) -> list[float]:
            return [network.learn(share, between, of=of) * share.weight if share else 0.0]

        return self.summed(own, interrupt)[0] / batch.weight

    def loss_sum(self, network: Network, batch: Batch, interrupt: Interrupt) -> float:
        """``Network.loss_sum``, each process on its share. Raises as ``learn``."""
        if self.count == 1:
            return network.loss_sum(batch, interrupt.check)
        share = self.share(batch)
        return self.summed(lambda between: [network.loss_sum(share, between) if share else 0.0], interrupt)[0]

    def summed(
        self, own: Callable[[Callable[[], None]], Sequence[float]], interrupt: Interrupt, length: int = 1
    ) -> list[float]:
        """``length`` numbers, each the sum of what the processes have of it: one exchange. Raises as ``learn``.

        Args:
            own: Computes this process's. It calls what it is given where a process alone may stop.
        """
        if self.count == 1:
            return list(own(interrupt.check))
        from accelerate.utils import reduce

        numbers: Sequence[float] = [0.0] * length
        full = False
        try:
            numbers = own(lambda: None)  # who stops before the exchange would leave the others waiting
        except Exception as error:
            if not out_of_memory(error):
                raise
            full = True
        with self._exchange():
            sums = torch.tensor([*numbers, interrupt.asked, full], dtype=torch.float64, device=self.device)
            totals: list[float] = reduce(sums, "sum").tolist()
        *totals, asked, ran_out = totals
        if ran_out:
            raise RanOut
        if asked:
            raise KeyboardInterrupt
        return totals

    def add_gradients(self, weights: Iterable[Tensor]) -> None:
        """Give each weight the sum of its gradients in all processes: one exchange."""
        if self.count == 1:
            return
        from accelerate.utils import reduce

        every = list(weights)
        flat = torch.cat([(torch.zeros_like(w) if w.grad is None else w.grad).flatten() for w in every])
        with self._exchange():
            flat = reduce(flat, "sum")
        for weight, grad in zip(every, flat.split([w.numel() for w in every]), strict=True):
            weight.grad = grad.view_as(weight).to(weight.dtype)

    def seed(self, *parts: Any) -> None:
        """Random numbers of a step for dropout: other ones in each process, the same when it is done again, on whatever
        device they are drawn."""
        torch.manual_seed(int(digest([*map(str, parts), self.rank])[:15], 16))

    # What is agreed on.

    def agree(self, value: T) -> T:
        """What the first process gives."""
        if self.count == 1:
            return value
        from accelerate.utils import broadcast_object_list

        box = [value if self.first else None]
        with self._exchange():
            broadcast_object_list(box)
        return cast(T, box[0])

    def spread(self, tensors: Sequence[Tensor]) -> None:
        """Give each tensor the first process's values."""
        if self.count == 1:
            return
        from accelerate.utils import broadcast

        with self._exchange(), torch.no_grad():
            for tensor in tensors:
                sent = tensor.detach().to(self.device).contiguous()
                broadcast(sent)
                tensor.copy_(sent)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What one process cannot do, none goes on with: its error in this block is raised in all, as ``Agreed``."""
        if self.count == 1:
            yield
            return
        from accelerate.utils import gather_object

        own: TunesmithError | None = None
        try:
            yield
        except TunesmithError as error:
            own = error
        with self._exchange():
            found = gather_object([(own.problem, own.mend) if own else None])
        for rank, words in enumerate(found):
            if words:
                raise Agreed(f"Process {rank + 1} of {self.count}: {words[0]}", words[1]) from own

    @contextmanager
    def leading(self) -> Iterator[None]:
        """For the first process, round all it does: the others, who wait for work, are told if none comes."""
        try:
            yield
        finally:
            if not self._led:
                with suppress(ProcessEnded):
                    self.agree(None)

    def hand_out(self, work: T) -> T:
        """The work that the others wait for, from the first process. They get None where there is none."""
        self._led = True
        return self.agree(work)

    @contextmanager
    def _exchange(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:  # gloo and NCCL raise it, or one of its kinds
            raise ProcessEnded(
                "Another process of this run has ended, or cannot be reached.",
                "see what it said; the same command goes on where the run was",
            ) from error


ALONE = Processes()
