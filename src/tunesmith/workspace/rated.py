"""What the rounds of blind ratings hold: which texts are compared, what was said, and the labels and pairs of it.

Nothing is stored twice: labels and pairs follow from the choices, the answers and the examples, and go when one is
erased. They are told of rounds that have ended, complete or unblinded; whatever tells or uses them says so to the
ledger (`tell`), and from then on no choice of the round changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import NamedTuple

from tunesmith.core.codec import digest
from tunesmith.core.contenders import Answer
from tunesmith.core.examples import Example
from tunesmith.core.preferences import Preference
from tunesmith.core.ratings import Preferred, RatingItem, RatingRound, Won
from tunesmith.core.store import Derived, Rating
from tunesmith.evaluation.rating.results import Rated, RaterSeen, labels, raters_seen, won
from tunesmith.workspace.home import Home

__all__ = [
    "UNBLINDED",
    "Round",
    "Shown",
    "ended_rounds",
    "newest_round",
    "rated_pairs",
    "rating_labels",
    "tell",
    "told",
]

UNBLINDED = "rating_unblinded"
"""Kind of the ledger's entry: from then on nobody rates in the round, nor changes what they said."""


class Shown(NamedTuple):
    """What is compared."""

    example: Example
    a: str
    b: str


class Round:
    """One round as it stands now."""

    def __init__(self, home: Home, entry: Derived) -> None:
        self.home, self.hash, self.entry = home, entry.hash, entry
        self.made: RatingRound = home.load(entry, RatingRound)

    @cached_property
    def ratings(self) -> list[Rating]:
        return self.home.store.ratings.all(self.hash)

    @cached_property
    def unblinded(self) -> bool:
        return told(self.home, self.hash)

    @cached_property
    def _answers(self) -> dict[str, dict[str, Answer]]:
        return {name: self.home.store.answers(record) for name, record in self.made.contenders.items()}

    def _shown(self, item: RatingItem, examples: Mapping[str, Example]) -> Shown | None:
        """The two texts as they were frozen, without a trace; None where one was erased or is another now."""
        example = examples.get(item.example)
        if example is None:
            return None
        if item.wrong is not None:
            wrong = examples.get(item.wrong)
            texts = [example.completion, wrong.completion] if wrong else []
        else:
            there = [self._answers[name].get(item.example) for name in (item.a, item.b)]
            texts = [answer.text for answer in there if answer is not None]
        if tuple(digest(text) for text in texts) != item.texts:
            return None
        return Shown(example, *map(self.home.task.final, texts))

    @cached_property
    def there(self) -> dict[str, Shown]:
        """What can be shown, by item."""
        items = (*self.made.items, *self.made.attention)
        named = {name for item in items for name in (item.example, item.wrong) if name}
        examples = self.home.store.examples_of(named)
        found = {item.id: self._shown(item, examples) for item in items}
        return {item: shown for item, shown in found.items() if shown is not None}

    @cached_property
    def waiting(self) -> int:
        """Ratings that are wanted and not given."""
        return sum(r.choice is None and not r.attention and r.item in self.there for r in self.ratings)

    @property
    def ended(self) -> bool:
        return self.unblinded or not self.waiting

    @cached_property
    def raters(self) -> dict[str, RaterSeen]:
        return raters_seen(self.made, self.ratings)

    @property
    def left_out(self) -> frozenset[str]:
        return frozenset(name for name, seen in self.raters.items() if seen.left_out)

    @cached_property
    def rated(self) -> list[Rated]:
        """Comparisons with what was said of them, also those of which nothing was."""
        said: dict[str, dict[str, Won]] = {}
        for rating in self.ratings:
            if rating.choice is not None and not rating.attention:
                said.setdefault(rating.item, {})[rating.rater or ""] = won(rating)
        return [Rated(item, self._group(item), said.get(item.id, {})) for item in self.made.items]

    @cached_property
    def identical(self) -> list[Rated]:
        return [Rated(item, self._group(item), {}) for item in self.made.identical]

    def _group(self, item: RatingItem) -> str:
        example = self._examples.get(item.example)
        return f"group {example.group}" if example is not None and example.group else item.example

    @cached_property
    def _examples(self) -> dict[str, Example]:
        return {e.id: e for e in (*self.home.store.removed(), *self.home.examples())}


def told(home: Home, round_hash: str) -> bool:
    """Whether a round's choices were told or used, so that nobody rates in it any more."""
    return any(entry.detail.get("round") == round_hash for entry in home.store.ledger(UNBLINDED))


def tell(home: Home, rounds: Iterable[Round], **whom: str) -> None:
    """Write down that the choices of ``rounds`` are told or used, where it is not written yet: nothing that is said in
    them from now on would be blind.

    Args:
        whom: ``by``, the person who is told, or ``verb``, what uses them.
    """
    for made in rounds:
        if not made.unblinded:
            home.store.write_ledger(UNBLINDED, {"round": made.hash, **whom, "missing": made.waiting})


def newest_round(home: Home) -> Round | None:
    found = home.index("rating", "round")
    return Round(home, found[-1]) if found else None


def rating_labels(home: Home) -> list[Preferred]:
    """What people said of contenders' answers, in all rounds that have ended."""
    tell(home, ended_rounds(home), verb="rating_labels")
    return [label for made in ended_rounds(home) for label in labels(made.made, made.rated, made.left_out)]


def rated_pairs(home: Home, in_use: Mapping[str, Example]) -> tuple[list[Preference], int]:
    """The pairs that ratings say, and how many comparisons say none since as many chose one as the other.

    What is chosen must fit the task, for a model would learn to answer so. A tie says nothing.
    """
    found: list[Preference] = []
    disputed = 0
    rounds = ended_rounds(home)
    successors = home.store.changes.successors() if rounds else {}
    for made in rounds:
        for rated in made.rated:
            said = {rater: what for rater, what in rated.said.items() if rater not in made.left_out}
            votes = Counter(said.values())
            example = in_use.get(successors.get(rated.item.example, rated.item.example) or "")
            shown = made.there.get(rated.item.id)
            if example is None or shown is None or not votes["a"] + votes["b"]:
                continue
            if votes["a"] == votes["b"]:
                disputed += 1
                continue
            ours = votes["a"] > votes["b"]
            chosen, rejected = (shown.a, shown.b) if ours else (shown.b, shown.a)
            fields = home.task.parse(chosen).fields
            if fields is None or home.task.render(fields) == rejected.strip():
                continue
            by = sorted(rater for rater, what in said.items() if what == ("a" if ours else "b"))
            found.append(
                Preference.make(
                    example.messages,
                    home.task.render(fields),
                    rejected,
                    source="rating",
                    group=example.group,
                    example=example.id,
                    by=", ".join(by),
                    origin=example.origin,
                    licence=example.licence,
                )
            )
    return found, disputed


def ended_rounds(home: Home) -> list[Round]:
    """Those that are complete or unblinded, oldest first. A choice in a complete one may change until `tell` is called,
    which whoever tells or uses the choices does."""
    rounds = [Round(home, entry) for entry in home.index("rating", "round")]
    return [made for made in {made.hash: made for made in rounds}.values() if made.ended]
