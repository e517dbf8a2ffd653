"""What a model folder must hold before anything is loaded from it. Reads headers only, never weights.

Only safetensors are accepted: a pickled checkpoint can run code when it is opened.
"""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

from tunesmith.core.errors import TunesmithError

__all__ = ["check_folder", "check_weights", "weights_in"]

INDEX = "model.safetensors.index.json"
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.txt", "vocab.json")
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
LONGEST_HEADER = 100_000_000  # bytes; the limit of the safetensors format
GET_WHOLE = "fetch the model again (`tunesmith model pull NAME`)"


def check_folder(folder: Path) -> Path:
    """Return ``folder`` if it holds config.json, a tokenizer and whole safetensors.

    Raises:
        TunesmithError: What is missing, cut short or refused, and what to do.
    """
    if not folder.is_dir():
        raise TunesmithError(f"There is no folder {str(folder)!r}.", "name a folder that holds a model, or one to pull")
    if not (folder / "config.json").is_file():
        hint = " It holds an adapter." if (folder / "adapter_config.json").is_file() else ""
        raise TunesmithError(
            f"{folder} has no config.json, so it is not a base model.{hint}",
            "name the folder that `save_pretrained` wrote, or `tunesmith model pull smollm2-135m`",
        )
    _read_json(folder / "config.json")
    for file in _weight_files(folder):
        check_weights(file)
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise TunesmithError(
            f"{folder} has no tokenizer.", "put tokenizer.json and tokenizer_config.json beside config.json"
        )
    return folder


def weights_in(folder: Path) -> int:
    """How many weights the model's safetensors hold, by their headers.

    Raises:
        TunesmithError: A file is missing or not whole.
    """
    sizes = (entry["shape"] for file in _weight_files(folder) for entry in check_weights(file).values())
    return sum(math.prod(shape) for shape in sizes)


def check_weights(file: Path) -> dict[str, Any]:
    """Compare a safetensors file's size with what its header announces (format: github.com/huggingface/safetensors).

    Returns:
        By the name of each tensor what the header says of it: its dtype, shape and place.

    Raises:
        TunesmithError: The file is cut short, too long, or no safetensors.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        head = stream.read(8)
        (length,) = struct.unpack("<Q", head) if len(head) == 8 else (0,)
        if not 2 <= length <= LONGEST_HEADER:
            raise TunesmithError(f"{file} is not a safetensors file.", GET_WHOLE)
        content = stream.read(length)
    try:
        if len(content) < length:
            raise ValueError("the header is cut short")
        header: dict[str, Any] = {n: entry for n, entry in json.loads(content).items() if n != "__metadata__"}
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise TunesmithError(f"{file} has no readable safetensors header: {error}.", GET_WHOLE) from error
    if size != 8 + length + end:
        raise TunesmithError(
            f"{file} has {size:,} bytes where its header announces {8 + length + end:,}: it is not whole.", GET_WHOLE
        )
    return header


def _weight_files(folder: Path) -> list[Path]:
    """The safetensors that make up the model: all that the index names, or all that lie there."""
    if (folder / INDEX).is_file():
        named = _read_json(folder / INDEX).get("weight_map", {})
        files = [folder / Path(str(name)).name for name in sorted(set(named.values()))]
        if missing := [file.name for file in files if not file.is_file()]:
            raise TunesmithError(f"{folder} lacks {', '.join(missing)}, which its index names.", GET_WHOLE)
    else:
        files = sorted(folder.glob("*.safetensors"))
    if files:
        return files
    pickled = sorted(p.name for p in folder.iterdir() if p.suffix in PICKLED)
    if pickled:
        raise TunesmithError(
            f"{folder} holds its weights as {pickled[0]}, a pickle, which can run code when it is opened.",
            "choose a version with safetensors, or convert it where you trust it: "
            "`model.save_pretrained(FOLDER, safe_serialization=True)`",
        )
    raise TunesmithError(f"{folder} holds no weights (*.safetensors).", GET_WHOLE)


def _read_json(file: Path) -> dict[str, Any]:
    try:
        read = json.loads(file.read_bytes())
    except ValueError as error:
        raise TunesmithError(f"{file} is not JSON: {error}.", GET_WHOLE) from error
    if not isinstance(read, dict):
        raise TunesmithError(f"{file} is not a JSON object.", GET_WHOLE)
    return read
