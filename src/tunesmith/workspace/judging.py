"""Let the judge say what it thinks: the one path from answers to verdicts, for every verb that needs them.

A verdict is saved as soon as it is there, under the hash of its judge and of what was judged, so nothing is paid for
twice. A reply that cannot be read is asked for again, and never saved: it is no verdict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from msgspec.structs import replace

from tunesmith.core.codec import digest
from tunesmith.core.contenders import Answer, Request
from tunesmith.core.errors import ServiceError, TunesmithError
from tunesmith.core.judging import Judge, Verdict
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.record import Record
from tunesmith.evaluation.judge.asking import Judged, Pair, again, compare_request, grade_request, key_of
from tunesmith.evaluation.judge.reading import Better, read_better, read_grades
from tunesmith.evaluation.judge.rubric import judge_for
from tunesmith.models.opening import model_hash
from tunesmith.models.reply import Model, Reply
from tunesmith.models.spending import Prices, SpendingCap, most_tokens
from tunesmith.workspace.answered import answer_of
from tunesmith.workspace.answering import open_at
from tunesmith.workspace.home import Home

__all__ = ["JudgeCost", "Panel", "guidelines_file"]

SAVE_EVERY = 16
CHARACTERS_PER_TOKEN = 4
"""Of a prompt whose tokens are not ours to count, where it is written in ASCII; any other character is a token."""
LONGEST_GUIDELINES = 20_000
"""Characters: the judge reads them with each answer."""
REPLY_SHARE = 0.5
"""How much of the longest reply a usual one takes."""


class JudgeCost(Record, frozen=True, kw_only=True):
    """What a judge is going to be asked, said before it is."""

    requests: int
    """Questions that have no verdict yet."""
    cached: int
    """Those that have one: they cost nothing."""
    prompt_tokens: int
    """About: one for four characters of ASCII, and for any other character."""
    completion_tokens: int
    usd: float | None = None
    """About."""
    usd_at_most: float | None = None
    """If each reply is as long as it may be, and must be asked for as often as it may be."""
    cap_usd: float | None = None
    because: str | None = None
    """Why there is no price."""


class Panel:
    """The judge of one workspace, as the settings say it now."""

    def __init__(self, home: Home) -> None:
        self.home, self.config = home, home.settings.judge
        own = self.config.model is not None or self.config.base_url is not None
        self._server = self.config if own else home.settings.model
        self.name = self.config.named or home.settings.model.named
        self._place = self.config.model or home.settings.model.base
        where = model_hash(self._place, base_url=self._server.base_url)
        self.judge: Judge = judge_for(home.task, self.config, self.name, where, _guidelines(home))
        self.spent_usd: float | None = None
        """What verdicts cost in this command; None without a price."""
        self._cap = SpendingCap(home.settings.budget.usd if self.config.max_usd is None else self.config.max_usd)

    def share(self, cap: SpendingCap) -> None:
        """Spend from ``cap``, the budget of the whole command, unless judging has a cap of its own."""
        if self.config.max_usd is None:
            self._cap = cap

    # What it is going to cost.

    def cost(self, items: Sequence[Judged | Pair], more: int = 0) -> JudgeCost:
        """An estimate of asking about ``items``, and at most ``more`` like them that are not known yet."""
        there = self.home.store.answers(self.judge.hash)
        requests = self._requests(items)
        left = [request for key, request in requests.items() if key not in there]
        count = len(left) + more
        grown = count / len(left) if left else 1.0
        prompts = sum(_about_tokens(m.content) for request in left for m in request.messages)
        tokens = round(grown * prompts), round(count * REPLY_SHARE * self.judge.max_tokens)
        prices = self._prices
        most = sum(most_tokens(request.messages) for request in left), len(left) * self.judge.max_tokens
        return JudgeCost(
            requests=count,
            cached=len(requests) - len(left),
            prompt_tokens=tokens[0],
            completion_tokens=tokens[1],
            usd=prices.usd(*tokens) if prices else None,
            usd_at_most=self.config.tries * grown * prices.usd(*most) if prices else None,
            cap_usd=self._cap.usd if prices else None,
            because=None if prices else self._no_price,
        )

    def afford(self, cost: JudgeCost) -> None:
        """Refuse what would probably not be finished, before a cent of it is spent.

        Raises:
            TunesmithError: It is likely to cost more than the cap.
        """
        left = self._cap.usd - self._cap.spent_usd
        if cost.usd is not None and cost.usd > left:
            raise TunesmithError(
                f"Judging would cost about {cost.usd:.4f} USD, and {left:.4f} USD may be spent.",
                "judge fewer answers with --sample, or raise judge.max_usd (or budget.usd) in tunesmith.yaml",
            )

    # Verdicts.

    def short(self, item: Judged | Pair) -> bool:
        """Whether it is short enough to be judged at all."""
        texts = [item.text] if isinstance(item, Judged) else [item.first, item.second]
        return all(len(text) <= self.config.longest_answer for text in texts)

    def settled(self, items: Sequence[Judged | Pair]) -> bool:
        """Whether verdicts on them are there already, so that nothing will be asked about them."""
        return self._requests(items).keys() <= self.home.store.answers(self.judge.hash).keys()

    def verdicts(self, items: Sequence[Judged], progress: Progress = quiet) -> list[Verdict]:
        """A verdict on each item, in their order; those that are not there yet are asked for now."""
        said = self._replies(self._requests(items), lambda text: read_grades(text, self.judge.names).problem, progress)
        return [self._verdict(item, said.get(self._key(item))) for item in items]

    def compared(self, pairs: Sequence[Pair], progress: Progress = quiet) -> list[Better | None]:
        """Which answer of each pair is better as they stand; None where no reply could be read."""
        said = self._replies(self._requests(pairs), _no_choice, progress)
        found = (said.get(self._key(pair)) for pair in pairs)
        return [read_better(answer.text)[0] if answer and answer.problem is None else None for answer in found]

    def _verdict(self, item: Judged, answer: Answer | None) -> Verdict:
        frame = Verdict(
            judge=self.judge.hash, example=item.example.id, said=digest(item.text), contender=item.contender
        )
        if answer is None:
            return replace(frame, problem=f"the answer is longer than {self.config.longest_answer} characters")
        if answer.problem is not None:
            return replace(frame, problem=answer.problem, usd=answer.usd)
        grades = read_grades(answer.text, self.judge.names)
        return replace(frame, passed=grades.passed, reasons=grades.reasons, cached=answer.cached, usd=answer.usd)

    def _requests(self, items: Sequence[Judged | Pair]) -> dict[str, Request]:
        """What is asked, by the key of what is judged. About what is too long, nothing is."""
        return {self._key(item): self._request(item) for item in items if self.short(item)}

    def _request(self, item: Judged | Pair) -> Request:
        """What the judge is asked."""
        shown = self._shown(item)
        return grade_request(self.judge, shown) if isinstance(shown, Judged) else compare_request(self.judge, shown)

    def _key(self, item: Judged | Pair) -> str:
        return key_of(self._shown(item))

    def _shown(self, item: Judged | Pair) -> Judged | Pair:
        """With the reference as answers are shown, without a trace."""
        example = item.example
        return item._replace(example=replace(example, completion=self.home.task.final(example.completion)))

    def _replies(
        self, requests: Mapping[str, Request], fault: Callable[[str], str | None], progress: Progress
    ) -> dict[str, Answer]:
        """A reply to each request: one of old, or a new one; with a problem where no try brought one to be read."""
        there = self.home.store.answers(self.judge.hash)
        found = {key: replace(there[key], cached=True) for key in requests if key in there}
        left = {key: request for key, request in requests.items() if key not in there}
        for _ in range(self.config.tries if left else 0):
            given = self._ask(left, fault, progress)
            found |= given
            self._answers_at_all(found.values())
            unread = {k: a.problem for k, a in given.items() if a.problem is not None and a.finish_reason != "error"}
            left = {key: again(requests[key], problem or "") for key, problem in unread.items()}
            if not left:
                break
        return found

    def _answers_at_all(self, found: Collection[Answer]) -> None:
        """See that something came from the judge's model, now or before.

        Raises:
            ServiceError: Every question was lost to an error of whatever serves it.
        """
        lost = [a.problem or "" for a in found if a.finish_reason == "error" and not a.too_long]
        if lost and len(lost) == len(found):
            problem, count = Counter(lost).most_common(1)[0]
            raise ServiceError(
                f"Of {len(lost)} questions for the judge none was answered; {count} times {problem}.",
                "see that the model under `judge` (its base_url and api_key_env too) answers, then run the same "
                "command again",
            )

    def _ask(
        self, requests: Mapping[str, Request], fault: Callable[[str], str | None], progress: Progress
    ) -> dict[str, Answer]:
        keys, given, waiting = list(requests), {}, []
        try:
            for done, (index, reply) in enumerate(self._model.answers(list(requests.values())), start=1):
                answer = self._answer(keys[index], requests[keys[index]], reply, fault)
                given[keys[index]] = answer
                if answer.problem is None:
                    waiting.append(answer)
                if reply.usd is not None:
                    self.spent_usd = (self.spent_usd or 0.0) + reply.usd
                if len(waiting) == SAVE_EVERY:
                    chunk, waiting = waiting, []
                    self.home.store.save_answers(chunk)
                progress(done, len(keys), "judging")
        finally:  # what was said before a stop was paid for
            self.home.store.save_answers(waiting)
        return given

    def _answer(self, key: str, request: Request, reply: Reply, fault: Callable[[str], str | None]) -> Answer:
        if reply.finish_reason == "error":
            problem: str | None = f"the judge did not answer: {reply.problem}"
        elif reply.finish_reason == "length":
            problem = f"it was cut off after {self.judge.max_tokens} tokens (judge.max_tokens)"
        else:
            problem = fault(reply.text)
        asked = digest(request.messages)
        return answer_of(reply, contender=self.judge.hash, example=key, request=asked, problem=problem)

    @cached_property
    def _model(self) -> Model:
        """One for all questions of a command: it holds the cap on what they cost together."""
        names = ("timeout_seconds", "concurrency", "retries")
        hosted = {name: getattr(self.config, name) for name in names}
        return open_at(self._server, self._place, self._cap, **(hosted if self._server.base_url else {}))

    @property
    def _prices(self) -> Prices | None:
        paid_in, paid_out = self._server.usd_per_million_input_tokens, self._server.usd_per_million_output_tokens
        if self._server.base_url is None or paid_in is None or paid_out is None:
            return None
        return Prices(usd_per_million_prompt_tokens=paid_in, usd_per_million_completion_tokens=paid_out)

    @property
    def _no_price(self) -> str:
        if self._server.base_url is None:
            return "it runs on this machine"
        where = "judge" if self._server is self.config else "model"
        return f"its prices are not known: {where}.usd_per_million_input_tokens and …_output_tokens"


def guidelines_file(home: Home) -> Path | None:
    """The file that `judge.guidelines` names."""
    named = home.settings.judge.guidelines
    return home.root / Path(named).expanduser() if named else None


def _guidelines(home: Home) -> str:
    """The text of the file that `judge.guidelines` names.

    Raises:
        TunesmithError: It cannot be read, is empty, or is too long.
    """
    file, named = guidelines_file(home), home.settings.judge.guidelines
    if file is None:
        return ""
    try:
        text = file.read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        raise TunesmithError(
            f"The guidelines in {named} cannot be read: {error}.",
            "name a text file in UTF-8 under judge.guidelines in tunesmith.yaml, from where that lies",
        ) from error
    if not 0 < len(text) <= LONGEST_GUIDELINES:
        raise TunesmithError(
            f"The guidelines in {named} have {len(text):,} characters.",
            f"write between 1 and {LONGEST_GUIDELINES:,}, for the judge reads them with each answer",
        )
    return text


def _about_tokens(text: str) -> float:
    plain = sum(character.isascii() for character in text)
    return plain / CHARACTERS_PER_TOKEN + len(text) - plain


def _no_choice(text: str) -> str | None:
    better, said = read_better(text)
    return said if better is None else None
