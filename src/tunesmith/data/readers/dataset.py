"""A data set folder: as the `datasets` library saves it to disk, Arrow files and JSON that describes them; or as the
Hugging Face hub lays it out, Parquet files named after their split.

What the JSON names is looked for inside the folder and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from tunesmith.core.errors import TunesmithError
from tunesmith.data.readers.arrow_rows import ask_columns, batch_rows, described_features, label_names
from tunesmith.data.readers.limits import ask_rows
from tunesmith.data.readers.options import Say
from tunesmith.data.readers.parquet import need_pyarrow, parquet_rows
from tunesmith.data.readers.rows import Fault, Row

__all__ = ["dataset_rows", "is_dataset"]

_STATE, _SPLITS, _INFO = "state.json", "dataset_dict.json", "dataset_info.json"
_LARGEST_JSON = 16 * 2**20
_SHARD = re.compile(r"(?P<split>\w+(?:\.\w+)*)-(?P<number>\d{5})-of-(?P<count>\d{5})(?:-\w+)?\.parquet")
_CARD = "README.md"


def is_dataset(folder: Path) -> bool:
    """Whether the folder is a data set, of one split or of several."""
    return (folder / _STATE).is_file() or (folder / _SPLITS).is_file() or bool(_shards(folder))


def dataset_rows(folder: Path, name: str, say: Say) -> Iterator[Row | Fault]:
    """Every row, numbered from 1 through all files, and through all splits in their order.

    Raises:
        TunesmithError: A file is missing, broken, or named as one outside the folder; or pyarrow is not installed.
    """
    need_pyarrow(f"Reading {name}")
    if (folder / _STATE).is_file() or (folder / _SPLITS).is_file():
        yield from _saved_rows(folder, name, say)
        return
    for line, row in enumerate(chain.from_iterable(map(_shard_rows, _whole_shards(folder, name, say))), 1):
        yield row._replace(line=line)


def _shards(folder: Path) -> dict[str, list[Path]]:
    """The Parquet files of each split, in the order in which splits are named."""
    found: dict[str, list[Path]] = {}
    inside = folder / "data"
    for path in [] if inside.is_symlink() else sorted(inside.glob("*.parquet")):
        if (shard := _SHARD.fullmatch(path.name)) and path.is_file():
            found.setdefault(shard["split"], []).append(path)
    usual = ("train", "validation", "test")
    return dict(sorted(found.items(), key=lambda one: (usual.index(one[0]) if one[0] in usual else 3, one[0])))


def _whole_shards(folder: Path, name: str, say: Say) -> list[Path]:
    """All shards, none of them missing. Says what is read together, and what stands beside it."""
    found = _shards(folder)
    for split, paths in found.items():
        shards = [shard for path in paths if (shard := _SHARD.fullmatch(path.name))]
        if [(int(shard["number"]), int(shard["count"])) for shard in shards] != [
            (n, len(shards)) for n in range(len(shards))
        ]:
            raise TunesmithError(
                f"{name} does not hold each file of the split {split!r} once: "
                f"there {'is' if len(paths) == 1 else 'are'} {', '.join(path.name for path in paths[:5])}.",
                "copy the whole folder again",
            )
    paths = list(chain.from_iterable(found.values()))
    if len(found) > 1:
        say(f"reads the splits {', '.join(list(found)[:10])} together; to pin one, add its file with --side")
    beside = {*folder.iterdir(), *(folder / "data").iterdir()} - {folder / "data", folder / _CARD, *paths}
    left_out = sorted(str(path.relative_to(folder)) for path in beside if not path.name.startswith("."))
    if left_out:
        say(f"leaves out {', '.join(left_out[:10])}; add what is wanted by its name")
    return paths


def _shard_rows(path: Path) -> Iterator[Row | Fault]:
    with path.open("rb") as file:
        yield from parquet_rows(file, str(path))


def _saved_rows(folder: Path, name: str, say: Say) -> Iterator[Row | Fault]:
    line = 1
    for split in _splits(folder, name, say):
        state = _json(split / _STATE)
        if state.get("_indices_data_files") or state.get("_indices_files"):
            raise TunesmithError(
                f"{name} is a selection of rows that was saved as such.",
                "save it again with dataset.flatten_indices().save_to_disk(FOLDER)",
            )
        labels = label_names(_json(split / _INFO).get("features")) if (split / _INFO).is_file() else {}
        for path in _data_files(split, state):
            first = line
            for batch in _batches(path):
                ask_rows(str(path), path.stat().st_size, line + batch.num_rows - first)
                yield from batch_rows(batch, line, labels or label_names(described_features(batch.schema.metadata)))
                line += batch.num_rows


def _splits(folder: Path, name: str, say: Say) -> list[Path]:
    if (folder / _STATE).is_file():
        return [folder]
    names = _json(folder / _SPLITS).get("splits")
    if not isinstance(names, list) or not names:
        raise TunesmithError(f"{name}/{_SPLITS} names no splits.", "save the data set again")
    say(f"reads the splits {', '.join(map(str, names[:10]))} together; to pin one, add its folder with --side")
    return [_inside(folder, one) for one in names]


def _data_files(split: Path, state: Mapping[str, Any]) -> list[Path]:
    files = state.get("_data_files")
    names = [one.get("filename") if isinstance(one, dict) else None for one in files or ()]
    if not isinstance(files, Sequence) or not names:
        raise TunesmithError(f"{split}/{_STATE} names no files.", "save the data set again")
    return [_inside(split, one) for one in names]


def _inside(folder: Path, name: Any) -> Path:
    """The file or folder of that name right inside ``folder``, links not followed.

    Raises:
        TunesmithError: The name leads elsewhere, or to nothing.
    """
    plain = isinstance(name, str) and name not in ("", ".", "..") and not set(name) & set("/\\:\0")
    path = folder / name if plain else folder
    if not plain or path.is_symlink():
        raise TunesmithError(
            f"{folder} names {str(name)[:60]!r} as a part of it, which leads out of the folder.",
            "do not trust it; save the data set again from its source",
        )
    if not path.exists():
        raise TunesmithError(f"{folder} lacks {name!r}, which it names as a part of it.", "copy the whole folder again")
    return path


def _json(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_JSON + 1)
        found = msgspec.json.decode(content) if len(content) <= _LARGEST_JSON else None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise TunesmithError(f"{path} cannot be read: {error}.", "save the data set again") from error
    if not isinstance(found, dict):
        raise TunesmithError(f"{path} is not one JSON object.", "save the data set again")
    return found


def _batches(path: Path) -> Iterator[Any]:
    """The record batches of one Arrow file, each proved sound before a value of it is touched."""
    import pyarrow as pa

    try:
        with path.open("rb") as file:
            magic = file.read(6)
            file.seek(0)
            reader = pa.ipc.open_file(file) if magic == b"ARROW1" else pa.ipc.open_stream(file)
            ask_columns(reader.schema.names, str(path))
            count = reader.num_record_batches if magic == b"ARROW1" else None
            batches = reader if count is None else (reader.get_batch(place) for place in range(count))
            for batch in batches:
                batch.validate(full=True)
                yield batch
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, MemoryError, OverflowError) as error:
        raise TunesmithError(
            f"{path} cannot be read as Arrow: {' '.join(str(error).split())[:200] or type(error).__name__}.",
            "save the data set again; the file may be cut off or damaged",
        ) from error
