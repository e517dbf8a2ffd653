"""Prove from the rows themselves that a split does not leak. Trusts nothing that the split says about itself.

``certify`` looks for what two sides share; ``verify`` also asks whether the split still speaks of this snapshot.
Neither changes anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from tunesmith.core.examples import Example, Side, Snapshot
from tunesmith.core.splits import Certificate, Near, Split
from tunesmith.core.task import Task
from tunesmith.data.duplicates import Shingled, clusters
from tunesmith.data.kinship import kin_groups, kin_of
from tunesmith.data.meaning import closest_in_meaning
from tunesmith.data.shares import SIDES, labels_on_sides, largest_difference, missing_labels
from tunesmith.data.time_order import broken_order, time_order, time_warnings
from tunesmith.models.embedder import Embedder

__all__ = ["UNREVIEWED", "certify", "verify"]

ACROSS: tuple[tuple[Side, Side], ...] = (("train", "test"), ("train", "validation"), ("validation", "test"))
LARGEST_CLUSTER_SHARE = 0.05
LARGEST_CLUSTER_ROWS = 5
"""Smaller clusters are never too large: in thirty rows a single pair is more than 5 %."""
CLOSEST_KEPT = 5
AGAIN = "to mend it, `tunesmith split` again"
UNREVIEWED = "a model wrote it, and no person has accepted or corrected it"
"""Why such a row is set aside. A split is drawn as if it were not there, and so it counts for none of its shares."""
TEST_SHARE_OFF = 0.005
"""How far the share of test rows may be from what was asked, as a fraction."""


class _Evidence(NamedTuple):
    """The rows sorted by id, the side of each by index, and what the split was told."""

    examples: list[Example]
    sides: dict[int, Side]
    prompts: Shingled
    kin: list[tuple[str, ...]]
    split: Split
    threshold: float

    @property
    def counted(self) -> list[int]:
        """Rows that the split was drawn from: all but those that nobody has reviewed."""
        unseen = {entry.example for entry in self.split.set_aside if entry.reason == UNREVIEWED}
        return [i for i, e in enumerate(self.examples) if e.id not in unseen]

    def rows(self, side: Side) -> list[int]:
        return [i for i in sorted(self.sides) if self.sides[i] == side]


class _Nearness(NamedTuple):
    closest: list[Near]
    rows_near: int
    """Rows that have a near-duplicate on another side."""
    largest: float
    exact: bool


def certify(split: Split, examples: Sequence[Example], task: Task, embedder: Embedder | None = None) -> Certificate:
    """What can be proved about ``split``.

    Certified means: every example stands on one side or was set aside or left out, every pinned row is where it was
    pinned, no two sides share a group, a source row or a near-duplicate prompt, near-duplicates do not form one
    cluster that swallows the data, and where time was asked for, each side is later than the one before. Otherwise
    ``problems`` says in words what is wrong and what mends it.

    Args:
        split: The split to look at; only its ids, its settings and its counts are read.
        examples: All rows of the snapshot, in any order.
        task: Whose label fields are compared across sides.
        embedder: Needed where the split has a threshold of meaning.
    """
    evidence = _evidence(split, examples)
    near, counted = _nearness(evidence), evidence.counted
    meaning: list[Near] = []
    if split.settings.get("semantic_threshold") is not None and embedder is not None:
        meaning = closest_in_meaning(evidence.examples, evidence.sides, embedder, CLOSEST_KEPT)
    pairs = evidence.prompts.pairs(evidence.threshold, counted)
    sizes = [len(part) for part in clusters(len(evidence.examples), ((p.i, p.j) for p in pairs)) if len(part) > 1]
    shared = _shared_keys(evidence)
    order = time_order(split, evidence.examples, evidence.sides) if split.settings.get("by_time") else None
    problems = [
        *_misplaced(evidence),
        *_shared_in_words(shared),
        *_near_in_words(near, evidence.threshold),
        *_too_large(max(sizes, default=1), len(counted), evidence.threshold),
        *_meant_the_same(split, meaning, embedder),
        *(broken_order(order, evidence.examples, evidence.sides) if order else ()),
    ]
    labels = labels_on_sides(evidence.examples, evidence.sides, task)
    return Certificate(
        method=_method(split, near.exact),
        threshold=evidence.threshold,
        groups=len(kin_groups([evidence.kin[i] for i in counted])),
        clusters=len(sizes),
        largest_cluster=max(sizes, default=1) if evidence.examples else 0,
        max_similarity_across=near.largest,
        closest=tuple(near.closest),
        shared_groups=len(shared),
        certified=not problems,
        problems=tuple(problems),
        stratification={name: largest_difference(evidence.sides, values) for name, values in labels.items()},
        warnings=(
            *_off_target(evidence),
            *(time_warnings(order, len(counted)) if order else ()),
            *missing_labels(evidence.sides, labels),
        ),
        semantic_threshold=split.settings.get("semantic_threshold"),
        closest_in_meaning=tuple(meaning),
        time=order,
    )


def verify(
    split: Split, examples: Sequence[Example], task: Task, snapshot: str | None = None,
    embedder: Embedder | None = None,
) -> Certificate:  # fmt: skip
    """As ``certify``, and that ``split`` was made from this very snapshot.

    Args:
        snapshot: Hash of the snapshot as it is now. Default: the hash of a snapshot of ``examples`` without documents.
    """
    proved = certify(split, examples, task, embedder)
    now = snapshot or Snapshot.of(examples, timed=bool(split.settings.get("by_time"))).hash
    if now == split.snapshot:
        return proved
    problem = f"The split was made from snapshot {split.snapshot}, and the examples now are snapshot {now}; {AGAIN}"
    return msgspec.structs.replace(proved, certified=False, problems=(problem, *proved.problems))


def _evidence(split: Split, examples: Sequence[Example]) -> _Evidence:
    rows = sorted({e.id: e for e in examples}.values(), key=lambda e: e.id)
    side_of = split.side_of()
    return _Evidence(
        examples=rows,
        sides={i: side_of[e.id] for i, e in enumerate(rows) if e.id in side_of},
        prompts=Shingled([e.prompt for e in rows]),
        kin=kin_of(rows, split.settings.get("by", "group")),
        split=split,
        threshold=float(split.settings.get("near_duplicate_threshold", split.certificate.threshold)),
    )


def _misplaced(evidence: _Evidence) -> Iterator[str]:
    """Rows on two sides, on none without a reason, unknown, or not where they were pinned; and empty sides."""
    split = evidence.split
    aside = {entry.example for entry in split.set_aside}
    placed = Counter([*split.train, *split.validation, *split.test, *aside])
    known = {e.id for e in evidence.examples}
    lost = len(known - placed.keys()) - split.left_out
    faults = {
        "stand in two places": [id_ for id_, count in placed.items() if count > 1],
        "of the split are not among the examples": list(placed.keys() - known),
        "are pinned to a side and not on it": list(_moved(evidence, aside)),
    }
    for fault, ids in faults.items():
        if ids:
            yield f"{len(ids)} rows {fault} ({', '.join(sorted(ids)[:5])}); {AGAIN}"
    if lost:
        yield f"{abs(lost)} examples {'are on no side' if lost > 0 else 'too many count as left out'}; {AGAIN}"
    for side in SIDES:
        if not evidence.rows(side):
            yield f"there are no {side} rows; to mend it, add some with `tunesmith add FILE --side {side}`"


def _moved(evidence: _Evidence, aside: set[str]) -> Iterator[str]:
    """Pinned rows that are elsewhere. Only a test pin is never set aside; a train pin yields to `--train-per-label`."""
    few = evidence.split.settings.get("train_per_label") is not None
    for row, example in enumerate(evidence.examples):
        side = evidence.sides.get(row)
        if example.side is None or side == example.side or (example.id in aside and example.side != "test"):
            continue
        if not (few and example.side == "train" and side != "test"):
            yield example.id


def _shared_keys(evidence: _Evidence) -> list[tuple[str, list[Side]]]:
    """Groups (and source rows of synthetic ones) that stand on two sides or more, with those sides."""
    found: dict[str, set[Side]] = {}
    for row, side in evidence.sides.items():
        for key in evidence.kin[row]:
            found.setdefault(key, set()).add(side)
    return [(key, [s for s in SIDES if s in on]) for key, on in sorted(found.items()) if len(on) > 1]


def _nearness(evidence: _Evidence) -> _Nearness:
    """The closest pairs across sides, and how many rows have a near-duplicate on another side."""
    closest: list[Near] = []
    rows_near, exact = 0, True
    for reference, other in ACROSS:
        asked = evidence.rows(other)
        found = evidence.prompts.closest(asked, evidence.rows(reference), evidence.threshold)
        exact = exact and found.exact
        rows_near += int((found.similarity >= evidence.threshold).sum())
        best = sorted(range(len(asked)), key=lambda at: (-found.similarity[at], at))[:CLOSEST_KEPT]
        for at in best:
            if found.other[at] >= 0:
                ids = evidence.examples[found.other[at]].id, evidence.examples[asked[at]].id
                alike = float(found.similarity[at])
                closest.append(Near(train=ids[0], other=ids[1], side=other, similarity=alike, of=reference))
    closest.sort(key=lambda near: -near.similarity)
    return _Nearness(closest[:CLOSEST_KEPT], rows_near, closest[0].similarity if closest else 0.0, exact)


def _shared_in_words(shared: Sequence[tuple[str, list[Side]]]) -> Iterator[str]:
    for key, sides in shared[:5]:
        yield f"{key} is on {' and on '.join(sides)}; {AGAIN}"
    if len(shared) > 5:
        yield f"{len(shared) - 5} more groups are on several sides; {AGAIN}"


def _near_in_words(near: _Nearness, threshold: float) -> Iterator[str]:
    if near.rows_near:
        worst = near.closest[0]
        yield (
            f"{near.rows_near} rows have a near-duplicate on another side (similarity {threshold:g} or more), "
            f"the closest {worst.other} in {worst.side} and {worst.train} in {worst.of} "
            f"at {worst.similarity:.3f}; {AGAIN}"
        )


def _meant_the_same(split: Split, closest: Sequence[Near], embedder: Embedder | None) -> Iterator[str]:
    threshold = split.settings.get("semantic_threshold")
    if threshold is None:
        return
    if embedder is None or embedder.hash != split.settings.get("embedder"):
        yield (
            "the embedder that compared meanings is not the one here; to mend it, name it under model: embedder in "
            "tunesmith.yaml and pull it with `tunesmith model pull minilm`, or `tunesmith split` again"
        )
    elif closest and closest[0].similarity >= threshold:
        worst = closest[0]
        yield (
            f"train row {worst.train} means nearly the same as {worst.other} in {worst.side} "
            f"(cosine {worst.similarity:.3f}, allowed below {threshold:g}); {AGAIN}"
        )


def _too_large(largest: int, rows: int, threshold: float) -> Iterator[str]:
    if largest >= LARGEST_CLUSTER_ROWS and largest > LARGEST_CLUSTER_SHARE * rows:
        yield (
            f"one cluster of near-duplicates holds {largest} of {rows} rows ({largest / rows:.0%}): a text that many "
            "prompts repeat, or a threshold that chains; to mend it, cut the repeated text from the prompts, or raise "
            f"split: near_duplicate_threshold in tunesmith.yaml (now {threshold:g}) and `tunesmith split` again"
        )


def _method(split: Split, exact: bool) -> str:
    together = {"group": "groups", "category": "categories", "none": "rows"}[split.settings.get("by", "group")]
    how = "all pairs across sides computed" if exact else (
        "pairs found by MinHash (at the threshold one in a million is overlooked, below it more) and computed"
    )  # fmt: skip
    order = "; train before validation before test in time" if split.settings.get("by_time") else ""
    whole = f"{together} and near-duplicate prompts kept whole"
    return f"{whole}; Jaccard of word bigrams and character trigrams, {how}{order}"


def _off_target(evidence: _Evidence) -> Iterator[str]:
    wanted = evidence.split.settings.get("test")
    if (
        wanted is None
        or "extends" in evidence.split.settings
        or any(e.side is not None for e in evidence.examples)
        or not evidence.examples
    ):
        return
    by_time = evidence.split.settings.get("by_time")
    counted = [evidence.examples[i] for i in evidence.counted]
    rows = sum(e.time is not None for e in counted) if by_time else len(counted)
    share = len(evidence.split.test) / rows if rows else 0.0
    if abs(share - wanted) > max(TEST_SHARE_OFF, 0.5 / max(rows, 1)):
        why = (
            "many rows are of one moment, which is not divided; finer times would help"
            if by_time
            else "groups or clusters are too large to divide closer; more rows of other groups would help"
        )
        yield f"the test holds {share:.1%} of the rows, not {wanted:.1%}: {why}"
