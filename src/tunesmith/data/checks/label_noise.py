"""Labels that look wrong: a model that never saw the row is surer of another one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.findings import Finding
from tunesmith.core.task import Field
from tunesmith.data.checks.material import CannotLook, Material, check, listed
from tunesmith.data.confidence import out_of_sample

__all__ = ["BETTER_BY", "Labelled", "doubtful", "label_noise", "labelled"]

FEWEST_ROWS = 30
BETTER_BY = 0.05
"""By so much the model's accuracy must exceed the largest label's share; else it knows nothing worth telling."""


@dataclass(frozen=True)
class Labelled:
    """One label field as a model sees it that never saw the row it is asked about."""

    rows: list[int]
    """Rows of the material, shape (n,)."""
    names: list[str]
    """The labels, shape (k,)."""
    given: NDArray[np.int64]
    """Which label each row has, shape (n,)."""
    probabilities: NDArray[np.float64]
    """Shape (n, k)."""

    @property
    def own(self) -> NDArray[np.float64]:
        """Probability of the label that each row has, shape (n,)."""
        chosen: NDArray[np.float64] = self.probabilities[np.arange(len(self.given)), self.given]
        return chosen

    @property
    def accuracy(self) -> float:
        return float((self.probabilities.argmax(1) == self.given).mean())

    @property
    def usual(self) -> float:
        """Share of the largest label: what always saying it would score."""
        return float(np.bincount(self.given).max() / len(self.given))


@check("label_noise")
def label_noise(material: Material) -> Iterator[Finding]:
    """Report labels that another label is likelier than, by confident learning, the most doubtful first.

    Confident learning (C. Northcutt, L. Jiang, I. Chuang, JAIR 70 (2021) 1373, arXiv:1911.00068) estimates how many
    labels are wrong from out-of-sample probabilities; so many rows of the lowest probability are doubtful. Those where
    another label is ``label_noise_ratio`` times as probable are a warning each, the others one note a field. A hard
    row looks like a wrong one, so read before you change; what is wrong everywhere alike is not seen.
    """
    fields = [field for field in material.task.labels if not field.multiple]
    if not fields or not material.examples:
        return
    if not (find_spec("cleanlab") and find_spec("sklearn")):
        raise CannotLook("it needs cleanlab and scikit-learn.", "install them with `pip install 'tunesmith[local]'`")
    seen = [(field, labelled(material, field)) for field in fields]
    known = [(field, found) for field, found in seen if found and found.accuracy >= found.usual + BETTER_BY]
    for field, found in known:
        yield from _findings(material, field, found, doubtful(found))
    if not known:
        raise CannotLook(
            f"with {len(material.examples)} examples the labels cannot be told apart from the prompts.",
            "add examples with `tunesmith add FILE`, or pull a better embedder with `tunesmith model pull minilm`",
        )


def labelled(material: Material, field: Field, rows: Sequence[int] | None = None) -> Labelled | None:
    """What a model says of a label field's rows that never saw them; None with too few rows or a single label."""
    kept: list[int] = []
    values: list[str] = []
    for row in material.filled if rows is None else rows:
        fields = material.parsed[row].fields
        if fields is not None and fields[field.name] is not None:
            kept.append(row)
            values.append(fields[field.name])
    names = sorted(set(values))
    if len(kept) < FEWEST_ROWS or len(names) < 2:
        return None
    given = np.array([names.index(value) for value in values], np.int64)
    probabilities = out_of_sample(material.vectors[kept], given.tolist(), material.relatives[kept].tolist())
    return Labelled(kept, names, given, probabilities)


def doubtful(found: Labelled) -> list[int]:
    """Places in ``found`` of the labels that are probably wrong, the most doubtful first."""
    from cleanlab.filter import find_label_issues  # takes seconds to import

    flagged = find_label_issues(
        found.given, found.probabilities, filter_by="low_self_confidence", min_examples_per_class=0, n_jobs=1
    )
    other = found.probabilities.argmax(1) != found.given
    places = np.flatnonzero(np.asarray(flagged) & other)
    return [int(place) for place in places[np.argsort(found.own[places], kind="stable")]]


def _findings(material: Material, field: Field, found: Labelled, places: list[int]) -> Iterator[Finding]:
    likelier = found.probabilities.max(1) >= material.config.label_noise_ratio * found.own
    for place in (place for place in places if likelier[place]):
        example = material.examples[found.rows[place]]
        guess = int(found.probabilities[place].argmax())
        given, other = found.names[found.given[place]], found.names[guess]
        yield Finding(
            check="label_noise",
            severity="warning",
            problem=(
                f"{example.place}: {field.name} is {given!r} and looks like {other!r} "
                f"(probability {found.probabilities[place, guess]:.2f} against {found.own[place]:.3f})."
            ),
            mend=f"read the row with `tunesmith show {example.id[:12]}`; if {other!r} is right, correct it",
            examples=(example.id,),
        )
    rest = [found.rows[place] for place in places if not likelier[place]]
    if rest:
        where = listed([material.examples[row].place for row in rest], most=3)
        yield Finding(
            check="label_noise",
            severity="note",
            problem=(
                f"{field.name}: {len(rest)} more labels are doubtful, the most doubtful first ({where}). The model "
                f"that doubts them is right about {found.accuracy:.0%} of all {len(found.rows)} rows."
            ),
            mend="read the first ten of them; hard rows look doubtful too",
            examples=material.ids(rest),
        )
