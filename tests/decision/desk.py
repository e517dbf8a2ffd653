"""Made-up facts of a support desk whose tuned model pays, and the dossier's material that goes with them."""

import json
import math

from msgspec.structs import replace

from tunesmith.core.decisions import Reach
from tunesmith.core.estimates import Comparison, Estimate
from tunesmith.core.findings import Finding
from tunesmith.core.judging import Corrected
from tunesmith.core.runs import Run
from tunesmith.core.splits import Certificate, Near
from tunesmith.core.task import Field, Task
from tunesmith.decision import (
    Bar,
    ContenderFacts,
    CostsConfig,
    DecisionConfig,
    Facts,
    Figures,
    TuningTime,
    cost,
    decide,
)
from tunesmith.decision.dossier import (
    ContenderPart,
    CurvePart,
    DataPart,
    DossierMaterial,
    Duel,
    HandedPart,
    Iteration,
    JudgedRow,
    JudgePart,
    Look,
    PreferredRow,
    Reproduce,
    SplitPart,
    TextPair,
    TuningPart,
)
from tunesmith.decision.facts import HandedOn, Judged, Preferred, Rated, Source

CATEGORIES = ("returns", "complaint", "product", "shipping", "billing", "account", "other")
TASK = Task(
    name="support_desk",
    fields=(
        Field(name="category", type="label", labels=CATEGORIES),
        Field(name="urgency", type="label", labels=("low", "normal", "high")),
        Field(name="order", type="value", pattern=r"\d{5}", nullable=True),
        Field(
            name="action",
            type="label",
            labels=("escalate", "decline", "start_return", "check_order", "ask_details", "answer"),
        ),
        Field(name="reply", type="text"),
    ),
    instructions="You answer for TechCo's support desk. File the message and write a first reply as JSON.",
)
PRICES = CostsConfig(
    machine_usd_per_hour=0.8,
    requests_per_month=40_000,
    person_usd_per_hour=32,
    minutes_saved_per_correct=3,
    review_minutes_per_wrong=4,
    labelling_minutes_per_example=2.5,
)
# name, kind, all_correct (value, low, high), valid, category, order, prompt tokens, answer tokens, seconds
MEASURED = (
    ("tuned", "tuned", (0.83, 0.772, 0.879), 1.0, 0.93, 0.98, 138, 62, 0.41),
    ("retrieval", "retrieval", (0.52, 0.447, 0.592), 1.0, 0.71, 0.94, 842, 66, 1.32),
    ("few_shot", "few_shot", (0.31, 0.246, 0.382), 1.0, 0.55, 0.91, 716, 64, 0.74),
    ("prompt", "prompt", (0.09, 0.055, 0.142), 0.97, 0.34, 0.85, 412, 71, 0.62),
    ("classifier", "classifier", (0.24, 0.183, 0.309), 1.0, 0.78, 0.55, 38, 0, 0.002),
    ("constant", "constant", (0.02, 0.008, 0.05), 1.0, 0.15, 0.47, 38, 0, 0.0001),
)
RUN = Run(
    name="run-1",
    config={"rank": 16, "alpha": 32, "learning_rate": 0.002, "epochs": 6, "batch_size": 16, "schedule": "cosine",
            "warmup_share": 0.05, "targets": None, "dropout": 0.0, "seed": 0},
    seed=0,
    inputs={"split": "71ac0be1d2f34a55"},
    best_step=150,
    validation_loss=0.412,
    peak_memory_bytes=2_310_000_000,
    examples_per_second=3.4,
    adapter="adapters/run-1",
    adapter_hash="c0ffee1234567890",
    seconds=1130,
    steps=192,
    stopped_early=True,
    curve=tuple(
        {"step": float(step), "train_loss": 0.3 + 1.8 * math.exp(-step / 35) + 0.04 * math.sin(step)}
        | ({} if step % 16 else {"validation_loss": 0.41 + 1.9 * math.exp(-step / 35) + 0.0012 * max(step - 150, 0)})
        for step in range(0, 193, 4)
    ),
)  # fmt: skip


def estimate(value, low, high, n=180):
    return Estimate(value=value, low=low, high=high, n=n)


def comparison(a, b, difference, low, high, p, wins=60, losses=4):
    return Comparison(a=a, b=b, metric="all_correct", difference=difference, low=low, high=high, p_value=p, p_holm=p,
                      n=180, wins=wins, losses=losses, test="McNemar, mid-p")  # fmt: skip


def desk_facts():
    """The facts where tuning pays."""
    return Facts(
        bar=Bar(metric="all_correct", value=0.75, also={"valid_rate": 0.97}),
        contenders=tuple(
            ContenderFacts(
                name=name,
                kind=kind,
                metrics={"all_correct": estimate(*figures), "valid_rate": estimate(valid, valid - 0.021, valid)},
                usd_per_thousand=seconds * 0.8 / 3.6,
            )
            for name, kind, figures, valid, *_, seconds in MEASURED
        ),
        comparisons=(
            comparison("tuned", "retrieval", 0.31, 0.232, 0.386, 2e-12),
            comparison("tuned", "prompt", 0.74, 0.668, 0.801, 1e-30, 133, 0),
        ),
        side="test",
        examples=180,
        train=712,
        certified=True,
        warnings=3,
        tuned_run="run-1",
        test_looks=1,
        inputs={"task": "0d5ab1907c1e42f1", "split": "71ac0be1d2f34a55", "bar": "9be3"},
    )


def completion(category, urgency, order, action, reply):
    return json.dumps({"category": category, "urgency": urgency, "order": order, "action": action, "reply": reply})


DUELS = (
    Duel(
        outcome="won",
        prompt="exam laptop still not here!!! order tc10583 was supposed to come yesterday, my exam starts tomorrow "
        "9am and my old one is dead. pls tell me where it is",
        expected=completion(
            *("shipping", "high", "10583", "check_order"),
            "With an exam tomorrow, we understand how much depends on this laptop. We are tracing order 10583 with the "
            "carrier and will write back within one working day.",
        ),
        answer=completion(
            *("shipping", "high", "10583", "check_order"),
            "We understand that the laptop is needed for tomorrow. We are checking order 10583 with the carrier and "
            "will write back within one working day.",
        ),
        other_answer=completion(
            *("shipping", "normal", "10583", "answer"),
            "Thank you for your message. Your order is on its way and will arrive soon.",
        ),
        contender="tuned",
        other="retrieval",
        example="5b1c9c6f03aa41d7",
    ),
    Duel(
        outcome="won",
        prompt="Guten Tag, der Akku meines Lautsprechers wird beim Laden sehr heiß und riecht verbrannt. Was tun?",
        expected=completion(
            *("product", "high", None, "escalate"),
            "Please unplug the speaker and stop using it. A burning smell needs care, so a colleague will call you "
            "within two hours.",
        ),
        answer=completion(
            *("product", "high", None, "escalate"),
            "Please stop charging the speaker and leave it unplugged. A colleague will write to you within two hours.",
        ),
        other_answer='{"category": "product", "urgency": "high", "order": null, "action":',
        contender="tuned",
        other="retrieval",
        tag="escalate",
    ),
    Duel(
        outcome="lost",
        prompt="Two orders, 33817 and 33925. The first is fine. Can the invoice of the second carry our company name?",
        expected=completion(
            *("billing", "normal", "33925", "check_order"),
            "Company details can still go onto the invoice. We are adding them to order 33925 and will write back "
            "within one working day.",
        ),
        answer=completion(
            *("billing", "normal", "33817", "check_order"),
            "We are adding the company name to the invoice of order 33817 and will write back within one working day.",
        ),
        other_answer=completion(
            *("billing", "normal", "33925", "check_order"),
            "We can change the invoice of order 33925. We will write back within one working day.",
        ),
        contender="tuned",
        other="retrieval",
        example="88d0f4b2ce5149aa",
    ),
)


def contender_parts(facts):
    parts = []
    for (name, kind, figures, valid, category, order, tokens, answer, seconds), fact in zip(
        MEASURED, facts.contenders, strict=True
    ):
        model = None if kind in ("constant", "classifier") else "smollm2-135m"
        parts.append(
            ContenderPart(
                name=name,
                kind=kind,
                metrics={
                    "all_correct": estimate(*figures),
                    "valid_rate": estimate(valid, valid - 0.021, valid),
                    "category.accuracy": estimate(category, category - 0.06, min(category + 0.05, 1)),
                    "category.macro_f1": estimate(category - 0.03, category - 0.1, category + 0.03),
                    "order.exact_match": estimate(order, order - 0.05, min(order + 0.02, 1)),
                    "reply.chrf": estimate(50 * category, 47 * category, 53 * category),
                },
                model=model,
                settings={"few_shot": {"shots": 6}, "retrieval": {"neighbours": 4, "documents": 2}}.get(kind, {}),
                instructions=TASK.instructions if model else "",
                hash=f"{len(name):x}e41d07b9c2a8f3{len(kind):x}",
                prompt_tokens=tokens if model else None,
                completion_tokens=answer if model else None,
                latency_seconds=seconds,
                usd_per_thousand=fact.usd_per_thousand,
                unreadable=5 if kind == "prompt" else 0,
                confusion={
                    "category": {
                        truth: {
                            said: 24 if said == truth else (i * 3 + j) % 5 // 3 for j, said in enumerate(CATEGORIES)
                        }
                        for i, truth in enumerate(CATEGORIES)
                    }
                },
            )
        )
    return tuple(parts)


def cost_sheets():
    figures = {
        name: Figures(name=name, prompt_tokens=tokens, completion_tokens=answer, seconds=seconds, correct_rate=right[0])
        for name, _, right, *_, tokens, answer, seconds in MEASURED
        if name in ("tuned", "retrieval", "prompt")
    }
    untuned = [cost(figures[name], PRICES, examples=264) for name in ("retrieval", "prompt")]
    return (cost(figures["tuned"], PRICES, TuningTime(RUN.seconds), 976, against=untuned[0]), *untuned)


RATED = Rated(
    side="test",
    raters=3,
    rates=(Preferred(a="tuned", b="retrieval", win_rate=Estimate(value=0.71, low=0.64, high=0.77, n=180),
                     wins=108, ties=40, losses=32),),
)  # fmt: skip
CORRECTED = Corrected(value=0.81, low=0.72, high=0.9, n=180, labels=120, informative=True, method="rogan_gladen")
JUDGED = Judged(
    may=True, because=("calibrated on 120 labels of 'overall'",), criterion="overall", model="big-judge",
    rates={"tuned": CORRECTED},
)  # fmt: skip
EXPORTS = (
    HandedOn(to="adapter", passed=True, loader="PEFT", difference=2e-6, limit=1e-4),
    HandedOn(to="gguf (merged)", passed=False, because=("log-probabilities differ by 0.3 nats",), loader="llama.cpp",
             difference=0.3, limit=0.02),
)  # fmt: skip
REACH = Reach(contender="classifier", metric="all_correct", value=0.75, now=712, examples=4100, low=2900, high=None)
SOURCES = {
    name: Source(kind=kind, hash=f"{place:016x}", path=f".tunesmith/{kind}/{place:016x}.json")
    for place, (name, kind) in enumerate(
        {"evaluation": "evaluation", "split": "split", "check": "check", "curve": "curve", "judged": "judged",
         "calibration": "calibration", "rating": "rating", "run:run-1": "run", "export:run-1": "export",
         "settings": "settings", "store": "store"}.items()
    )
}  # fmt: skip


def desk_material():
    """Everything a dossier can hold."""
    facts = replace(
        desk_facts(), sources=SOURCES, rated=RATED, judged=JUDGED, reach=REACH,
        contenders=tuple(
            replace(c, run="run-1", exports=EXPORTS) if c.kind == "tuned" else c for c in desk_facts().contenders
        ),
    )  # fmt: skip
    sheets = cost_sheets()
    sides = {"train": 0.73, "validation": 0.09, "test": 0.18}
    sizes = dict(zip(CATEGORIES, (152, 138, 149, 160, 147, 136, 94), strict=True))
    urgency = {"low": 262, "normal": 545, "high": 169}
    return DossierMaterial(
        title="TechCo support desk: filing and first replies",
        task=TASK,
        decision=decide(facts),
        side="test",
        examples=180,
        date="22 November 2026",
        contenders=contender_parts(facts),
        comparisons=facts.comparisons,
        duels=DUELS,
        costs=sheets,
        prices=PRICES.model_dump(),
        data=DataPart(
            examples=976,
            snapshot="f3d9a1be77c0e2d4",
            groups=931,
            documents=26,
            by_source={"human": 940, "expert": 36},
            by_side={"train": 712, "validation": 84, "test": 180},
            edge_cases={"ambiguous": 61, "out_of_scope": 54, "decline": 63, "escalate": 58},
            labels={
                "category": {c: {s: round(n * share) for s, share in sides.items()} for c, n in sizes.items()},
                "urgency": {c: {s: round(n * share) for s, share in sides.items()} for c, n in urgency.items()},
            },
            findings=(
                Finding(check="near_duplicates", severity="warning", problem="14 pairs of prompts are nearly the same.",
                        mend="nothing to do: `tunesmith split` keeps each pair on one side", examples=("a", "b")),
                Finding(check="quantity", severity="note", problem="976 examples: enough to tune on, and to tell a "
                        "difference of about 8 points on test.", mend="add more of the rare labels first"),
            ),
        ),
        split=SplitPart(
            certificate=Certificate(
                method="groups_and_near_duplicates", threshold=0.8, groups=931, clusters=917, largest_cluster=4,
                max_similarity_across=0.63, closest=(Near(train="a", other="b", side="test", similarity=0.63),),
                certified=True, stratification={"category": 0.31, "urgency": 0.44},
            ),
            hash="71ac0be1d2f34a55",
            seed=0,
            settings={"test": 0.18, "validation": 0.1, "by": "group"},
            set_aside={"near_test": 3},
            closest=(
                TextPair(train="Where do I find the invoice for order 11873?", side="test", similarity=0.63,
                         other="where can i find my invoice for order #20418"),
            ),
        ),
        tuning=TuningPart(run=RUN, base_model="smollm2-135m", machine="2 cores, no GPU"),
        judge=JudgePart(
            judged=JUDGED, rows=(JudgedRow(contender="tuned", raw=estimate(0.77, 0.7, 0.83), corrected=CORRECTED),),
            pairs=(PreferredRow(a="tuned", b="prompt", raw=estimate(0.7, 0.63, 0.76), corrected=CORRECTED),),
            labels=120, kappa=estimate(0.68, 0.55, 0.8, 120), true_positive_rate=estimate(0.91, 0.82, 0.96, 60),
            true_negative_rate=estimate(0.86, 0.75, 0.93, 60), attacks=(1, 50),
        ),
        rated=RATED,
        curve=CurvePart(
            contender="classifier", metric="all_correct",
            points=((178, 0.14, 0.11, 0.17), (356, 0.19, 0.16, 0.22), (712, 0.24, 0.24, 0.24)),
            says="classifier reaches all_correct 0.240 with 712 train examples: gather more.", reach=REACH,
        ),
        handed_on=(HandedPart(run="run-1", exports=EXPORTS),),
        cautions=("macro_f1 of category rests on few examples of other: its interval is rough.",),
        asked=DecisionConfig().model_dump(),
        looks=(Look(when="22 November 2026, 14:02", contenders=tuple(row[0] for row in MEASURED), note="first look"),),
        iterations=(
            Iteration(when="20 November", change="plain instructions", contender="prompt",
                      result=estimate(0.1, 0.05, 0.19, 84)),
            Iteration(when="21 November", change="nearest examples and documents in the prompt", contender="retrieval",
                      result=estimate(0.54, 0.43, 0.64, 84)),
            Iteration(when="22 November", change="LoRA of rank 16, six epochs", contender="tuned",
                      result=estimate(0.82, 0.73, 0.89, 84)),
        ),
        reproduce=Reproduce(
            versions={"tunesmith": "0.1.0", "torch": "2.13.0", "transformers": "5.23.0", "python": "3.11.2"},
            hashes={"snapshot": "f3d9a1be77c0e2d4", "split": "71ac0be1d2f34a55", "adapter": "c0ffee1234567890"},
            seeds={"split": 0, "tuning": 0, "intervals": 0},
            commands=("tunesmith init desk --from desk.jsonl", "tunesmith split", "tunesmith baseline",
                      "tunesmith tune", "tunesmith evaluate --on test", "tunesmith decide", "tunesmith report"),
        ),
        version="0.1.0",
    )  # fmt: skip
