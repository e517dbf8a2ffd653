"""`split`: freeze a leakage-safe split, or prove the frozen one again."""

from __future__ import annotations

from typing import Any

from tunesmith.core.codec import digest
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example
from tunesmith.core.record import Record
from tunesmith.core.splits import Certificate, SetAside, Split
from tunesmith.data.certificate import verify as verify_split
from tunesmith.data.config import SplitConfig
from tunesmith.data.split import UNREVIEWED, extend_split, make_split
from tunesmith.models.embedder import Embedder, open_embedder
from tunesmith.workspace.check import examples_hash
from tunesmith.workspace.home import Home
from tunesmith.workspace.looks import looks_at_test
from tunesmith.workspace.settings import changed

__all__ = ["SplitReport", "extend", "inputs", "split", "verify"]


class SplitReport(Record, frozen=True, kw_only=True):
    train: int
    validation: int
    test: int
    set_aside: int
    left_out: int
    """Rows that `--train-per-label` did not ask for."""
    groups: int
    clusters: int
    largest_cluster: int
    max_similarity_across: float
    certified: bool
    problems: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    hash: str
    reasons: tuple[SetAside, ...] = ()
    unreviewed: int = 0
    """Rows among those set aside that a model wrote and no person has accepted or corrected."""
    certificate: Certificate


def split(home: Home, *, anyway: bool = False, unreviewed: bool = False, **changes: Any) -> SplitReport:
    """Split by the settings in tunesmith.yaml, ``changes`` over them, and freeze the result.

    Synthetic rows that no person has accepted or corrected are set aside, unless ``unreviewed`` lets them in, which
    the ledger keeps and the dossier tells.

    Raises:
        TunesmithError: The present test set was looked at already and ``anyway`` is not set: what was learnt from it
            would flow into the new train side.
    """
    config = changed(SplitConfig, home.settings.split, changes)
    examples = home.examples()
    if not examples:
        raise TunesmithError("There are no examples to split.", "add some with `tunesmith add FILE`")
    with home.alone("split"):
        snapshot = home.snapshot(examples, timed=config.by_time)
        unseen = _unseen(home, examples)
        made = make_split(
            examples, home.task, config, snapshot.hash, embedder=_embedder(home, config.semantic_threshold),
            unreviewed=() if unreviewed else unseen,
        )  # fmt: skip
        _guard_frozen(home, made, anyway)
        if unreviewed and unseen:
            _write_down(home, len(unseen))
        home.save(
            "split",
            "split",
            made,
            inputs(home, examples, by_time=config.by_time) | {"settings": digest(config.model_dump(mode="json"))},
        )
    return _report(made, made.certificate)


def extend(home: Home, *, unreviewed: bool = False) -> SplitReport:
    """Keep the frozen test and validation sides; examples added since go to train if they leak nothing into those.

    Synthetic rows are treated as ``split`` treats them.
    """
    found = home.latest("split", "split", Split)
    if found is None:
        raise TunesmithError("There is no split to extend.", "make one with `tunesmith split`")
    examples = home.examples()
    by_time = bool(found[0].settings.get("by_time"))
    with home.alone("split"):
        embedder = _embedder(home, found[0].settings.get("semantic_threshold"))
        unseen = _unseen(home, examples)
        made = extend_split(
            found[0], examples, home.task, home.snapshot(examples, timed=by_time).hash, embedder=embedder,
            unreviewed=() if unreviewed else unseen, successors=home.store.changes.successors(),
        )  # fmt: skip
        if unreviewed and unseen:
            _write_down(home, len(unseen))
        home.save("split", "split", made, inputs(home, examples, by_time=by_time) | {"settings": digest(made.settings)})
    return _report(made, made.certificate)


def _write_down(home: Home, unseen: int) -> None:
    passed = [f"{unseen} synthetic examples that no person has accepted or corrected"]
    home.store.write_ledger("override", {"verb": "split", "flag": "--unreviewed", "passed": passed})


def _guard_frozen(home: Home, made: Split, anyway: bool) -> None:
    """A test set that was looked at is not drawn anew in silence."""
    present = home.latest("split", "split", Split)
    if present is None or set(present[0].test) == set(made.test):
        return
    looks = looks_at_test(home, present[0])
    if not looks:
        return
    if not anyway:
        raise TunesmithError(
            f"The frozen test set was looked at {len(looks)} times; a new split would mix it into train.",
            "keep the test set and let new examples join train with `tunesmith split --extend`, or pass with "
            "`tunesmith split --anyway`, which the dossier will tell",
        )
    home.store.write_ledger("override", {"verb": "split", "flag": "--anyway", "passed": [f"{len(looks)} test looks"]})


def verify(home: Home) -> SplitReport:
    """Prove the frozen split again from the data alone."""
    found = home.latest("split", "split", Split)
    if found is None:
        raise TunesmithError("There is no split to verify.", "make one with `tunesmith split`")
    embedder = _embedder(home, found[0].settings.get("semantic_threshold"))
    return _report(found[0], verify_split(found[0], home.examples(), home.task, embedder=embedder))


def _embedder(home: Home, threshold: float | None) -> Embedder | None:
    """Opened only where meanings are compared."""
    return open_embedder(home.settings.model.embedder) if threshold is not None else None


def inputs(home: Home, examples: list[Example], *, by_time: bool) -> dict[str, str]:
    """What a split is made from; ``by_time``: the times too."""
    made_from = {"task": digest(home.task.fields), "examples": examples_hash(examples)}
    if by_time:
        made_from["times"] = digest([e.time for e in sorted(examples, key=lambda e: e.id)])
    if any(e.source == "synthetic" for e in examples):
        made_from["reviews"] = digest(_unseen(home, examples))
    return made_from


def _unseen(home: Home, examples: list[Example]) -> list[str]:
    """Ids of synthetic rows that no person has accepted or corrected, sorted."""
    synthetic = {e.id for e in examples if e.source == "synthetic"}
    return sorted(synthetic - home.store.reviews.reviewed()) if synthetic else []


def _report(made: Split, certificate: Certificate) -> SplitReport:
    return SplitReport(
        train=len(made.train),
        validation=len(made.validation),
        test=len(made.test),
        set_aside=len(made.set_aside),
        left_out=made.left_out,
        groups=certificate.groups,
        clusters=certificate.clusters,
        largest_cluster=certificate.largest_cluster,
        max_similarity_across=certificate.max_similarity_across,
        certified=certificate.certified,
        problems=certificate.problems,
        warnings=certificate.warnings,
        hash=made.hash,
        reasons=made.set_aside,
        unreviewed=sum(row.reason == UNREVIEWED for row in made.set_aside),
        certificate=certificate,
    )
