"""What a completion may look like, token by token: one of some choices, JSON that fits a schema, or a pattern's match.

A guide also says which tokens can only come next, so that they are written without asking the model. For choices these
are the ids that training uses (``Template.completion_ids``); for JSON, llguidance gives the tokenizer's own tokens of
the forced text, which are the same (a test holds it to that).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from tunesmith.core.contenders import Constraint
from tunesmith.core.errors import TunesmithError
from tunesmith.models.template import Template

__all__ = ["Guide", "Guides"]

KEPT = 64
"""Compiled constraints held at once."""
# exactly what json.dumps writes, which is what the completions a model learns from look like
JSON_STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class Guide(Protocol):
    """Where one row stands in its constraint."""

    problem: str | None
    """Why the guide cannot go on."""

    @property
    def done(self) -> bool:
        """Whether the completion is whole; nothing may follow."""
        ...

    def forced(self) -> list[int]:
        """Go over the tokens that have no alternative, and return them. The end of a completion is not among them."""
        ...

    def allows(self, token: int) -> bool: ...

    def mask(self, size: int) -> Tensor:
        """Shape (size,), True at the tokens that may come next."""
        ...

    def take(self, token: int) -> bool:
        """Go over an allowed ``token``; False if it only ends the completion and is no part of its text."""
        ...

    def text(self) -> str | None:
        """The exact text, where the guide knows it without decoding tokens."""
        ...


class Guides:
    """Makes guides for one template, each constraint compiled once."""

    def __init__(self, template: Template) -> None:
        self._template = template
        self._compiled: OrderedDict[str, Any] = OrderedDict()
        self._tokenizer: Any = None

    def start(self, constraint: Constraint) -> Guide:
        """A guide at the beginning of a completion.

        Raises:
            TunesmithError: There is no choice to choose from, or the schema cannot be compiled.
        """
        name = constraint.hash
        if name not in self._compiled:
            compile_ = self._compile_choices if constraint.kind == "choice" else self._compile_grammar
            self._compiled[name] = compile_(constraint)
            while len(self._compiled) > KEPT:
                self._compiled.popitem(last=False)
        compiled = self._compiled[name]
        self._compiled.move_to_end(name)
        if constraint.kind == "choice":
            return ChoiceGuide(compiled)
        return GrammarGuide(compiled.deep_copy(), self._template.end_ids, self._for_grammars().vocab_size)

    def _compile_choices(self, constraint: Constraint) -> dict[int, Any]:
        if not constraint.choices:
            raise TunesmithError("A choice constraint has no choices.", "give the label field its labels")
        trie: dict[int, Any] = {}
        for choice in dict.fromkeys(constraint.choices):
            ids = self._template.completion_ids(choice)
            node = trie
            for token in ids[:-1]:
                node = node.setdefault(token, {})
            node[ids[-1]] = choice
        return trie

    def _compile_grammar(self, constraint: Constraint) -> Any:
        from llguidance import LLMatcher

        what = "JSON schema"
        if constraint.kind == "pattern":
            what, grammar = f"pattern {constraint.pattern}", LLMatcher.grammar_from_regex(constraint.pattern)
        elif constraint.schema is None:
            raise TunesmithError("A json_schema constraint has no schema.", "give it one, as Task.schema() does")
        else:
            grammar = LLMatcher.grammar_from_json_schema(constraint.schema, overrides=JSON_STYLE)
        matcher = LLMatcher(self._for_grammars(), grammar, log_level=0)
        if matcher.is_error():
            raise TunesmithError(
                f"The {what} cannot be used to constrain a completion: {matcher.get_error().splitlines()[0]}",
                "simplify it (patterns without look-around, bounded lengths), or set contenders.constrained to false",
            )
        return matcher

    def _for_grammars(self) -> Any:
        """The tokenizer as llguidance wants it; made once, since that takes a second."""
        if self._tokenizer is None:
            from llguidance.hf import from_tokenizer

            self._tokenizer = from_tokenizer(self._template.tokenizer, eos_token=sorted(self._template.end_ids))
        return self._tokenizer


class ChoiceGuide:
    """A walk down the trie of the choices' token ids. A leaf holds the choice."""

    def __init__(self, trie: dict[int, Any]) -> None:
        self._node: dict[int, Any] = trie
        self._choice: str | None = None
        self.problem: str | None = None

    @property
    def done(self) -> bool:
        return self._choice is not None

    def forced(self) -> list[int]:
        forced: list[int] = []
        while not self.done and len(self._node) == 1:
            token = next(iter(self._node))
            if self.take(token):
                forced.append(token)
        return forced

    def allows(self, token: int) -> bool:
        return token in self._node

    def mask(self, size: int) -> Tensor:
        mask = torch.zeros(size, dtype=torch.bool)
        mask[list(self._node)] = True
        return mask

    def take(self, token: int) -> bool:
        below = self._node[token]
        if isinstance(below, str):
            self._choice = below
            return False
        self._node = below
        return True

    def text(self) -> str | None:
        return self._choice


class GrammarGuide:
    """llguidance's matcher of one row."""

    def __init__(self, matcher: Any, end_ids: frozenset[int], size: int) -> None:
        self._matcher, self._end_ids, self._size = matcher, end_ids, size
        self._ended = False
        self.problem: str | None = None

    @property
    def done(self) -> bool:
        return self._ended or bool(self._matcher.is_stopped())

    def forced(self) -> list[int]:
        forced: list[int] = []
        while not self.done and (tokens := self._matcher.compute_ff_tokens()):
            self._consume(tokens)
            forced += tokens
        return forced

    def allows(self, token: int) -> bool:
        if token in self._end_ids:
            return bool(self._matcher.is_accepting())
        # a model's vocabulary may be padded beyond its tokenizer's; the matcher never recovers from such a token
        return token < self._size and bool(self._matcher.validate_tokens([token]) == 1)

    def mask(self, size: int) -> Tensor:
        # llguidance.torch would compile a kernel at its first call, for seconds; bits are cheap to unpack here
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        allowed = np.unpackbits(bits, count=min(size, 8 * len(bits)), bitorder="little")
        mask = torch.zeros(size, dtype=torch.bool)
        mask[: len(allowed)] = torch.from_numpy(allowed).bool()
        return mask

    def take(self, token: int) -> bool:
        if token in self._end_ids:
            self._ended = True
            return False
        self._consume([token])
        return True

    def text(self) -> str | None:
        return None

    def _consume(self, tokens: Sequence[int]) -> None:
        self._matcher.consume_tokens(list(tokens))
        if self._matcher.is_error():
            self.problem = f"the constraint failed: {self._matcher.get_error().splitlines()[0]}"
