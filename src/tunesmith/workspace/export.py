"""`export`: hand a tuned model on in the form another program loads, once it is proved to say the same there."""

from __future__ import annotations

import errno
import glob
import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tunesmith.contenders import open_contender
from tunesmith.contenders.kind import Predicting
from tunesmith.contenders.tuned import retrieved
from tunesmith.core.contenders import Contender
from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.files import cannot_write, sync_folder
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.record import Record
from tunesmith.core.runs import Run
from tunesmith.core.splits import Split
from tunesmith.models.catalogue import known_models
from tunesmith.models.opening import model_folder
from tunesmith.models.parity import Parity
from tunesmith.models.pull import HUB_ID
from tunesmith.workspace.adapters import base_of, find_run, runs, whole
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.home import Home
from tunesmith.workspace.prepared import no_contender

if TYPE_CHECKING:
    from tunesmith.tuning.export.handing import Part, Target
    from tunesmith.tuning.export.source import Asked, Source

__all__ = ["Export", "export"]

TARGETS = ("adapter", "merged", "gguf", "ollama", "vllm")
UNFINISHED = ".unfinished"
"""How the name of a folder ends that an export is made in."""
README = "README.md"
"""What says that an export is whole: it takes its place last."""
OTHERS = 4
"""Adapters of other runs that an export is told apart from: the newest."""


class Export(Record, frozen=True, kw_only=True):
    """An export that was made, or why there is none."""

    run: str
    to: str
    part: str = ""
    """What a GGUF holds: merged or adapter."""
    path: str | None
    """None where parity failed: then nothing was left there."""
    parity: Parity
    adapter_hash: str
    base_hash: str
    dtype: str
    bytes: int = 0
    files: dict[str, str] = {}
    """SHA-256 of each file."""


def export(
    home: Home,
    run: str,
    *,
    to: Target,
    path: Path | None = None,
    part: Part = "merged",
    dtype: str = "auto",
    prompts: int = 8,
    vllm: str | None = None,
    progress: Progress = quiet,
) -> Export:
    """Write the model of ``run`` for another program, load it again as that program does, and compare.

    Args:
        home: The workspace.
        run: Name of a run, or a tag that one run alone has.
        to: Which program it is for.
        path: The folder to make. Default: ``exports/RUN-TO`` in the workspace.
        part: For gguf and ollama: the merged model, or the adapter beside its base.
        dtype: Number format of merged weights; auto is that of the base model's files.
        prompts: Held-out prompts that are compared: of validation, never of test.
        vllm: vLLM's command, which then serves an export for it and is compared.
        progress: Told what is being done.

    Raises:
        TunesmithError: Run, adapter or base model is not there or not the same any more, or the target is taken.
        UnknownName: There is no such target.
    """
    from tunesmith.tuning.export import vllm_server
    from tunesmith.tuning.export.handing import hand_on, number_format

    entry = find_run(home, run)
    if to not in TARGETS:
        raise UnknownName.among("target of an export", to, TARGETS)
    if to == "merged" and part == "adapter":
        raise TunesmithError(
            "--to merged holds the adapter in the base model's weights.", "leave out --part, or `--to adapter`"
        )
    if vllm is not None and to != "vllm":
        raise TunesmithError(f"vLLM does not load an export made with --to {to}.", "leave out --vllm, or `--to vllm`")
    vllm_command = vllm_server.command(vllm) if vllm is not None else None
    of_a_gguf = part if to in ("gguf", "ollama") else ""
    name = f"{entry.name}-{to}-adapter" if of_a_gguf == "adapter" else f"{entry.name}-{to}"
    target = path or home.root / "exports" / name
    _ask_free(home, target)
    with home.alone("export"), _written(target):
        source, asked = _source(home, entry, prompts)
        number = number_format(source, to, part, dtype)
        with _room(target) as temporary:
            made = temporary / "made"
            done = iter(range(1, 100))
            parity = hand_on(
                source, to, made, asked, part=part, dtype=number, others=_others(home, entry),
                vllm_command=vllm_command, say=lambda text: progress(next(done), 3, text),
            )  # fmt: skip
            result = Export(
                run=entry.name, to=to, part=of_a_gguf, path=None, parity=parity,
                adapter_hash=entry.adapter_hash, base_hash=entry.inputs["model"], dtype=number,
            )  # fmt: skip
            if not parity.passed:  # kept, so that the decision knows
                home.save("export", entry.name, result, {"run": entry.adapter_hash, "model": entry.inputs["model"]})
                return result
            files = {str(f.relative_to(made)): _sha256(f) for f in sorted(made.rglob("*")) if f.is_file()}
            size = sum(f.stat().st_size for f in made.rglob("*") if f.is_file())
            _put(made, target)
        result = msgspec.structs.replace(result, path=str(target.resolve()), files=files, bytes=size)
        home.save("export", entry.name, result, {"run": entry.adapter_hash, "model": entry.inputs["model"]})
    return result


@contextmanager
def _room(target: Path) -> Iterator[Path]:
    """A folder beside ``target``, or in it where it is there, that is gone after the block, as are those of exports
    that were killed."""
    begun, name = not target.parent.exists(), target.absolute().name
    within = target if target.is_dir() else target.parent
    try:
        within.mkdir(parents=True, exist_ok=True)
        for killed in within.glob(f".{glob.escape(name)}.*{UNFINISHED}"):
            shutil.rmtree(killed, ignore_errors=True)
        room = tempfile.TemporaryDirectory(UNFINISHED, f".{name}.", within)
    except OSError as error:
        raise cannot_write(target, error) from error
    try:
        with room as folder:
            yield Path(folder)
    finally:
        if begun:
            with suppress(OSError):  # the export is there
                target.parent.rmdir()


def _put(made: Path, target: Path) -> None:
    """Give what was made its place. A folder that is there stays: it may be a mount, a link or the current one."""
    if not target.is_dir():
        shutil.move(made, target)
        sync_folder(target.parent)
        return
    for part in sorted(made.iterdir(), key=lambda part: part.name == README):
        part.rename(target / part.name)
    sync_folder(target)


@contextmanager
def _written(target: Path) -> Iterator[None]:
    """What the system says of a folder that it will not let be written, with what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        raise cannot_write(target, error) from error


def _ask_free(home: Home, target: Path) -> None:
    if target.resolve().is_relative_to(home.inside):
        raise TunesmithError(f"{target} belongs to the workspace itself.", "name a folder beside it")
    if target.exists() and not (target.is_dir() and all(_is_a_leftover(file) for file in target.iterdir())):
        raise TunesmithError(
            f"{target} is there already; an export is not written over what is there.",
            "name another folder (`tunesmith export RUN FOLDER`), or remove that one",
        )


def _is_a_leftover(file: Path) -> bool:
    return file.name.startswith(".") and file.name.endswith(UNFINISHED)


def _source(home: Home, run: Run, prompts: int) -> tuple[Source, list[Asked]]:
    """The run's model, proved to be the one that was tuned, and prompts to compare it by."""
    from tunesmith.tuning.export.source import Source

    base = base_of(home, run)
    record = _contender(home, run)
    split = _split(home, run)
    facts, quantize = _facts(home, run, record, split), str(run.config.get("quantize", "none"))
    source = Source(base, home.inside / run.adapter, facts, quantize)
    return source, _asked(home, run, record, split, base, prompts)


def _contender(home: Home, run: Run) -> Contender:
    """The frozen way in which the run's model is asked."""
    for entry in reversed(home.index("contender")):
        record = home.load(entry, Contender)
        if record.kind == "tuned" and record.adapter_hash == run.adapter_hash and record.constraint is None:
            return record
    raise no_contender(home, run)


def _split(home: Home, run: Run) -> Split:
    entry = next((e for e in reversed(home.index("split")) if e.hash == run.inputs["split"]), None)
    if entry is None:
        raise TunesmithError(f"The split of run {run.name} is not in the store.", "restore .tunesmith from a copy")
    return home.load(entry, Split)


def _asked(home: Home, run: Run, record: Contender, split: Split, base: Path, prompts: int) -> list[Asked]:
    """Validation examples spread evenly, asked as the contender asks them, that fit the model's context."""
    from tunesmith.models.context import context_in
    from tunesmith.models.template import Template
    from tunesmith.tuning.export.source import Asked

    held_out = set(split.validation)
    examples = [e for e in home.examples() if e.id in held_out and e.completion]
    ready = open_contender(record, Answering(home).context(run=run))
    assert not isinstance(ready, Predicting)  # a tuned contender asks a model
    template, longest = Template.open(base), context_in(base)
    found: list[Asked] = []
    step = max(1, len(examples) // max(1, prompts))
    for example in [*examples[::step], *examples]:
        if len(found) >= prompts:
            break
        messages = ready.prepare(example).messages
        ids = template.prompt_ids(messages)
        whole_ids = (*ids, *template.completion_ids(example.completion))
        row = Asked(messages, whole_ids, len(ids))
        if len(whole_ids) < longest and row not in found:  # vLLM wants a place for an answer
            found.append(row)
    if not found:
        raise TunesmithError(
            "No validation example is left to compare an export by.",
            "add examples and `tunesmith split` again with a validation side",
        )
    return found


def _facts(home: Home, run: Run, record: Contender, split: Split) -> Any:
    from tunesmith.models.template import Template
    from tunesmith.tuning.export.source import Facts

    name = home.settings.model.base
    base = model_folder(name)
    hub = HUB_ID.fullmatch(name) and not Path(name).is_dir()
    return Facts(
        run=run.name,
        task=home.task.name,
        base=name if hub else base.name,
        base_hash=run.inputs["model"],
        base_licence=known_models()[name].licence if name in known_models() else _licence(base),
        adapter_hash=run.adapter_hash,
        snapshot=split.snapshot,
        split=split.hash,
        train_examples=None if "selection" in run.inputs or run.preferences else len(split.train),
        validation_loss=run.validation_loss,
        best_step=run.best_step,
        instructions=record.instructions,
        takes_system=Template.open(base).takes_system,
        shows=retrieved(record.settings),
        train_pairs=run.preferences.train if run.preferences else None,
        start=run.start,
    )


def _licence(base: Path) -> str | None:
    """What the base model's own card says in its first lines."""
    file = base / "README.md"
    if not file.is_file():
        return None
    head = file.read_text("utf-8", errors="replace").partition("---\n")[2].partition("\n---")[0]
    found = re.search(r"^license:\s*['\"]?([\w.+-]+)", head, flags=re.MULTILINE)
    return found[1] if found else None


def _others(home: Home, run: Run) -> dict[str, Path]:
    """Adapters of other runs on the same base model that say something else, the newest first."""
    found = [
        other
        for other in reversed(runs(home))
        if other.name != run.name
        and other.inputs.get("model") == run.inputs["model"]
        and other.adapter_hash != run.adapter_hash
        and whole(home, other)
    ]
    return {other.name: home.inside / other.adapter for other in found[:OTHERS]}


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
