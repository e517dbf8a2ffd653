"""Let contenders answer: the one path from a frozen record to saved answers, for every verb that needs them.

An answer is saved as soon as it is there, under the hash of its contender, so an interrupted command goes on where it
was and nothing is asked twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

from msgspec.structs import replace

from tunesmith.contenders import Context, Known, contender_kind, open_contender
from tunesmith.contenders.config import OtherModel
from tunesmith.contenders.kind import Asking, Cutting, Predicting, Ready, Sure
from tunesmith.core.codec import digest
from tunesmith.core.contenders import Answer, Contender, Decoding, Request
from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.examples import Example
from tunesmith.core.naming import contender_name, model_named
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.runs import Run
from tunesmith.core.splits import Split
from tunesmith.core.store import Derived
from tunesmith.core.task import Parsed
from tunesmith.evaluation.judge.config import JudgeConfig
from tunesmith.models.adapter_folder import adapter_hash
from tunesmith.models.embedder import open_embedder
from tunesmith.models.located import WAITING
from tunesmith.models.opening import model_folder, model_hash, open_model
from tunesmith.models.reply import Model, Reply
from tunesmith.models.spending import Prices, SpendingCap
from tunesmith.models.template import Template
from tunesmith.workspace.answered import answer_of
from tunesmith.workspace.choices import chosen, chosen_search
from tunesmith.workspace.home import Home
from tunesmith.workspace.made_under import asked_under, training_now
from tunesmith.workspace.preferences import ids_there, standing
from tunesmith.workspace.settings import ModelConfig, TeacherConfig

__all__ = ["Answering", "current_split", "open_at"]

SAVE_EVERY = 16
BYTES_PER_TOKEN = 2
"""Of completions for a model behind an address, whose tokens are not ours to count: few enough for ids and numbers, and
for every script."""
FEWEST_HOSTED = 32
"""Tokens of its longest answer, however short completions are."""


def open_at(
    server: ModelConfig | TeacherConfig | JudgeConfig | OtherModel,
    name: str,
    budget: float | SpendingCap,
    **hosted: Any,
) -> Model:
    """The model ``name``, on this machine or at ``server``'s address; with prices, the budget caps what it may cost.

    Args:
        budget: In US dollars, or a cap that several models share.
        hosted: Further settings of ``HostedModel``, where there is an address.
    """
    if server.base_url is None:
        return open_model(name)
    paid_in, paid_out = server.usd_per_million_input_tokens, server.usd_per_million_output_tokens
    if paid_in is None or paid_out is None:  # without prices nothing can be counted against a cap
        return open_model(name, base_url=server.base_url, api_key_env=server.api_key_env, **hosted)
    return open_model(
        name,
        base_url=server.base_url,
        api_key_env=server.api_key_env,
        prices=Prices(usd_per_million_prompt_tokens=paid_in, usd_per_million_completion_tokens=paid_out),
        cap=budget if isinstance(budget, SpendingCap) else SpendingCap(budget),
        **hosted,
    )


def _waiting(server: ModelConfig | OtherModel) -> dict[str, Any]:
    """How its server is waited for, if there is one."""
    return {name: getattr(server, name) for name in WAITING} if server.base_url else {}


def current_split(home: Home) -> Split:
    """The frozen split.

    Raises:
        TunesmithError: There is none yet.
    """
    found = home.latest("split", "split", Split)
    if found is None:
        raise TunesmithError("The examples are not split yet.", "freeze a split with `tunesmith split`")
    return found[0]


class Answering:
    """The parts that contenders of one workspace share: what they may know, the model, the embedder."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.split = current_split(home)
        self.known = Known(home.examples(), self.split, home.documents())
        self.cap = SpendingCap(home.settings.budget.usd)
        self._hashes: dict[str | None, str] = {}
        self._longest: dict[str | None, int] = {}
        self._models: dict[str, Model] = {}

    def made_from(self, contender: Derived) -> dict[str, str]:
        """What ``contender`` would be made from now, but for its model, which need not be on this machine."""
        now = {"task": self.home.task.hash, "train side": self.known.hash}
        now |= {"split": self.split.hash} if "split" in contender.inputs else {}
        if learnt := contender.inputs.get("preferences"):
            now["preferences"] = standing(self.home, learnt, self._pairs)
        return now | training_now(self.home, contender)

    def context(
        self, *, constrained: bool = False, run: Run | None = None, known: Known | None = None, model: str | None = None
    ) -> Context:
        """What contenders are made from.

        Args:
            known: A part of the train side in place of all of it; then nothing that was chosen on validation counts.
            model: A name under `contenders.models`, in place of the base model.
        """
        settings, server = self.home.settings, self.server(model)
        config = settings.contenders
        if model and server.base_url:  # its tokens cannot be counted here, so its prompts cannot be cut
            config = config.model_copy(update={"too_long": "refuse"})
        return Context(
            task=self.home.task,
            known=known or self.known,
            config=config,
            model=server.named,
            model_hash=lambda: self.model_hash_of(model),
            embedder=partial(open_embedder, settings.model.embedder),
            max_tokens=lambda: config.max_tokens or self._longest_completion(model),
            constrained=constrained,
            run=run,
            root=self.home.inside,
            folder=self.home.root,
            named=model,
            chosen=lambda kind: None if known else chosen(self.home, self, contender_name(kind, model)),
            searching=None if known else partial(chosen_search, self.home, self),
        )

    @cached_property
    def _pairs(self) -> frozenset[str]:
        return ids_there(self.home)

    def server(self, model: str | None = None) -> ModelConfig | OtherModel:
        """Where a model of `contenders.models` is, or the base model.

        Raises:
            UnknownName: There is none of that name.
        """
        if model is None:
            return self.home.settings.model
        others = self.home.settings.contenders.models
        if model not in others:
            raise UnknownName.among("model under `contenders.models`", model, others)
        return others[model]

    @property
    def model_hash(self) -> str:
        """Names the base model."""
        return self.model_hash_of(None)

    def model_hash_of(self, model: str | None) -> str:
        """Names the model that answers.

        Raises:
            TunesmithError: It is not on this machine.
        """
        if model not in self._hashes:
            server = self.server(model)
            self._hashes[model] = model_hash(server.base, base_url=server.base_url)
        return self._hashes[model]

    def model_now(self, name: str) -> str:
        """The same of what a contender of this name asks; empty where that is another model, and not to be had now."""
        model = model_named(name)
        try:
            return self.model_hash_of(model)
        except TunesmithError:
            if model is None:
                raise
            return ""

    def _longest_completion(self, model: str | None) -> int:
        """Tokens of the longest train completion, and a sixth more."""
        if model not in self._longest:
            completions, server = [e.completion for e in self.known.train], self.server(model)
            if server.base_url:
                longest = max([FEWEST_HOSTED, *(len(c.encode()) / BYTES_PER_TOKEN for c in completions)])
            else:
                template = Template.open(model_folder(server.base))
                longest = max(len(template.completion_ids(c)) for c in completions)
            self._longest[model] = round(longest * 7 / 6) + 4
        return self._longest[model]

    @cached_property
    def model(self) -> Model:
        """The base model; loaded once."""
        m = self.home.settings.model
        return open_at(m, m.base, self.cap, **_waiting(m))

    def opened(self, model: str | None) -> Model:
        """The base model, or one of `contenders.models`; what hosted ones cost is capped together."""
        if model is None:
            return self.model
        if model not in self._models:
            server = self.server(model)
            self._models[model] = open_at(server, server.base, self.cap, **_waiting(server))
        return self._models[model]

    def _model_of(self, record: Contender) -> Model:
        """The model that ``record`` asks: an adapter is asked on weights quantised as those it learnt on, and a model
        that was tuned as a whole is asked itself.

        Raises:
            TunesmithError: The adapter, or model, is not the very one that the record names.
        """
        if record.adapter_hash is not None:
            self._ask_whole(record)
        if record.settings.get("method") == "full":
            return open_model(str(self.home.inside / (record.adapter or "")))
        if quantize := record.settings.get("quantize"):
            return open_model(self.home.settings.model.base, quantize=quantize)
        return self.opened(model_named(record.name))

    def _ask_whole(self, record: Contender) -> None:
        folder = self.home.inside / (record.adapter or "")
        try:
            there = adapter_hash(folder)
        except OSError:
            there = None
        if there != record.adapter_hash:
            problem = "gone" if there is None else "not the one that it made"
            raise TunesmithError(
                f"The adapter of run {record.settings['run']} is {problem}.",
                f"put {folder} back from a copy, or delete {folder.parent} and `tunesmith tune` again",
            )

    def _context_of(self, record: Contender) -> Context:
        constrained, model = record.constraint is not None, model_named(record.name)
        return self.context(constrained=constrained, run=self._run(record), model=model)

    def freeze(self, run: Run, under: Mapping[str, str]) -> None:
        """Freeze the contenders of a run: `tuned` and, where task and settings allow it, `tuned+schema`.

        Args:
            under: The settings that the run was made under.
        """
        settings = self.home.settings.contenders
        for constrained in (False, True) if settings.constrained and self.home.task.constraint() else (False,):
            record = contender_kind["tuned"].make(self.context(constrained=constrained, run=run))
            self.home.save("contender", record.name, record, record.inputs | dict(under) | asked_under(self.home))

    def answers(
        self, records: Mapping[str, Contender], examples: Sequence[Example], progress: Progress = quiet
    ) -> dict[str, dict[str, Answer]]:
        """The contenders' answers to ``examples``, by name and example id; those not yet there are asked for now.

        A contender and its constrained twin send the same messages: asked together, they are read once, and what both
        write alike is computed once.
        """
        together: dict[str, list[Contender]] = {}
        for record in {record.hash: record for record in records.values()}.values():
            together.setdefault(_without_constraint(record), []).append(record)
        for twins in together.values():
            self._make(twins, examples, progress)
        there = {name: self.home.store.answers(record.hash) for name, record in records.items()}
        return {name: {e.id: given[e.id] for e in examples if e.id in given} for name, given in there.items()}

    def _make(self, records: Sequence[Contender], examples: Sequence[Example], progress: Progress) -> None:
        """Save the answers of ``records`` that are not there yet.

        Those that failed are asked for again, and stand until another takes their place: what was measured with them
        stays proved.
        """
        store, wanted = self.home.store, []
        for record in records:
            there = store.answers(record.hash)
            missing = [e for e in examples if e.id not in there or there[e.id].finish_reason == "error"]
            if not missing:
                continue
            ready = open_contender(record, self._context_of(record))
            if isinstance(ready, Predicting):
                store.save_answers(list(self.predicted(ready, missing)))
            else:
                wanted += [(ready, example) for example in missing]
        waiting: list[Answer] = []
        try:
            for answer in self._asked(wanted, progress):
                waiting.append(answer)
                if len(waiting) == SAVE_EVERY:
                    chunk, waiting = waiting, []
                    store.save_answers(chunk)
        finally:  # what was answered before a stop was paid for
            store.save_answers(waiting)

    def _run(self, record: Contender) -> Run | None:
        if record.kind != "tuned":
            return None
        found = self.home.latest("run", record.settings["run"], Run)
        return found[0] if found else None

    def unsaved(self, ready: Asking, examples: Sequence[Example]) -> Iterator[Answer]:
        """Answers of a contender that asks the model, not saved: of a model that is still learning."""
        return self._asked([(ready, example) for example in examples], quiet)

    def again(self, record: Contender, examples: Sequence[Example], seed: int) -> Iterator[Answer]:
        """Answers of ``record`` to ``examples`` once more, not saved; one that draws its words draws by ``seed``."""
        if not examples:
            return
        if record.model is not None and record.decoding.temperature != 0:
            record = replace(record, decoding=replace(record.decoding, seed=seed))
        ready = open_contender(record, self._context_of(record))
        if isinstance(ready, Predicting):
            yield from self.predicted(ready, examples)
        else:
            yield from self.unsaved(ready, examples)

    def one_by_one(self, record: Contender, examples: Sequence[Example]) -> Iterator[float | None]:
        """Seconds of an answer to each of ``examples``, asked for alone and not saved; None where it failed."""
        ready = open_contender(record, self._context_of(record))
        answered = self._alone(ready)
        for example in examples:
            began = time.perf_counter()
            there = answered(example)
            yield time.perf_counter() - began if there else None

    def _alone(self, ready: Ready) -> Callable[[Example], bool]:
        """Has one example answered, and says whether it was. What is proved and loaded once is not done for each."""
        if isinstance(ready, Predicting):
            predict = ready.predict
            return lambda example: bool(predict([example]))
        model, prepare = self._model_of(ready.record), ready.prepare
        return lambda example: all(r.finish_reason != "error" for _, r in model.answers([prepare(example)]))

    def predicted(self, ready: Predicting, examples: Sequence[Example]) -> Iterator[Answer]:
        """Answers of a contender that asks no model, not saved."""
        ready.predict(examples[:1])  # the first call fits: what takes time once is not an answer's time
        began = time.perf_counter()
        completions = ready.predict(examples)
        seconds = (time.perf_counter() - began) / len(examples)
        cut = ready.truncated(examples) if isinstance(ready, Cutting) else [0] * len(examples)
        sure: Sequence[dict[str, dict[str, float]] | None] = [None] * len(examples)
        if isinstance(ready, Sure):
            sure = ready.probabilities(examples)
        for example, text, truncated, chances in zip(examples, completions, cut, sure, strict=True):
            answer = self._read(ready.record, example, Reply(text=text, seconds=seconds, truncated=truncated), "")
            yield replace(answer, probabilities=chances)

    def _asked(self, wanted: Sequence[tuple[Asking, Example]], progress: Progress) -> Iterator[Answer]:
        if not wanted:
            return
        requests, seconds = self._prepared(wanted)
        names = " and ".join(dict.fromkeys(ready.record.name for ready, _ in wanted))
        model = self._model_of(wanted[0][0].record)  # twins ask the same one
        for done, (index, reply) in enumerate(model.answers(requests), start=1):
            progress(done, len(wanted), names)
            ready, example = wanted[index]
            if reply.seconds is not None and not reply.cached:
                reply = replace(reply, seconds=reply.seconds + seconds[ready.record.hash])
            yield self._read(ready.record, example, reply, digest(reply.sent or requests[index].messages))

    def _prepared(self, wanted: Sequence[tuple[Asking, Example]]) -> tuple[list[Request], dict[str, float]]:
        """The request for each example, and the mean seconds that each contender took to make one (to search, say)."""
        spent: dict[str, list[float]] = {}
        requests = []
        for ready, example in wanted:
            if ready.record.hash not in spent:
                spent[ready.record.hash] = []
                ready.prepare(example)  # the first call may build an index, once
            began = time.perf_counter()
            requests.append(ready.prepare(example))
            spent[ready.record.hash].append(time.perf_counter() - began)
        return requests, {name: sum(each) / len(each) for name, each in spent.items()}

    def _read(self, record: Contender, example: Example, reply: Reply, request: str) -> Answer:
        """A reply as the task reads it."""
        failed = reply.finish_reason == "error"
        parsed = Parsed(problem=reply.problem) if failed else self.home.task.parse(reply.text)
        answer = answer_of(reply, contender=record.hash, example=example.id, request=request, problem=parsed.problem)
        return replace(answer, fields=parsed.fields)


def _without_constraint(record: Contender) -> str:
    """What a contender and its constrained twin have in common."""
    return replace(record, name="", constraint=None, decoding=Decoding()).hash
