"""Loss and gradients of a batch, equal to those of its examples one by one, in the fastest way that the model allows.

- ``segments``: the prefix runs once a batch. Its keys and values are leaves for the packs that read them; what gathers
  in their gradients flows back through the prefix at the end. Each pack's graph is freed at once, so memory is that of
  the prefix and one pack.
- ``packed``: prefix and segments as one sequence per pack, under a mask.
- ``plain``: example by example, as transformers would.

Which of them is right for a model is measured on it (``choose_way``), not listed by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tunesmith.core.errors import TunesmithError
from tunesmith.models.template import Encoded
from tunesmith.tuning import attention
from tunesmith.tuning.attention import KeysValues, Pass, running, running_again
from tunesmith.tuning.batches import Batch
from tunesmith.tuning.fused import LogitsRoom, fuse, token_losses, unfuse

__all__ = ["WAYS", "Network", "Way", "choose_way"]

Way = Literal["segments", "packed", "plain"]
WAYS: tuple[Way, ...] = ("segments", "packed", "plain")
"""The fastest first; the last is right for every model."""
LENGTH_STEP = 64
"""Tokens of which the lengths of long packs are multiples. Measured on 135M parameters, 12 steps of 32 short examples:
2.4 GB resident at the peak instead of 2.7, in the same time."""
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3}
"""Largest relative difference of loss and gradients from the plain way; half-precision formats get 0.1."""


def _go_on() -> None:
    """Nothing to stop for."""


class Network:
    """A causal language model, plain or with a PEFT adapter, that computes loss and gradients of batches."""

    def __init__(self, model: Any, way: Way = "plain") -> None:
        self.model = model
        self.causal = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._own_attention: str = self.causal.config._attn_implementation
        self.way: Way = "plain"
        self._room = LogitsRoom()
        self.kernels: torch.device | None = None
        """The device whose kernels compute; None: that of the model. Else its tensors have no content."""
        self.switch(way)

    @property
    def device(self) -> torch.device:
        device: torch.device = self.causal.device
        return device

    def switch(self, way: Way) -> None:
        """Compute in this way from now on."""
        fast = way == "segments"
        if fast:
            attention.register()
            fuse(self.model)
        elif self.way == "segments":
            unfuse(self.model)
        self.causal.set_attn_implementation(attention.NAME if fast else self._own_attention)
        self.way = way

    def checkpoint_layers(self) -> None:
        """From now on, keep only the input of each decoder layer; the backward pass computes the rest again.

        Raises:
            TunesmithError: The architecture cannot.
        """
        again = partial(checkpoint, use_reentrant=False, context_fn=running_again)
        try:
            # the public method also has the embeddings ask for gradients, which only re-entrant checkpoints need
            self.causal._set_gradient_checkpointing(enable=True, gradient_checkpointing_func=again)
        except (TypeError, ValueError) as error:
            raise TunesmithError(
                f"Models of type {self.causal.config.model_type!r} cannot compute their layers again: {error}",
                "set tuning.checkpointing to false, and tuning.pack_tokens lower where the memory is short",
            ) from error

    def learn(self, batch: Batch, between: Callable[[], None] = _go_on, *, of: float | None = None) -> float:
        """Add the gradients of the batch's mean loss to the parameters'; returns that loss in nats per learnt token,
        each token counting by its weight.

        ``between`` is called before each pack; what it raises leaves with gradients half added.

        Args:
            of: Weight of all that the step learns, where the batch is a part of it: the gradients added are this part
                of those of the whole's mean loss. The loss returned is the batch's own.
        """
        self.model.train()
        return self._sum(batch, 1 / (of or batch.weight), between) / batch.weight

    def loss_sum(self, batch: Batch, between: Callable[[], None] = _go_on) -> float:
        """Weighted loss in nats, summed over the batch's learnt tokens; no gradients."""
        self.model.eval()
        with torch.no_grad():
            return self._sum(batch, None, between)

    def losses(self, batch: Batch, between: Callable[[], None] = _go_on, *, together: int = 1) -> Iterator[Tensor]:
        """Weighted losses (S,) of the segments of each pack in turn, in nats, with their graph.

        Whoever asks for gradients calls ``backward`` on what they make of one pack before they take the next, and takes
        all: the prefix gets its gradients at the end.

        Args:
            together: So many segments, one after another, are always in one graph, in the plain way too.
        """
        if self.way == "segments":
            yield from self._over_prefix(batch, between)
            return
        packs = batch.packs
        if self.way == "plain":
            packs = [pack[n : n + together] for pack in packs for n in range(0, len(pack), together)]
        for pack in packs:
            between()
            apart = [[segment] for segment in pack] if self.way == "plain" else [pack]
            yield torch.cat([self._pack_losses(batch.prefix, one) for one in apart])

    def _sum(self, batch: Batch, scale: float | None, between: Callable[[], None]) -> float:
        total = 0.0
        for losses in self.losses(batch, between):
            loss = losses.sum()
            total += loss.item()
            if scale is not None:
                (loss * scale).backward()  # type: ignore[no-untyped-call]
        return total

    def _over_prefix(self, batch: Batch, between: Callable[[], None]) -> Iterator[Tensor]:
        between()
        made: list[KeysValues] = []
        if batch.prefix:
            with running(Pass([len(batch.prefix)], kernels=self.kernels)) as this:
                self._hidden(batch.prefix, list(range(len(batch.prefix))))
            made = this.seen
        leaves = [tuple(x.detach().requires_grad_(x.requires_grad) for x in pair) for pair in made]
        for pack in batch.packs:
            between()
            yield self._segment_losses(pack, len(batch.prefix), leaves)
        flat = zip(chain(*made), chain(*leaves), strict=True)
        reached = [(x, leaf.grad) for x, leaf in flat if leaf.grad is not None]
        if reached:
            torch.autograd.backward([x for x, _ in reached], [grad for _, grad in reached])

    def _segment_losses(self, pack: Sequence[Encoded], start: int, leaves: Sequence[Any]) -> Tensor:
        positions = [start + i for segment in pack for i in range(len(segment.ids))]
        ids = [i for segment in pack for i in segment.ids]
        more = filling(len(ids))  # behind the last segment, where nothing sees them and nothing is learnt
        lengths = [len(segment.ids) for segment in pack]
        lengths[-1] += more
        with running(Pass(lengths, leaves or None, self.kernels)):
            hidden = self._hidden(ids + ids[-1:] * more, positions + positions[-1:] * more)
        keep, target, weight, count = self._learnt(pack, 0)
        head, cap = self.causal.get_output_embeddings(), self._about("final_logit_softcapping")
        factor = (self._about("logit_scale") or 1.0) / (self._about("logits_scaling") or 1.0)  # Cohere's and Granite's
        learnt = hidden[keep] if factor == 1 else hidden[keep] * factor
        if type(head) is nn.Linear and head.bias is None and not head.weight.requires_grad and not cap:
            return _by_segment(token_losses(learnt, head.weight, target, weight, self._room), count)
        logits = head(learnt)
        return _by_segment(_cross_entropy(torch.tanh(logits / cap) * cap if cap else logits, target, weight), count)

    def _about(self, setting: str) -> float | None:
        """What the model's config says of its logits, if anything."""
        value: float | None = getattr(self.causal.config.get_text_config(), setting, None)
        return value

    def _hidden(self, ids: Sequence[int], positions: Sequence[int]) -> Tensor:
        """Hidden states (T, width) of the last layer."""
        out = self.causal.get_decoder()(
            input_ids=torch.tensor([ids], device=self.device),
            position_ids=torch.tensor([positions], device=self.device),
            use_cache=False,
        )
        hidden: Tensor = out.last_hidden_state[0]
        return hidden

    def _pack_losses(self, prefix: list[int], pack: Sequence[Encoded]) -> Tensor:
        """Losses of the segments, computed with ``prefix`` as one sequence."""
        shared = len(prefix)
        ids = prefix + [i for segment in pack for i in segment.ids]
        positions = [*range(shared), *(shared + i for segment in pack for i in range(len(segment.ids)))]
        keep, target, weight, count = self._learnt(pack, shared)
        mask = None if len(pack) == 1 else self._mask(shared, pack)
        out = self.causal(
            input_ids=torch.tensor([ids], device=self.device),
            position_ids=torch.tensor([positions], device=self.device),
            attention_mask=mask,
            use_cache=False,
            logits_to_keep=keep,
        )
        return _by_segment(_cross_entropy(out.logits[0], target, weight), count)

    def _learnt(self, pack: Sequence[Encoded], start: int) -> tuple[Tensor, Tensor, Tensor, list[int]]:
        """Places whose next token is learnt, those tokens, their weights, and how many of them each segment has.

        The first token of a segment has none before it."""
        keep, target, weight, count = [], [], [], []
        for segment in pack:
            learnt = [i for i in range(1, len(segment.ids)) if segment.weights[i]]
            keep += [start + i - 1 for i in learnt]
            target += [segment.ids[i] for i in learnt]
            weight += [segment.weights[i] for i in learnt]
            count.append(len(learnt))
            start += len(segment.ids)
        exact = torch.float64 if self.causal.dtype == torch.float64 else torch.float32
        weight_N = torch.tensor(weight, device=self.device, dtype=exact)
        return torch.tensor(keep, device=self.device), torch.tensor(target, device=self.device), weight_N, count

    def _mask(self, shared: int, pack: Sequence[Encoded]) -> Tensor:
        """(1, 1, tokens, tokens): 0 where a token sees another, the lowest number where not."""
        owner = torch.tensor([-1] * shared + [row for row, segment in enumerate(pack) for _ in segment.ids])
        place = torch.arange(len(owner))
        sees = (place[:, None] >= place) & ((owner == -1) | (owner[:, None] == owner))
        mask = torch.zeros(sees.shape, dtype=self.causal.dtype)
        return mask.masked_fill_(~sees, torch.finfo(mask.dtype).min)[None, None].to(self.device)


def filling(tokens: int) -> int:
    """Tokens to add, an eighth at most, so that packs have few different lengths: what one frees fits the next, so the
    heap stays small, and products compiled for one serve the next.

    >>> [tokens + filling(tokens) for tokens in (3, 20, 100, 1000)]
    [3, 20, 104, 1024]
    """
    return -tokens % min(LENGTH_STEP, 1 << max(0, (tokens // 8).bit_length() - 1))


def choose_way(network: Network) -> Way:
    """Switch ``network`` to the first way that gives the plain way's loss and gradients on two made-up examples."""
    batch = _made_up(network.causal.config.get_text_config().vocab_size)
    network.switch("plain")
    expected = _measured(network, batch)
    for way in WAYS[:-1]:
        try:
            network.switch(way)
            distance = _distance(_measured(network, batch), expected)
        except Exception:  # an architecture can refuse in any way; the next one is tried, and the last always works
            continue
        if distance <= TOLERANCE.get(network.causal.dtype, 0.1):
            return way
    network.switch("plain")
    return "plain"


class _Measured(NamedTuple):
    """What one way finds on one batch. The gradients count as a direction: together they have length 1."""

    loss: float
    gradients: list[Tensor]
    size: float


def _measured(network: Network, batch: Batch) -> _Measured:
    """Loss and all gradients, the network left as it was; dropout off, for it would differ each time."""
    parameters = [p for p in network.model.parameters() if p.requires_grad]
    network.model.eval()
    try:
        loss = network._sum(batch, 1 / batch.weight, _go_on) / batch.weight
        gradients = [p.grad for p in parameters if p.grad is not None]
        return _Measured(loss, gradients, sum(float(g.double().norm()) ** 2 for g in gradients) ** 0.5 or 1.0)
    finally:
        for parameter in parameters:
            parameter.grad = None


def _distance(found: _Measured, expected: _Measured) -> float:
    """Of all numbers taken as one vector, by its length; one gradient after another, for memory's sake."""
    square, whole = (found.loss - expected.loss) ** 2, expected.loss**2
    for one, other in zip(found.gradients, expected.gradients, strict=True):
        wanted = other.double() / expected.size
        square += float((one.double() / found.size - wanted).norm()) ** 2
        whole += float(wanted.norm()) ** 2
    return float((square / whole) ** 0.5)


def _made_up(vocabulary: int) -> Batch:
    """Two segments of unlike length after a prefix, from ids spread over the vocabulary."""
    ids = [(7919 * i + 13) % vocabulary for i in range(22)]
    return Batch(ids[:8], [[Encoded(ids[8:17], [0.0] * 4 + [1.0] * 5), Encoded(ids[17:], [0.0] * 2 + [2.0] * 3)]])


def _by_segment(losses_N: Tensor, count: Sequence[int]) -> Tensor:
    """Sums (S,) over the tokens of each segment."""
    return torch.stack([losses.sum() for losses in torch.split(losses_N, list(count))])


def _cross_entropy(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    return nn.functional.cross_entropy(logits.to(weight.dtype), target, reduction="none") * weight
