import re
import threading
import xml.etree.ElementTree as ET
from functools import cache

import pytest

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.plots import (
    STYLE,
    Amount,
    Interval,
    Line,
    amounts,
    confusion,
    curve,
    growth,
    intervals,
    label_balance,
)

ROWS = [
    Interval("tuned", 0.86, 0.81, 0.90, "0.86 (0.81 to 0.90)"),
    Interval("retrieval", 0.78, 0.72, 0.84, "0.78 (0.72 to 0.84)"),
    Interval("prompt", 0.51, 0.43, 0.58, "0.51 (0.43 to 0.58)"),
]
POINTS = [{"step": 0, "validation_loss": 2.0}, {"step": 5, "train_loss": 1.0}, {"step": 10, "validation_loss": 0.8}]
NASTY = "<script>alert(1)</script> $\\frac{$ & 日本語 مرحبا 🎉 \x00\x1b\n\u202e"
TABLE = {"a": {"a": 8, "b": 2}, "b": {"b": 5, NASTY: 1}}
BALANCE = {"a": {"train": 7, "test": 2}, NASTY: {"train": 1}}

DRAWN = {
    "intervals": lambda: intervals(
        [*ROWS, ROWS[0]._replace(name=NASTY)], bar=0.8, bar_text="bar 0.80", axis="all_correct"
    ),
    "amounts": lambda: amounts([Amount("prompt", 0.3, "$0.30"), Amount(NASTY, None, "not known")], axis=NASTY),
    "curve": lambda: curve(POINTS, best_step=10),
    "curve with a mixture": lambda: curve([p | {"general_validation_loss": 1.5} for p in POINTS], best_step=10),
    "confusion": lambda: confusion(TABLE),
    "label_balance": lambda: label_balance(BALANCE),
    "growth": lambda: growth([Line(NASTY, ((10, 1.5), (1000, 200.0)))], across="rows", up="seconds"),
}
first_draw = cache(lambda name: DRAWN[name]())
each_plot = pytest.mark.parametrize("name", DRAWN)


def texts(svg):
    return ["".join(node.itertext()).strip() for node in ET.fromstring(svg).iter() if node.tag.endswith("text")]


@each_plot
def test_every_plot_is_one_svg_element_that_asks_for_nothing_outside(name):
    svg = first_draw(name)
    root = ET.fromstring(svg)  # a control character, or a < that was not escaped, would not parse
    assert root.tag == "svg" and root.get("role") == "img" and root.get("aria-label")
    assert "<script" not in svg and "http" not in svg and "<style" not in svg and "<image" not in svg
    assert not re.search(r'href="(?!#)|url\((?!#)', svg)


@each_plot
def test_the_same_data_gives_the_same_bytes(name):
    assert DRAWN[name]() == first_draw(name)


@each_plot
def test_plots_share_a_page_without_sharing_ids(name):
    mine = set(re.findall(r' id="([^"]+)"', first_draw(name)))
    others = {i for other in DRAWN if other != name for i in re.findall(r' id="([^"]+)"', first_draw(other))}
    assert not mine & others
    assert set(re.findall(r'(?:url\(#|href="#)([^)"]+)', first_draw(name))) == mine


def test_names_and_values_stand_as_text_and_the_order_is_kept():
    said = texts(intervals(ROWS, bar=0.8, bar_text="bar 0.80"))
    assert [word for word in said if word in {row.name for row in ROWS}] == ["tuned", "retrieval", "prompt"]
    assert "0.86 (0.81 to 0.90)" in said and "bar 0.80" in said
    assert any(NASTY[:20] in word for word in texts(first_draw("intervals")))  # neither run nor read as a formula


def test_met_missed_and_not_shown_differ_in_colour_and_in_shape():
    marks = {}
    for row in ROWS:
        svg = intervals([row], bar=0.8)
        shape = re.search(r"<defs>\s*<path id=\"[^\"]+\" d=\"([^\"]+)\"", svg)[1].count(
            "C"
        )  # curves: a circle has some
        marks[row.name] = (shape > 0, re.search(r"<use [^>]*style=\"fill: (#\w+)", svg)[1])
    assert marks == {"tuned": (True, "#0072b2"), "retrieval": (True, "#ffffff"), "prompt": (False, "#c4500a")}


def test_the_line_of_general_rows_is_drawn_and_named_where_there_is_one():
    assert "general" in texts(first_draw("curve with a mixture"))
    assert "general" not in texts(first_draw("curve"))


def test_a_label_on_a_scale_to_a_hundred_and_negative_differences_fit_the_axis():
    svg = intervals([Interval("chrf", 46, 44, 49, "46"), Interval("other", -3, -5, 1, "−3")], bar=45)
    places = [float(x) for x in re.findall(r"<use [^>]*x=\"([\d.]+)\"", svg)]
    assert places and all(0 < x < 518.4 for x in places)


def test_only_the_commonest_labels_have_a_row_and_no_count_is_lost():
    table = {f"label-{i:02d}": {f"label-{i:02d}": 40 - i, "label-29": 1} for i in range(29)}
    said = texts(confusion(table, top=5))
    assert [word for word in said if word.startswith("label-")][:5] == [f"label-0{i}" for i in range(5)]
    assert "label-06" not in said
    outside = texts(confusion({"a": {"a": 3, "b": 1, "c": 2}}, top=1))
    assert "(others)" in outside and "3" in outside  # b and c together
    assert "30 examples" not in said and "others" in " ".join(
        texts(label_balance({str(i): {"train": 1} for i in range(30)}))
    )


@pytest.mark.parametrize(
    "draw",
    [
        lambda: intervals([]),
        lambda: amounts([Amount("prompt", None, "not known")]),
        lambda: curve([{"step": 1}]),
        lambda: confusion({}),
        lambda: label_balance({"a": {"train": 0}}),
        lambda: growth([], across="rows", up="seconds"),
    ],
)
def test_nothing_to_plot_is_said_and_not_drawn(draw):
    with pytest.raises(NothingToMeasure, match="nothing to plot"):
        draw()


def test_plots_leave_the_process_settings_alone_and_may_be_drawn_from_threads():
    import matplotlib as mpl

    before = {name: mpl.rcParams[name] for name in STYLE}
    alone = intervals(ROWS, bar=0.8)
    drawn = []
    threads = [threading.Thread(target=lambda: drawn.append(intervals(ROWS, bar=0.8))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert drawn == [alone] * 4
    assert {name: mpl.rcParams[name] for name in STYLE} == before
