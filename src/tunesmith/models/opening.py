"""From a model's name to a model that answers: the embedded one, a folder, a Hugging Face id, or a hosted one."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.core.codec import digest
from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.models.adapter_folder import files_hash
from tunesmith.models.catalogue import known_models
from tunesmith.models.folder import check_folder
from tunesmith.models.pull import HUB_ID, hub_folder, pulled_folder
from tunesmith.models.spending import Prices, SpendingCap

if TYPE_CHECKING:
    from tunesmith.models.engine import Engine
    from tunesmith.models.reply import Model

__all__ = ["model_folder", "model_hash", "open_model"]

_engines: dict[tuple[Path, str], Engine] = {}
"""By folder and by how the weights are quantised."""
_opening = threading.Lock()


def open_model(
    name: str,
    *,
    base_url: str | None = None,
    api_key_env: str | None = None,
    prices: Prices | None = None,
    cap: SpendingCap | None = None,
    quantize: str = "none",
    **hosted: Any,
) -> Model:
    """The model ``name``: hosted where ``base_url`` or ``api_key_env`` is given, else on this machine.

    A model on this machine is loaded once per process and shared; with ``quantize`` nf4 it has the weights that a QLoRA
    adapter learnt on. ``hosted`` are further settings of ``HostedModel``.

    Raises:
        TunesmithError: It is not here, not whole, or the settings do not fit; the mend says what to type.
    """
    if base_url or api_key_env:
        from tunesmith.models.hosted import HostedModel

        return HostedModel(name, base_url=base_url, api_key_env=api_key_env, prices=prices, cap=cap, **hosted)
    if hosted:
        raise TunesmithError(
            f"{sorted(hosted)[0]!r} is a setting of hosted models.", "give base_url with it, or drop it"
        )
    folder = model_folder(name).resolve()
    with _opening:
        if (folder, quantize) not in _engines:
            _engines[folder, quantize] = _load(name, folder, quantize)
        return _engines[folder, quantize]


def model_folder(name: str) -> Path:
    """The checked folder of model ``name`` on this machine. Fetches nothing.

    Raises:
        TunesmithError: It is not pulled, or not whole.
        UnknownName: It is no known model, folder or Hugging Face id.
    """
    if row := known_models().get(name):
        if row.kind != "base":
            raise TunesmithError(
                f"{name!r} is an embedder: it cannot answer.", "name a base model, such as smollm2-135m"
            )
        if not pulled_folder(name).is_dir():
            raise TunesmithError(f"The model {name!r} is not on this machine yet.", f"`tunesmith model pull {name}`")
        return check_folder(pulled_folder(name))
    if Path(name).expanduser().is_dir() or name.startswith((".", "/", "~")):
        return check_folder(Path(name).expanduser())
    if HUB_ID.fullmatch(name):
        return check_folder(hub_folder(name, offline=True))
    raise UnknownName.among("model", name, known_models())


def model_hash(name: str, *, base_url: str | None = None) -> str:
    """Of a local model the hash of all its files, of a hosted one that of its name and address."""
    if base_url:
        return digest([base_url, name])
    return files_hash(model_folder(name))


def _load(name: str, folder: Path, quantize: str) -> Engine:
    try:
        from tunesmith.models.engine import Engine
    except ImportError as error:
        raise TunesmithError("A model on this machine needs torch.", "pip install 'tunesmith[local]'") from error
    engine = Engine(folder, quantize=quantize)
    if "snapshots" in folder.parts and HUB_ID.fullmatch(name):
        engine.name = name  # the Hub's cache calls the folder by its commit
    return engine
