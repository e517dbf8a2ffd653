"""Messages to token ids and loss mask: the one place, for training, evaluation and serving alike.

The prompt is rendered by the tokenizer's own chat template and tokenized; the completion is tokenized apart and
appended. So the model learns to continue exactly the ids that it is given when it answers, and no token straddles the
seam.
Does not pad, batch or truncate.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tunesmith.core.codec import digest
from tunesmith.core.errors import TunesmithError
from tunesmith.core.records import Message

__all__ = ["Encoded", "Template", "common_prefix"]


class Encoded(NamedTuple):
    """One example as tokens. ``mask[i]`` is True where the model learns to produce ``ids[i]``."""

    ids: list[int]
    mask: list[bool]

    @property
    def supervised(self) -> int:
        return sum(self.mask)


class Template:
    """A tokenizer with its chat template."""

    def __init__(self, tokenizer: Any) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise TunesmithError(
                f"The model {tokenizer.name_or_path or 'given'!r} has no chat template to render messages with.",
                "use its instruct (chat) version, or put a chat_template.jinja beside its tokenizer",
            )
        self.tokenizer = tokenizer
        self.hash = digest([tokenizer.chat_template, tokenizer.get_added_vocab(), len(tokenizer)])
        self.pad_id: int = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        self._tail = self._end_of_turn()
        self.end_ids: frozenset[int] = frozenset({self._tail[0], tokenizer.eos_token_id} - {None})
        """Token ids that end a completion."""

    @classmethod
    def open(cls, folder: str | Path) -> Template:
        """The template of a model folder or Hugging Face id."""
        from transformers import AutoTokenizer  # heavy: loaded when a model is

        try:
            return cls(AutoTokenizer.from_pretrained(str(folder)))
        except (OSError, ValueError) as error:
            raise TunesmithError(
                f"The tokenizer of {str(folder)!r} could not be loaded: {str(error).splitlines()[0]}",
                "name a folder with tokenizer.json and tokenizer_config.json, or `tunesmith model pull smollm2-135m`",
            ) from error

    def prompt_text(self, messages: Sequence[Message]) -> str:
        """What the model reads before it answers."""
        return self._render(messages, generation=True)

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """Token ids the model reads before it answers."""
        return self._tokens(self.prompt_text(messages))

    def encode(self, messages: Sequence[Message], completion: str) -> Encoded:
        """Prompt and completion as ids; the loss looks at the completion and the token that ends it."""
        prompt, answer = self.prompt_ids(messages), self.completion_ids(completion)
        return Encoded(prompt + answer, [False] * len(prompt) + [True] * len(answer))

    def completion_ids(self, completion: str) -> list[int]:
        """The completion's tokens and the one that ends the turn."""
        return [*self._tokens(completion), self._tail[0]]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of generated ids, special tokens left out."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True))

    def _tokens(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _render(self, messages: Sequence[Message], *, generation: bool) -> str:
        plain = [{"role": m.role, "content": m.content} for m in messages]
        return str(self.tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=generation))

    def _end_of_turn(self) -> list[int]:
        """Ids that follow a completion when the template renders a finished turn; the first one ends it."""
        asked = [Message(role="user", content="q")]
        before = self._render(asked, generation=True)
        after = self._render([*asked, Message(role="assistant", content="a")], generation=False)
        tail = self._tokens(after[len(before) + 1 :]) if after.startswith(before + "a") else []
        if tail:
            return tail
        if self.tokenizer.eos_token_id is None:
            raise TunesmithError(
                "The chat template does not say where an answer ends, and the tokenizer has no end token.",
                "set eos_token in tokenizer_config.json",
            )
        return [self.tokenizer.eos_token_id]


def common_prefix(sequences: Sequence[Sequence[int]]) -> int:
    """Number of leading ids that all sequences share, at least one id short of the shortest.

    >>> common_prefix([[1, 2, 3, 4], [1, 2, 5]])
    2
    """
    if not sequences:
        return 0
    first, last = min(map(list, sequences)), max(map(list, sequences))  # all others lie between them, so share as much
    limit = min(len(s) for s in sequences) - 1
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), limit)
    return max(0, min(same, limit))
