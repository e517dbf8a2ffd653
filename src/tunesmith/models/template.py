"""Messages to token ids and what the loss counts: the one place, for training, evaluation and serving alike.

The prompt is rendered by the tokenizer's own chat template and tokenized; the completion is tokenized apart and
appended. So the model learns to continue exactly the ids that it is given when it answers, and no token straddles the
seam.
Does not pad, batch or truncate.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from msgspec.structs import replace

from tunesmith.core.codec import digest
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Message
from tunesmith.models.fixed_date import with_fixed_date

__all__ = ["Encoded", "Part", "Template", "common_prefix"]


class Part(NamedTuple):
    """A range of a completion's characters that counts as one in the loss, however many tokens it has."""

    begin: int
    end: int
    weight: float = 1.0


class Encoded(NamedTuple):
    """One example as tokens."""

    ids: list[int]
    weights: list[float]
    """How much the loss counts each token: 0 where it is given to the model, above 0 where it is learnt."""

    @property
    def supervised(self) -> int:
        """Tokens that are learnt."""
        return sum(weight > 0 for weight in self.weights)

    def cut(self, limit: int) -> Encoded:
        """Its first ``limit`` tokens."""
        return Encoded(self.ids[:limit], self.weights[:limit])


class Template:
    """A tokenizer with its chat template, which from here on prints one date on all days."""

    def __init__(self, tokenizer: Any) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise TunesmithError(
                f"The model {tokenizer.name_or_path or 'given'!r} has no chat template to render messages with.",
                "use its instruct (chat) version, or put a chat_template.jinja beside its tokenizer",
            )
        tokenizer.chat_template = with_fixed_date(tokenizer.chat_template)
        self.tokenizer = tokenizer
        self.known_ids: int | None = None
        """Ids from this one on are no tokens of the model, whatever the tokenizer says; None: not known."""
        self.hash = digest([tokenizer.chat_template, tokenizer.get_added_vocab(), len(tokenizer)])
        self.takes_system = True
        self._must_show_messages()
        self.takes_system = self._shows_system()
        """Whether a system message is shown as one; else its text stands before the first user message."""
        self.pad_id: int = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        self._control = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
        self._tail = self._end_of_turn()
        self.end_ids: frozenset[int] = frozenset({self._tail[0], tokenizer.eos_token_id} - {None})
        """Token ids that end a completion."""

    @classmethod
    def open(cls, folder: str | Path) -> Template:
        """The template of a model folder or Hugging Face id."""
        from transformers import AutoTokenizer  # heavy: loaded when a model is

        try:
            template = cls(AutoTokenizer.from_pretrained(str(folder)))
        except (OSError, ValueError) as error:
            raise TunesmithError(
                f"The tokenizer of {str(folder)!r} could not be loaded: {str(error).splitlines()[0]}",
                "name a folder with tokenizer.json and tokenizer_config.json, or `tunesmith model pull smollm2-135m`",
            ) from error
        template.known_ids = _rows_of_embedding(Path(folder))
        return template

    def prompt_text(self, messages: Sequence[Message]) -> str:
        """What the model reads before it answers."""
        return self._render(messages, generation=True)

    def rendered(self, messages: Sequence[Message]) -> str:
        """Messages as the template writes them when nothing is to follow."""
        return self._render(messages, generation=False)

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """Token ids the model reads before it answers.

        A text that spells a control token, such as the one that ends a turn, is read as that spelling and ends nothing:
        what users and models write is data.
        """
        spelled = [number for number, message in enumerate(messages) if self.spells_control(message.content)]
        if not spelled:
            return self._tokens(self.prompt_text(messages))
        mark = _unused_mark(messages)
        marked = [
            replace(message, content=f"{mark}{number}{mark}") if number in spelled else message
            for number, message in enumerate(messages)
        ]
        ids: list[int] = []
        for place, part in enumerate(self.prompt_text(marked).split(mark)):
            ids += self._tokens(part) if place % 2 == 0 else self._tokens(messages[int(part)].content, data=True)
        return ids

    def encode(
        self, messages: Sequence[Message], completion: str, parts: Sequence[Part] = (), rest: float = 1.0,
        earlier: Mapping[int, Sequence[Part]] | None = None,
    ) -> Encoded:  # fmt: skip
        """Prompt and completion as ids; the loss looks at the completion and the token that ends it.

        Args:
            parts: None overlaps another. The loss counts each by its weight. The tokens' weights have a mean of 1.
                Without parts each token counts the same.
            rest: What all that lies outside of the parts counts, beside them.
            earlier: Numbers of messages that are learnt as well, as if each were a completion, with their parts. The
                ids stay those of the prompt. Nothing of a prompt that spells control tokens is learnt.

        Raises:
            TunesmithError: There are parts or earlier turns, and the tokenizer does not tell which characters a token
                stands for.
        """
        prompt, answer = self.prompt_ids(messages), self.completion_ids(completion)
        weights = self._earlier(messages, earlier, rest, prompt) if earlier else [0.0] * len(prompt)
        return Encoded(prompt + answer, weights + self._completion_weights(completion, parts, rest))

    def completion_ids(self, completion: str) -> list[int]:
        """The completion's tokens and the one that ends the turn."""
        return [*self._tokens(completion, data=True), self._tail[0]]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of generated ids, special tokens left out."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True))

    def _tokens(self, text: str, *, data: bool = False) -> list[int]:
        """Token ids of ``text``; of ``data`` none is a control token."""
        return self._known(self.tokenizer(text, **self._settings(text, data))["input_ids"])

    def _read(self, text: str, *, data: bool = False) -> tuple[list[int], list[tuple[int, int]]]:
        """Token ids of ``text``, as ``_tokens`` gives them, and the characters that each stands for."""
        if not self.tokenizer.is_fast:
            raise TunesmithError(
                f"The tokenizer of {self.tokenizer.name_or_path!r} does not tell which characters a token stands for.",
                "set tuning.balance to tokens and earlier_turns to false, or put a tokenizer.json beside the model",
            )
        read = self.tokenizer(text, return_offsets_mapping=True, **self._settings(text, data))
        return self._known(read["input_ids"]), list(read["offset_mapping"])

    def _known(self, ids: Sequence[int]) -> list[int]:
        """The ids themselves.

        Raises:
            TunesmithError: The model has no embedding for one of them.
        """
        if self.known_ids is not None and ids and max(ids) >= self.known_ids:
            token = self.tokenizer.convert_ids_to_tokens(max(ids))
            raise TunesmithError(
                f"The tokenizer gives {token!r} the id {max(ids)}, and the model has embeddings for {self.known_ids} "
                "tokens.",
                "take the tokens that were added out of the tokenizer, or give the model room for them "
                "(`model.resize_token_embeddings(len(tokenizer))`) and save it again",
            )
        return list(ids)

    def _settings(self, text: str, data: bool) -> dict[str, bool]:
        """How the tokenizer reads ``text``. It warns of no long one: whoever asks counts the tokens."""
        plain = {"split_special_tokens": True} if data and self.spells_control(text) else {}
        return {"add_special_tokens": False, "verbose": False} | plain

    def spells_control(self, text: str) -> bool:
        """Whether ``text`` holds the spelling of a control token."""
        return any(token in text for token in self._control)

    def _earlier(
        self, messages: Sequence[Message], learnt: Mapping[int, Sequence[Part]], rest: float, ids: list[int]
    ) -> list[float]:
        """A weight for each id of the prompt: above 0 in the learnt messages and on the tokens that end them."""
        weights = [0.0] * len(ids)
        if any(self.spells_control(message.content) for message in messages):
            return weights
        mark = _unused_mark(messages)
        marked = [
            replace(m, content=mark + m.content.strip() + mark) if n in learnt else m for n, m in enumerate(messages)
        ]
        pieces = self.prompt_text(marked).split(mark)
        read, spans = self._read("".join(pieces))
        if read != ids or len(pieces) != 2 * len(learnt) + 1:
            raise TunesmithError(
                "The chat template does not show earlier assistant turns as they are, so they cannot be learnt.",
                "set tuning.earlier_turns to false",
            )
        begins = {begin: place for place, (begin, _) in enumerate(spans)}
        at = 0
        for place, piece in enumerate(pieces):
            # learnt where its tokens are those of a completion, the ending one included: as when the model answers
            first, own = begins.get(at), self.completion_ids(piece) if place % 2 else []
            if own and first is not None and ids[first : first + len(own)] == own:
                number = sorted(learnt)[place // 2]
                weights[first : first + len(own)] = self._completion_weights(piece, learnt[number], rest)
            at += len(piece)
        return weights

    def _completion_weights(self, completion: str, parts: Sequence[Part], rest: float) -> list[float]:
        """A weight for each of ``completion_ids``."""
        if not parts:
            return [1.0] * len(self.completion_ids(completion))
        _, spans = self._read(completion, data=True)
        outside = len(parts)
        part_of = [
            next((n for n, part in enumerate(parts) if first < part.end and last > part.begin), outside)
            for first, last in spans
        ]
        part_of.append(outside)  # the token that ends the turn
        size = Counter(part_of)
        counts = [*(part.weight for part in parts), rest]
        total = sum(counts[part] for part in size)
        return [len(part_of) * counts[part] / total / size[part] for part in part_of]

    def as_shown(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Messages with the roles that the template knows."""
        if self.takes_system or not messages or messages[0].role != "system":
            return messages
        system, *rest = messages
        if rest and rest[0].role == "user":
            return [replace(rest[0], content=f"{system.content}\n\n{rest[0].content}"), *rest[1:]]
        return [replace(system, role="user"), *rest]

    def _render(self, messages: Sequence[Message], *, generation: bool) -> str:
        from jinja2.exceptions import TemplateError

        plain = [{"role": m.role, "content": m.content} for m in self.as_shown(messages)]
        try:
            return str(self.tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=generation))
        except TemplateError as error:
            raise TunesmithError(
                f"The chat template of {self.tokenizer.name_or_path or 'the model'!r} does not take messages by "
                f"{', '.join(m['role'] for m in plain)}: {error}.",
                "use a model whose template takes them, or put a chat_template.jinja that does beside its tokenizer",
            ) from error

    def _must_show_messages(self) -> None:
        """Some templates expect contents as lists of parts, and pass over a text without a word."""
        user = Message(role="user", content="shown")
        if user.content not in self._render([user], generation=True):
            raise TunesmithError(
                f"The chat template of {self.tokenizer.name_or_path or 'the model'!r} leaves out what the user says, "
                "so every prompt would look the same.",
                "use a model whose template shows plain texts, or put a chat_template.jinja that does so beside its "
                "tokenizer",
            )

    def _shows_system(self) -> bool:
        """Some templates refuse a system message, and some leave it out without a word."""
        system, user = Message(role="system", content="shown"), Message(role="user", content="q")
        try:
            return system.content in self._render([system, user], generation=True)
        except TunesmithError:
            return False

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


def _rows_of_embedding(folder: Path) -> int | None:
    """As config.json says it."""
    try:
        about = json.loads((folder / "config.json").read_bytes())
        size = about.get("text_config", about).get("vocab_size")
    except (OSError, ValueError, AttributeError):
        return None
    return size if isinstance(size, int) else None


def _unused_mark(messages: Sequence[Message]) -> str:
    """A character for private use that no message holds."""
    return next(m for m in map(chr, range(0xE000, 0xF8FF)) if not any(m in message.content for message in messages))


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
