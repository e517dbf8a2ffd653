"""Write one export into a folder, load it again, and say how it stood. Decides nothing about the folder's fate."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from msgspec.structs import replace

from tunesmith.core.errors import TunesmithError
from tunesmith.core.files import write_whole
from tunesmith.models.adapter_folder import is_model
from tunesmith.models.context import context_in
from tunesmith.models.parity import Figures, Parity, difference, judge
from tunesmith.models.template import Template
from tunesmith.tuning.export import gguf, llama_cpp, loaders, merged, ollama, vllm, vllm_server
from tunesmith.tuning.export.card import card
from tunesmith.tuning.export.measuring import Measured, measure
from tunesmith.tuning.export.peft_folder import write_adapter
from tunesmith.tuning.export.source import Asked, Source, untouched

__all__ = ["Part", "Target", "hand_on", "number_format"]

Target = Literal["adapter", "merged", "gguf", "ollama", "vllm"]
Part = Literal["merged", "adapter"]
ROUNDED_ELSEWHERE = 2.0
"""So many times as much as the base model may the tuned one lose by rounding: its activations are others. On
SmolLM2-135M it lost 0.3 times as much as q8_0, and 0.7 times as float16."""
CANNOT_RUN = {"vllm": "name its command by --vllm, and it serves the export", "ollama": "Ollama is a server of its own"}


def _refuse_what_cannot_hold(source: Source, to: Target, part: Part) -> None:
    """Refuse a target that would drop a part of the adapter, or put it on other weights than it learnt on.

    Raises:
        TunesmithError: The adapter has DoRA, changes the output layer, or learnt on quantised weights, and the target
            knows none of it.
    """
    if is_model(source.adapter) and (to in ("adapter", "vllm") or part == "adapter"):
        raise TunesmithError(
            f"Run {source.facts.run} tuned all weights of its base model; there is no adapter.",
            f"hand on the model: `tunesmith export {shlex.quote(source.facts.run)} --to merged`",
        )
    if to != "vllm" and not (part == "adapter" and to in ("gguf", "ollama")):
        return
    mend = "--to merged" if to == "vllm" else f"--to {to} --part merged"
    mend = f"hand on the merged model: `tunesmith export {shlex.quote(source.facts.run)} {mend}`"
    what = "vLLM" if to == "vllm" else "A GGUF adapter"
    if to != "vllm" and "lm_head" in map(str, cast("list[object]", source.settings["target_modules"])):
        raise TunesmithError(f"{what} has no place for what the output layer learnt.", mend)
    if source.settings.get("use_dora"):
        raise TunesmithError(f"{what} cannot hold what DoRA learns, the lengths of the weights' rows.", mend)
    if source.quantize != "none":
        raise TunesmithError(
            f"The adapter learnt on a base model quantised to {source.quantize}; {what} would put it on another.", mend
        )


class _Read(NamedTuple):
    """What one loader got out of an export."""

    loader: str
    figures: Figures
    same_token_ids: bool
    floors: dict[str, float] = {}
    """Noise of this loader."""
    rounding: float | None = None
    """In place of that of the weights, where the loader rounds more than them."""


class _Written(NamedTuple):
    reads: tuple[_Read, ...]
    """The target's own loader last."""
    use: str
    """How the export is loaded, for its card."""
    rounding: float | None = None
    """See ``Parity``."""
    not_run: dict[str, str] = {}


def number_format(source: Source, to: Target, part: Part, asked: str) -> str:
    """The export's number format: what is asked for, or that of the base model's own files.

    Raises:
        TunesmithError: The target has no such format.
    """
    if to in ("adapter", "vllm") or part == "adapter":
        if asked != "auto":
            raise TunesmithError("An adapter keeps the number format of its run.", "leave out --dtype")
        return "float32"
    known = tuple(gguf.FORMATS) if to in ("gguf", "ollama") else merged.DTYPES
    if asked == "auto":
        return merged.stored_dtype(source.base)
    if asked not in known:
        raise TunesmithError(f"--to {to} has no number format {asked!r}.", f"choose auto, {', '.join(known)}")
    return asked


def hand_on(
    source: Source,
    to: Target,
    folder: Path,
    asked: Sequence[Asked],
    *,
    part: Part = "merged",
    dtype: str = "float32",
    others: Mapping[str, Path] | None = None,
    vllm_command: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Parity:
    """Fill ``folder`` with the export of ``source``, its card and its parity.

    Args:
        to: Which program it is for.
        folder: A new one.
        asked: Held-out prompts with completions.
        part: Whether a GGUF holds the merged model or the adapter alone.
        dtype: Number format of merged weights.
        others: Adapters of other runs on the same base.
        vllm_command: vLLM, which then serves an export for it and is compared.
        say: Told what is being done.

    Raises:
        TunesmithError: The target cannot hold the adapter, or vLLM does not serve it.
    """
    _refuse_what_cannot_hold(source, to, part)
    say("measuring the run's model")
    measured = measure(source, others or {}, asked)
    say("writing and loading again" + (", once vLLM serves it" if vllm_command is not None else ""))
    folder.mkdir(parents=True)
    written = _WRITERS[to](source, folder, asked, part, dtype, measured, vllm_command)
    say("comparing")
    whole = is_model(source.adapter)
    judged = [
        judge(
            read.figures,
            measured.ours,
            measured.base,
            loader=read.loader,
            noise_floors=measured.noise_floors | read.floors,
            same_token_ids=read.same_token_ids,
            rounding=written.rounding if read.rounding is None else read.rounding,
            untouched=source.facts.best_step == 0 if whole else untouched(source.adapter),
            others=measured.others,
            not_run=written.not_run,
        )
        for read in written.reads
    ]
    failed = next((parity for parity in judged if not parity.passed), None)
    parity = failed or replace(judged[-1], also={p.loader: p.difference for p in judged[:-1]})
    library = {"adapter": "peft", "vllm": "peft", "merged": "transformers"}.get(to)
    title = "tuned model" if whole and to == "merged" else _TITLES[to, part if to in ("gguf", "ollama") else ""]
    said = card(source.facts, parity, title, written.use, library=library, dtype=dtype)
    write_whole(folder / "README.md", said)
    return parity


_TITLES = {
    ("adapter", ""): "LoRA adapter for PEFT",
    ("merged", ""): "base model and adapter, merged",
    ("gguf", "merged"): "GGUF of base model and adapter, merged",
    ("gguf", "adapter"): "GGUF of the LoRA adapter",
    ("ollama", "merged"): "base model and adapter, merged, for Ollama",
    ("ollama", "adapter"): "base model and LoRA adapter for Ollama",
    ("vllm", ""): "LoRA adapter for vLLM",
}


def _adapter(source: Source, folder: Path, asked: Sequence[Asked], *_: Any) -> _Written:
    write_adapter(source, folder)
    quantised, more, how = source.quantize == "nf4", "", ""
    if quantised:
        more = ', quantization_config=BitsAndBytesConfig(\n    load_in_4bit=True, bnb_4bit_quant_type="nf4", '
        more, how = f"{more}bnb_4bit_use_double_quant=True\n)", ", BitsAndBytesConfig"
    use = f"""```python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer{how}

base = AutoModelForCausalLM.from_pretrained({source.facts.base!r}{more})  # or the folder that holds it
model, tokenizer = PeftModel.from_pretrained(base, "."), AutoTokenizer.from_pretrained(".")
```"""
    if quantised:
        use += (
            "\n\nThe adapter learnt on these quantised weights and was measured on them; on others it is another model."
        )
    figures = loaders.through_peft(source.base, folder, asked, source.quantize)
    return _Written((_Read("PEFT", figures, loaders.same_ids(folder, asked)),), use)


def _merged(source: Source, folder: Path, asked: Sequence[Asked], part: Part, dtype: str, *_: Any) -> _Written:
    model = merged.merge(source.base, source.adapter, source.quantize)
    rounding = _rounding(model, asked, dtype, merged.round_weights)
    merged.write_model(model, source.base, folder, dtype)
    del model
    figures = loaders.through_transformers(folder, asked)
    use = """```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model, tokenizer = AutoModelForCausalLM.from_pretrained("."), AutoTokenizer.from_pretrained(".")
```"""
    return _Written((_Read("transformers", figures, loaders.same_ids(folder, asked)),), use, rounding)


def _gguf(
    source: Source, folder: Path, asked: Sequence[Asked], part: Part, dtype: str, measured: Measured, *_: Any
) -> _Written:
    model_file, adapter_file = folder / "model.gguf", folder / "adapter.gguf"
    rounding = None
    if part == "adapter":
        gguf.write_gguf_adapter(source, adapter_file)
        own_base = model_file if model_file.is_file() else None
        figures, same = loaders.through_gguf_adapter(adapter_file, source.base, asked, base_file=own_base)
        read = _Read("the gguf package and PEFT", figures, same)
        use = f"On top of a GGUF of {source.facts.base}: `llama-server --jinja -m BASE.gguf --lora adapter.gguf`"
    else:
        gguf.check_kind(source.base)
        model = merged.merge(source.base, source.adapter, source.quantize)
        rounding = _rounding(model, asked, dtype, gguf.round_matrices)
        gguf.write_gguf(model, source.base, model_file, dtype, source.facts.run)
        del model
        read = _Read("the gguf package and transformers", *loaders.through_gguf(model_file, asked))
        use = "`llama-server --jinja -m model.gguf`"
    own = _through_llama_cpp(source, folder, asked, part, dtype, measured) if llama_cpp.is_here() else ()
    return _Written((read, *own), use, rounding, llama_cpp.not_run())


def _through_llama_cpp(
    source: Source, folder: Path, asked: Sequence[Asked], part: Part, dtype: str, measured: Measured
) -> tuple[_Read, ...]:
    """The export through llama.cpp. Its noise is measured on the bare base model, as a GGUF of the same format.

    With float32 weights that is noise of computing. With others llama.cpp also rounds what it multiplies them by, which
    costs more than rounding the weights.
    """
    template = Template.open(source.base)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        bare = Path(temporary) / "base.gguf"
        gguf.write_gguf(merged.bare(source.base, source.quantize), source.base, bare, dtype, source.facts.base)
        base, _ = llama_cpp.through_llama_cpp(bare, asked, template)
        if part == "adapter":
            figures, same = llama_cpp.through_llama_cpp(bare, asked, template, folder / "adapter.gguf")
        else:
            figures, same = llama_cpp.through_llama_cpp(folder / "model.gguf", asked, template)
    noise = difference(base, measured.base)
    if dtype != "float32":
        return (_Read(llama_cpp.NAME, figures, same, rounding=ROUNDED_ELSEWHERE * noise),)
    return (_Read(llama_cpp.NAME, figures, same, {"base model through the engine and through llama.cpp": noise}),)


def _ollama(
    source: Source, folder: Path, asked: Sequence[Asked], part: Part, dtype: str, measured: Measured, *_: Any
) -> _Written:
    template, context = Template.open(source.base), context_in(source.base)
    own = "adapter.gguf" if part == "adapter" else None
    write_whole(folder / "Modelfile", ollama.modelfile(template, asked, source.facts, context, own))
    if part == "adapter":
        bare = merged.bare(source.base)
        gguf.write_gguf(bare, source.base, folder / "model.gguf", dtype, source.facts.base)
    written = _gguf(source, folder, asked, part, dtype, measured)
    name = ollama.model_name(source.facts.run)
    use = f"`ollama create {name} -f Modelfile && ollama run {name}`"
    return written._replace(not_run=written.not_run | {"ollama": CANNOT_RUN["ollama"]}, use=use)


def _vllm(
    source: Source, folder: Path, asked: Sequence[Asked], part: Part, dtype: str, measured: Measured,
    vllm_command: Path | None,
) -> _Written:  # fmt: skip
    rank = int(str(source.settings["r"]))
    command = vllm.serve(source.facts, rank, context_in(source.base))
    written = _adapter(source, folder / "adapter", asked)
    template = folder / "adapter" / "chat_template.jinja"
    if not template.is_file():  # older tokenizers keep it in tokenizer_config.json
        write_whole(template, str(Template.open(source.base).tokenizer.chat_template).encode())
    write_whole(folder / "serve.sh", command.encode()).chmod(0o755)
    example = vllm.request(source.facts, "...")
    write_whole(folder / "request.sh", f"#!/bin/sh\n{example}\n".encode()).chmod(0o755)
    use = (
        f"`./serve.sh`, with `BASE` in the environment naming the base model's folder or id:\n\n```sh\n{command}```\n\n"
    )
    use += f"and, as `request.sh` does:\n\n```sh\n{example}\n```"
    if vllm_command is None:
        return written._replace(not_run={"vllm": CANNOT_RUN["vllm"]}, use=use)
    read = _through_vllm(source, folder, asked, measured, vllm_command)
    return written._replace(reads=(*written.reads, read), use=use)


def _through_vllm(
    source: Source, folder: Path, asked: Sequence[Asked], measured: Measured, vllm_command: Path
) -> _Read:
    """The export as vLLM serves it. Its noise is measured on the bare base model, which the same server answers for.

    vLLM computes in two bytes a number, which costs more than rounding the weights to them.
    """
    template = Template.open(source.base)
    with vllm_server.served(folder, source.base, vllm_command) as server:
        base = server.log_probabilities(source.facts.base, asked)
        figures = server.log_probabilities(source.facts.run, asked)
        same = server.same_ids(source.facts.run, template, asked)
    return _Read(vllm_server.NAME, figures, same, rounding=ROUNDED_ELSEWHERE * difference(base, measured.base))


_WRITERS: dict[str, Callable[..., _Written]] = {
    "adapter": _adapter, "merged": _merged, "gguf": _gguf, "ollama": _ollama, "vllm": _vllm,
}  # fmt: skip


def _rounding(
    model: Any, asked: Sequence[Asked], dtype: str, round_weights: Callable[[Any, str], None]
) -> float | None:
    """Round the weights of ``model``, and say what that changes."""
    if dtype == "float32":
        return None
    before = loaders.figures_of(model, asked)
    round_weights(model, dtype)
    return difference(before, loaders.figures_of(model, asked))
