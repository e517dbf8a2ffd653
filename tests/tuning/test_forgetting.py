"""General items and texts, what is read of them, and the losses that follow."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.models.tiny import build_adapter, build_tiny

from tunesmith.core.errors import NothingToMeasure, TunesmithError
from tunesmith.core.forgetting import Loss, Read, Unmeasurable
from tunesmith.models.engine import Engine
from tunesmith.tuning.forgetting.losses import judge, loss_of_bits, loss_of_items, loss_of_means, loss_of_sets
from tunesmith.tuning.forgetting.material import bundled_items, bundled_text, named_text
from tunesmith.tuning.forgetting.reading import Reader


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forgetting")
    build_adapter(build_tiny(folder / "tiny"), folder / "loud", scale=3.0)
    build_adapter(folder / "tiny", folder / "silent", scale=0.0)
    return Engine(folder / "tiny", dtype="float32"), folder


# What is read.


def test_bundled_items_are_several_hundred_each_with_one_right_end():
    items = bundled_items()
    assert len(items) >= 500
    assert {item.set for item in items} == {"facts", "grammar", "numbers", "reading", "sense", "words"}
    assert len({(item.set, item.context, item.options) for item in items}) == len(items)
    for item in items:
        assert len(item.options) in (2, 4)
        assert len(set(item.options)) == len(item.options), item
        assert all(part == part.strip() and part for part in (item.context, *item.options)), item
    asked = [(item.set, item.context) for item in items if item.set != "grammar"]
    assert len(set(asked)) == len(asked)


def test_sums_among_the_items_are_right():
    for item in bundled_items():
        words = item.context.split()
        if item.set == "numbers" and item.context.endswith("="):
            a, sign, b = int(words[0]), words[1], int(words[2])
            assert item.options[0] == str(a + b if sign == "+" else a - b)
        if item.set == "numbers" and "times" in words:
            assert item.options[0] == str(int(words[0]) * int(words[2]))


def test_bundled_text_is_long_enough_for_a_small_interval():
    text = bundled_text()
    assert sum(len(piece.encode()) for piece in text.pieces) >= 30_000
    assert len(text.pieces) >= 30
    assert len(set(text.pieces)) == len(text.pieces)


def test_a_file_is_read_in_pieces_that_hold_all_of_it(tmp_path):
    words = [f"word{n}" for n in range(5000)]
    paragraphs = [" ".join(words[at : at + size]) for at, size in [(0, 40), (40, 2000), (2040, 10), (2050, 2950)]]
    file = tmp_path / "text.txt"
    file.write_text("\n\n".join(paragraphs), encoding="utf-8")
    pieces = named_text(file, "text.txt").pieces
    assert " ".join(pieces).split() == words
    assert all(400 <= len(piece.encode()) < 3000 for piece in pieces)


def test_text_without_spaces_and_a_long_file_are_read_too(tmp_path):
    file = tmp_path / "text.txt"
    file.write_text("日本語" * 3000, encoding="utf-8")
    assert "".join(named_text(file, "t").pieces) == "日本語" * 3000
    file.write_text("\n\n".join(f"{n} " * 400 for n in range(1000)), encoding="utf-8")
    pieces = named_text(file, "t").pieces
    assert len(pieces) == 200
    assert pieces[-1].startswith("99")  # spread over the whole file


def test_a_short_file_and_one_that_is_no_text_are_refused(tmp_path):
    file = tmp_path / "short.txt"
    file.write_text("a few words", encoding="utf-8")
    with pytest.raises(NothingToMeasure, match=r"short\.txt holds 11 bytes"):
        named_text(file, "short.txt")
    file.write_bytes(b"\xff\xfe" * 5000)
    with pytest.raises(TunesmithError, match="not UTF-8"):
        named_text(file, "short.txt")


# How it is read.


def test_bits_of_a_text_are_those_of_its_tokens(engine):
    model, _ = engine
    reader = Reader(model)
    text = "where is my parcel, please? " * 3
    ids = [reader._mark(), *model.template.tokenizer(text)["input_ids"]]
    import torch
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(engine[1] / "tiny", dtype=torch.float32)
    with torch.no_grad():
        loss = plain(torch.tensor([ids]), labels=torch.tensor([ids])).loss.item()
    assert reader.bits([text])[0] == pytest.approx(loss * (len(ids) - 1) / math.log(2), rel=1e-4)


def test_a_text_longer_than_the_context_is_read_in_windows(engine):
    reader = Reader(engine[0])
    long = " ".join(str(n) for n in range(600))
    windows = reader._windows(long)
    assert len(windows) > 1
    assert [i for w in windows for i in w.options[0]] == reader._ids(long)
    assert all(len(w.context) + len(w.options[0]) <= engine[0].context for w in windows)


def test_an_end_that_changes_how_the_beginning_is_cut_is_still_wholly_read(engine):
    reader = Reader(engine[0])
    question = reader.asked("the par", ["cel", " x"])
    whole = [[*question.context, *option] for option in question.options]
    assert whole == [reader._ids("the parcel"), reader._ids("the par x")]


def test_a_beginning_longer_than_the_context_loses_its_first_tokens(engine):
    reader = Reader(engine[0])
    question = reader.asked("lamp " * 2000, ["yes", "no"])
    assert len(question.context) + max(map(len, question.options)) == engine[0].context


def test_a_silent_adapter_reads_to_the_bit_as_the_base_and_a_loud_one_is_found(engine):
    model, folder = engine
    text = bundled_text()
    base, silent, loud = (
        Reader(model, adapter).text(text) for adapter in (None, str(folder / "silent"), str(folder / "loud"))
    )
    assert silent == base
    (loss,) = judge([loss_of_bits("text:general", base, silent)])
    assert (loss.loss, loss.low, loss.high, loss.verdict, loss.least) == (0, 0, 0, "not_seen", 0.001)
    (loss,) = judge([loss_of_bits("text:general", base, loud)])
    assert loss.verdict == "forgot"
    assert loss.loss > loss.least


def test_a_random_model_says_nothing_about_items(engine):
    items = bundled_items()
    read = Reader(engine[0]).items(items)
    whole, left_out = loss_of_sets([item.set for item in items], read, read)
    assert whole is None
    assert {u.name for u in left_out} == {item.set for item in items}
    assert all("not shown to be well above" in u.because for u in left_out)


# Losses.


def marks(right: int, wrong: int, options: int = 4) -> Read:
    n = right + wrong
    return Read(values=(1.0,) * right + (0.0,) * wrong, sizes=(float(options),) * n)


def test_the_loss_of_items_is_paired():
    base = Read(values=(1.0,) * 80 + (0.0,) * 20, sizes=(4.0,) * 100)
    tuned = Read(values=(0.0,) * 15 + (1.0,) * 65 + (1.0,) * 5 + (0.0,) * 15, sizes=(4.0,) * 100)
    loss = loss_of_items("items", base, tuned)
    assert isinstance(loss, Loss)
    assert (loss.lost, loss.gained, loss.n, loss.chance) == (15, 5, 100, 0.25)
    assert loss.loss == pytest.approx(0.10)
    # Newcombe's method 10 by hand: Wilson (0.7112, 0.8666) and (0.6042, 0.7811), phi 850 / 1833.0 = 0.4637
    assert (loss.low, loss.high) == pytest.approx((0.0118, 0.1877), abs=2e-4)
    assert loss.p_value == pytest.approx(0.0266, abs=1e-3)  # McNemar mid-p of 5 in 20
    assert judge([loss])[0].verdict == "forgot"


def test_a_base_at_chance_is_unmeasurable_whatever_the_tuned_one_does():
    found = loss_of_items("facts", marks(30, 70), marks(0, 100))
    assert isinstance(found, Unmeasurable)
    assert found.chance == 0.25
    assert "0.30 [0.22, 0.40] right, not shown to be well above the 0.25 of guessing" in found.because


def test_only_sets_above_chance_count():
    names = ["easy"] * 100 + ["hard"] * 100
    base = Read(values=marks(90, 10).values + marks(25, 75).values, sizes=(4.0,) * 200)
    tuned = Read(values=marks(60, 40).values + (0.0,) * 100, sizes=(4.0,) * 200)
    whole, left_out = loss_of_sets(names, base, tuned)
    assert (whole.n, whole.loss) == (100, pytest.approx(0.3))
    assert [part.name for part in whole.parts] == ["easy"]
    assert [u.name for u in left_out] == ["hard"]


def test_noise_without_a_loss_is_seldom_called_forgetting():
    random, called = np.random.default_rng(0), 0
    for _ in range(200):
        sizes = random.uniform(600, 1000, 37)
        bits = sizes * random.normal(1.0, 0.2, 37)
        base = Read(values=tuple(bits), sizes=tuple(sizes))
        tuned = Read(values=tuple(bits + sizes * random.normal(0, 0.02, 37)), sizes=tuple(sizes))
        called += judge([loss_of_bits("t", base, tuned)])[0].verdict == "forgot"
    assert called <= 12  # 5 % two-sided, of which half is a loss: 5 of 200 expected


def test_several_measures_are_corrected_together():
    weak = loss_of_items("items", marks(80, 20), Read(values=(0.0,) * 15 + (1.0,) * 65 + (1.0,) * 5 + (0.0,) * 15))
    none = loss_of_items("items", marks(80, 20), marks(80, 20))
    assert judge([weak])[0].verdict == "forgot"
    assert judge([weak, none])[0].verdict == "not_seen"  # p 0.027 twice is above 0.05


def test_a_mean_that_should_be_low_is_lost_when_it_rises():
    base, worse = (
        Read(values=tuple(float(n % 7) for n in range(60))),
        Read(values=tuple(n % 7 + 1.0 for n in range(60))),
    )
    assert loss_of_means("task:x", "ter", base, worse, higher_is_better=False).loss == pytest.approx(1)
    assert loss_of_means("task:x", "f1", base, worse, higher_is_better=True).loss == pytest.approx(-1)
