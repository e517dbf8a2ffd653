import re
from html.parser import HTMLParser

import pytest
from msgspec.structs import replace
from tests.decision.desk import DUELS, TASK, desk_material, estimate

from tunesmith.core.decisions import Decision
from tunesmith.core.findings import Finding
from tunesmith.core.splits import Certificate, TimeOrder
from tunesmith.decision.dossier import DataPart, DossierMaterial, SplitPart, render
from tunesmith.decision.dossier.differences import differing
from tunesmith.decision.dossier.links import NUMBERS, SECTIONS
from tunesmith.decision.facts import Judged

VOID = {"meta", "br", "link", "img", "input", "hr"}
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7*7 }}</style></td>"


class Page(HTMLParser):
    """What a page holds: tags that do not close, attributes, ids, text."""

    def __init__(self, html):
        super().__init__()
        self.open, self.attributes, self.ids, self.text, self.tags = [], [], [], [], set()
        self.feed(html)
        self.close()
        assert self.open == [], "tags that are not closed"

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)

    @property
    def said(self):
        return " ".join(" ".join(self.text).split()).replace("\xa0", " ")


@pytest.fixture(scope="module")
def material():
    return desk_material()


@pytest.fixture(scope="module")
def slim(material):
    """Without plots, which take most of the time."""
    return replace(material, contenders=(), costs=(), data=None, tuning=None)


@pytest.fixture(scope="module")
def html(material):
    return render(material)


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def bare(**parts):
    decision = Decision(recommendation="mend_data", because=("The checks found 3 errors.",),
                        quality_bar={"metric": "all_correct", "value": 0.9})  # fmt: skip
    return DossierMaterial(title="Letters", task=TASK, decision=decision, side="validation", examples=40, **parts)


def test_the_dossier_asks_for_nothing_outside_and_runs_nothing(html, page):
    assert "default-src 'none'" in html
    assert not page.tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    assert all(not name.startswith("on") for name, _ in page.attributes)
    assert all(value.startswith("#") for name, value in page.attributes if name in ("href", "src", "xlink:href"))
    assert "http://" not in html and "https://" not in html and "@import" not in html
    assert not re.search(r"url\((?!#)", html)


def test_the_page_is_well_formed_and_its_links_lead_somewhere(page):
    assert len(page.ids) == len(set(page.ids))
    targets = {value[1:] for name, value in page.attributes if name == "href"}
    assert targets <= set(page.ids) and "glossary" in targets


def test_the_recommendation_and_every_reason_come_before_all_evidence(material, page):
    said = page.said
    places = [said.index(line) for line in ("Ship tuned", *material.decision.because, "The bar, and who meets it")]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("recommendation", "title"),
    [
        ("ship:few_shot", "Ship few_shot"),
        ("tune", "Fine-tune a model"),
        ("add_retrieval", "Look things up first: add retrieval"),
        ("mend_data", "Mend the data first"),
        ("gather_more", "Not yet: gather more"),
        ("too_early", "Too early to decide"),
        ("stop", "Do not fine-tune"),
    ],
)
def test_each_recommendation_has_its_headline(slim, recommendation, title):
    decision = replace(slim.decision, recommendation=recommendation)
    assert title in Page(render(replace(slim, decision=decision))).said


def test_figures_of_each_part_are_told(page):
    for words in (
        "0.77 to 0.88",  # interval of the tuned model
        "tuned over retrieval all_correct +0.31 +0.23 to +0.39 60 : 4 < 0.001 tuned is better",
        "category.macro_f1 0.90",
        "exam laptop still not here!!!",
        "What retrieval wrote cannot be read:",
        "return in 12 months",
        "Written by: human 940, expert 36.",
        "14 pairs of prompts are nearly the same.",
        "The closest pair across sides has a similarity of 0.63.",
        "where can i find my invoice for order #20418",
        "150 of 192",
        "2.3 GB",
        "first look",
        "LoRA of rank 16, six epochs",
        "tunesmith evaluate --on test",
        "c0ffee1234567890",
        "Holm's correction",
    ):
        assert words in page.said, words


def test_the_first_page_answers_what_a_manager_asks(page):
    said = page.said.partition(" Why ")[0]
    for words in (
        "What was asked The simplest way to do this task with all_correct",
        "Is the bar met? Yes, by tuned. tuned reaches 0.83; a range such as 0.77 to 0.88 holds the true",
        "What it costs tuned costs $3.64 a month to run.",
        "What may go wrong Handed on as gguf (merged) of run-1, the model does not say what was measured.",
        "The statistics carry one caution: macro_f1 of category rests on few examples",
        "What is not known Not measured: what the tuned model forgot.",
        "Next step It can be handed on again by tunesmith export run-1 --to adapter",
    ):
        assert words in said, words


def test_what_is_not_known_is_said_and_never_made_up(material):
    poor = replace(material, rated=None, judge=None, handed_on=(), costs=(), cautions=())
    said = Page(render(poor)).said.partition(" Why ")[0]
    for words in ("what the tuned model forgot", "whether it says the same when it is deployed", "rated blind",
                  "No costs were worked out."):  # fmt: skip
        assert words in said, words


def test_sections_stand_in_the_order_of_their_numbers(html):
    there = re.findall(r'<section id="([a-z]+)"', html)
    assert there == [name for name, _ in SECTIONS]


def test_each_reason_is_linked_to_what_proves_it_and_the_files_are_listed(html, material):
    why = html.partition('<section class="why"')[2].partition("</section>")[0]
    assert why.count("<li") == why.count('<span class="see">') == len(material.decision.because) - 1
    assert f'<a href="#contrasts" data-at="{NUMBERS["contrasts"]}">Differences</a>' in why
    listed = html.partition("Where the figures of each reason stand")[2]
    assert all(e.path in listed and e.part in listed for e in material.decision.evidence)


def test_opinions_curve_parity_and_cautions_are_told(page):
    for words in (
        "3 people compared answers to test examples side by side",
        "tuned over retrieval 0.71 0.64 to 0.77 108 40 32 tuned is preferred",
        "calibrated The judge big-judge may count",
        "tuned 0.77 0.81 0.72 to 0.90 180",
        "turned by orders in answers 1 of 50",
        "tuned over prompt 0.70 0.81 0.72 to 0.90 180 tuned is preferred",
        "By this curve 0.75 takes about 4,100 train examples; 95 % of refits say 2,900 to more than can be told",
        "run-1 adapter PEFT 2e-06 0.0001 the same",
        "not the same log-probabilities differ by 0.3 nats",
        "macro_f1 of category rests on few examples of other",
    ):
        assert words in page.said, words


def test_a_judge_that_may_not_decide_shows_no_rate(slim, material):
    silent = Judged(may=False, because=("it is not calibrated",), criterion="overall", model="big-judge")
    said = Page(render(replace(slim, judge=replace(material.judge, judged=silent)))).said
    assert "decides nothing What the judge big-judge says is its opinion" in said
    assert "as people would pass" not in said


def test_two_pages_are_compared_by_what_a_reader_sees(html):
    changed = html.replace("0.83", "0.93", 1)
    (found,) = differing(changed, html)
    assert (found.shown, found.found) == ("0.93", "0.83")
    assert list(differing(html, html)) == []


def test_right_and_wrong_fields_of_an_example_are_marked(slim):
    lost = next(duel for duel in DUELS if duel.outcome == "lost")
    said = Page(render(replace(slim, duels=(lost,)))).said
    assert "order 33925 ✗ wrong 33817 ✓ right 33925" in said
    assert "Lost: only retrieval is right" in said and "Won:" not in said


def test_missing_costs_are_a_reference_to_their_reason_and_never_zero(page):
    assert "Why a figure is missing: nothing was tuned for it" in page.said
    assert "retrieval $0.29 $11.73 see 1" in page.said
    assert "machine hours per month not set" in page.said


def test_whatever_users_and_models_write_is_text(material):
    duel = replace(DUELS[0], prompt=EVIL, expected=EVIL, answer=EVIL, other_answer=EVIL, contender=EVIL, tag=EVIL)
    contender = replace(material.contenders[0], name=EVIL, instructions=EVIL, settings={EVIL: EVIL}, model=EVIL,
                        confusion={EVIL: {EVIL: {EVIL: 3, "a": 1}}})  # fmt: skip
    finding = Finding(check=EVIL, severity="error", problem=EVIL, mend=EVIL)
    data = DataPart(examples=3, by_source={EVIL: 3}, labels={EVIL: {EVIL: {"train": 3}}}, findings=(finding,))
    decision = replace(material.decision, because=(EVIL, EVIL), recommendation=f"ship:{EVIL}")
    html = render(
        replace(material, title=EVIL, duels=(duel,), contenders=(contender, *material.contenders[1:]), data=data,
                decision=decision, overrides=(EVIL,), prices={EVIL: 1.0},
                costs=(replace(material.costs[0], contender=EVIL, reasons={"tuning_usd": EVIL}, tuning_usd=None),))
    )  # fmt: skip
    page = Page(html)
    assert not page.tags & {"script", "img"}
    assert all(not name.startswith("on") for name, _ in page.attributes)
    assert html.count("</style>") == 1
    assert "alert(1)" in page.said and "{{ 7*7 }}" in page.said


def test_texts_that_a_page_cannot_hold_are_replaced(slim):
    html = render(replace(slim, title="a\x00b\x1b\ud800c\r\nd"))
    assert "a�b��c\nd" in html
    html.encode("utf-8")


def test_a_long_text_is_cut_and_says_how_much_is_missing(slim):
    duel = replace(DUELS[0], prompt="word " * 1000)
    assert "(4,400 more characters)" in Page(render(replace(slim, duels=(duel,)))).said


def test_guards_that_were_passed_stand_in_sight(slim, page):
    assert "Guards passed by hand" not in page.said
    html = render(replace(slim, overrides=("Tuned although `check` found 2 errors (--anyway).",)))
    said = Page(html).said
    assert said.index("Tuned although") < said.index("The bar, and who meets it")


def test_commands_in_a_reason_stand_as_code_and_a_lone_backtick_stays(slim):
    decision = replace(slim.decision, because=("Run `tunesmith tune` & <wait>.", "A ` alone."), evidence=())
    html = render(replace(slim, decision=decision))
    assert '<p class="lead" dir="auto">Run <code>tunesmith tune</code> &amp; &lt;wait&gt;.</p>' in html
    assert '<li dir="auto">A ` alone.</li>' in html


def test_a_dossier_can_be_made_before_anything_is_measured():
    said = Page(render(bare())).said
    for words in (
        "Nothing has been measured on validation yet.",
        "No two contenders have been compared yet.",
        "No model has been tuned.",
        "The examples have not been split.",
        "No costs were worked out.",
        "No look at the test set is on record.",
    ):
        assert words in said


def test_a_split_that_is_not_certified_is_not_called_free_of_leaks():
    certificate = Certificate(method="groups", threshold=0.8, groups=3, clusters=3, largest_cluster=1,
                              max_similarity_across=0.97, problems=("2 groups stand on two sides",))  # fmt: skip
    said = Page(render(bare(split=SplitPart(certificate=certificate)))).said
    assert "not certified" in said and "2 groups stand on two sides" in said
    assert "why it does not leak" not in said


def test_a_split_by_time_tells_when_its_sides_begin_and_end():
    order = TimeOrder(earliest={"train": "2026-01-01", "validation": "2026-02-01", "test": "2026-03-01"},
                      latest={"train": "2026-01-31", "validation": "2026-02-28", "test": "2026-03-31"})  # fmt: skip
    certificate = Certificate(method="groups", threshold=0.8, groups=3, clusters=3, largest_cluster=1,
                              max_similarity_across=0.3, certified=True, time=order)  # fmt: skip
    said = Page(render(bare(split=SplitPart(certificate=certificate)))).said
    assert "it asks for what came after training" in said
    assert "test in time 2026-03-01 to 2026-03-31" in said
    without = Page(render(bare(split=SplitPart(certificate=replace(certificate, time=None))))).said
    assert "in time" not in without and "after training" not in without


def test_checks_that_were_not_run_are_not_told_as_clean():
    assert "have not been run" in Page(render(bare(data=DataPart(examples=3, checked=False)))).said
    assert "The checks found nothing." in Page(render(bare(data=DataPart(examples=3)))).said


def test_a_task_of_one_plain_label_has_its_examples_side_by_side(slim):
    duel = replace(DUELS[0], expected="refund", answer="refund", other_answer="invoice")
    task = replace(TASK, fields=(TASK.fields[0],), format="plain")
    said = Page(render(replace(slim, task=task, duels=(duel,)))).said
    assert "expected refund tuned refund retrieval invoice" in said


def test_the_same_material_gives_the_same_bytes(material, html):
    assert render(material) == html


def test_the_first_page_says_why_the_bar_is_not_shown_to_be_met(material):
    contenders = tuple(c for c in material.contenders if c.name == "tuned")
    good = replace(contenders[0], metrics={"all_correct": estimate(0.92, 0.88, 0.95)}, failed=60)
    alone = replace(material.decision, quality_bar=material.decision.quality_bar | {"also": {}})
    lost = replace(material, contenders=(good,), decision=alone)
    assert "answers without a score count as wrong (60 of tuned)" in Page(render(lost)).said
    bar = material.decision.quality_bar | {"also": {"macro_f1": 0.5}}
    unmeasured = replace(
        material, contenders=(replace(good, failed=0),), decision=replace(material.decision, quality_bar=bar)
    )
    assert "tuned may reach it, and macro_f1 was not measured" in Page(render(unmeasured)).said
    stale = replace(material, decision=replace(material.decision, rule="stale"))
    assert "By figures that decide nothing as they are: yes, by tuned" in Page(render(stale)).said


@pytest.mark.parametrize(
    ("reason", "told"),
    [("3 answers say nothing of their tokens", "3 answers say nothing of their tokens"),
     ("costs.machine_usd_per_hour is not set in tunesmith.yaml", "no prices are set")],
)  # fmt: skip
def test_why_a_price_is_not_known_stands_beside_it(reason, told):
    material = desk_material()
    sheets = tuple(replace(s, usd_per_thousand=None, reasons={"usd_per_thousand": reason}) for s in material.costs)
    contenders = tuple(replace(c, usd_per_thousand=None) for c in material.contenders)
    said = Page(render(replace(material, costs=sheets, contenders=contenders))).said
    assert f"not known {told}" in said
