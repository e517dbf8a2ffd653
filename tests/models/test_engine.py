import itertools
import threading
import time

import pytest
import torch
from tests.models.tiny import build_tiny, build_tokenizer
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GptOssConfig,
    GptOssForCausalLM,
    MambaConfig,
    MambaForCausalLM,
)

from tunesmith.core.contenders import Decoding, Request
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Message
from tunesmith.models.engine import Engine, attention, loading, rows
from tunesmith.models.pull import pull

WORDS = [
    "the",
    "order",
    "has",
    "not",
    "arrived",
    "please",
    "refund",
    "the",
    "broken",
    "lamp",
    "thank",
    "you",
    "where",
    "is",
    "my",
    "parcel",
]
HEAD = Message(role="system", content="You answer for the support desk. " * 4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build_tiny(tmp_path_factory.mktemp("engine") / "tiny")


@pytest.fixture
def engine(folder):
    return Engine(folder, batch_size=4, dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def plain(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def request(text, *, head=HEAD, **decoding):
    asked = Message(role="user", content=text)
    return Request(messages=(head, asked) if head else (asked,), decoding=Decoding(**{"max_tokens": 20, **decoding}))


def some_requests(count=11):
    """Prompts of 1 to 9 words on one system message, each with another limit."""
    return [
        request(" ".join(WORDS[i % 6 : i % 6 + 1 + (5 * i) % 9]) + f" {i}", max_tokens=6 + (7 * i) % 23)
        for i in range(count)
    ]


def assert_same_as_generate(engine, plain, requests, replies):
    """Texts equal those of `generate`, one prompt at a time, but after a step whose two best logits are 1e-4 apart."""
    template = engine.template
    for asked, reply in zip(requests, replies, strict=True):
        prompt = torch.tensor([template.prompt_ids(asked.messages)])
        out = plain.generate(
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=asked.decoding.max_tokens, do_sample=False,
            eos_token_id=sorted(template.end_ids), pad_token_id=template.pad_id,
            return_dict_in_generate=True, output_logits=True,
        )  # fmt: skip
        ids = out.sequences[0, prompt.shape[1] :].tolist()
        best = torch.stack(out.logits)[:, 0].topk(2).values
        ties = (best[:, 0] - best[:, 1] < 1e-4).nonzero().flatten().tolist()
        sure = ids[: ties[0]] if ties else ids
        ended = bool(ids) and ids[-1] in template.end_ids
        expected = template.decode([i for i in sure if i not in template.end_ids])
        if ties:
            assert reply.text.startswith(expected.rstrip("\ufffd"))
            continue
        assert reply.text == expected
        assert reply.finish_reason == ("stop" if ended else "length")
        assert reply.completion_tokens == len(ids) - ended
        assert reply.prompt_tokens == prompt.shape[1]


def in_order(engine, requests):
    replies = dict(engine.answers(requests))
    assert sorted(replies) == list(range(len(requests)))
    return [replies[i] for i in range(len(requests))]


def count_tokens(engine, counted):
    """Append to ``counted`` how many tokens each run of the model reads."""
    return engine.model.register_forward_pre_hook(
        lambda module, args, kwargs: counted.append(kwargs["input_ids"].numel()), with_kwargs=True
    )


def test_batched_rows_say_what_generate_says_one_by_one(engine, plain):
    requests = some_requests()
    assert_same_as_generate(engine, plain, requests, in_order(engine, requests))


def test_prompts_without_a_common_beginning_say_the_same_too(engine, plain):
    requests = [request(text, head=None) for text in ("where is it", "refund", "thank you " * 9, "x")]
    requests = [Request(messages=(Message(role=role, content=r.messages[0].content),), decoding=r.decoding)
                for role, r in zip(("user", "tool", "system", "user"), requests, strict=True)]  # fmt: skip
    assert_same_as_generate(engine, plain, requests, in_order(engine, requests))


def test_a_model_that_ends_early_frees_its_slots_for_waiting_rows(engine, plain):
    counts = {}
    for reply in in_order(engine, some_requests()):
        for token in engine.template.tokenizer(reply.text, add_special_tokens=False)["input_ids"]:
            counts[token] = counts.get(token, 0) + 1
    common = sorted(counts, key=counts.get)[-3:]  # tokens it likes: with them as ends, rows stop at different steps
    engine.template.end_ids |= set(common)
    requests = some_requests(17)
    replies = in_order(engine, requests)
    assert {r.finish_reason for r in replies} == {"stop", "length"}
    assert_same_as_generate(engine, plain, requests, replies)


def test_long_prompts_are_read_in_pieces_and_say_the_same(engine, plain, monkeypatch):
    monkeypatch.setattr(rows, "ROW_CHUNK", 13)
    requests = [request(" ".join(WORDS * n), head=None) for n in (1, 2, 3)]
    assert_same_as_generate(engine, plain, requests, in_order(engine, requests))


@pytest.mark.parametrize("block", [1, 5])
def test_queries_computed_block_by_block_say_the_same(engine, plain, monkeypatch, block):
    monkeypatch.setattr(attention, "BLOCK", block)
    requests = some_requests(5)
    assert_same_as_generate(engine, plain, requests, in_order(engine, requests))


@pytest.mark.parametrize("piece", [1024, 23])
@pytest.mark.parametrize("head", [HEAD, None])
def test_long_prompts_by_themselves_say_the_same_beside_short_ones(engine, plain, monkeypatch, head, piece):
    monkeypatch.setattr(rows, "ROW_CHUNK", piece)
    monkeypatch.setattr(rows, "LONG", 17)
    monkeypatch.setattr(attention, "BLOCK", 7)
    seen = []
    run_alone = attention.Part._alone
    monkeypatch.setattr(attention.Part, "_alone", lambda part, *a: seen.append(part.width) or run_alone(part, *a))
    requests = [request(" ".join(WORDS[:n] * 2), head=head) for n in (1, 9, 2, 14, 16, 1)]
    assert_same_as_generate(engine, plain, requests, in_order(engine, requests))
    assert max(seen) > 17  # longer than a block, so that blocks see those before


@pytest.mark.parametrize("most", [1, 300])
def test_rows_computed_a_few_at_a_time_say_the_same(engine, plain, monkeypatch, most):
    monkeypatch.setattr(attention, "MOST_SCORES", most)
    requests = some_requests(9)
    assert_same_as_generate(engine, plain, requests, in_order(engine, requests))


def test_rows_reply_in_whatever_order_they_finish_and_each_once(engine):
    requests = [request("thank you", max_tokens=n) for n in (30, 2, 9)]
    assert [index for index, _ in engine.answers(requests)] == [1, 2, 0]


def test_no_requests_have_no_replies(engine):
    assert list(engine.answers([])) == []


def test_the_common_beginning_is_read_once_and_not_again_in_the_next_call(engine):
    requests = some_requests(6)
    prompts = [len(engine.template.prompt_ids(r.messages)) for r in requests]
    counted = []
    with count_tokens(engine, counted):
        replies = in_order(engine, requests)
        first_call = sum(counted)
        counted.clear()
        in_order(engine, requests)
    head = len(engine._shelf._held.popitem()[1])
    assert head > 60
    # each row reads its own part of the prompt and every token it wrote but the last
    own = sum(n - head for n in prompts) + sum(r.completion_tokens - 1 for r in replies)
    assert first_call == head + own
    assert sum(counted) == own


def test_prompts_that_come_one_at_a_time_share_with_the_one_before(engine, plain):
    first, second, third = some_requests(3)
    counted = []
    with count_tokens(engine, counted):
        replies = [in_order(engine, [r])[0] for r in (first, second, third)]
    assert_same_as_generate(engine, plain, [first, second, third], replies)
    read = sum(counted)
    alone = sum(r.prompt_tokens + r.completion_tokens - 1 for r in replies)
    head = len(next(iter(engine._shelf._held.values())))
    assert read == alone - head  # the third finds what the second stored


def test_generation_stops_at_the_first_stop_string_and_leaves_it_out(engine):
    free = in_order(engine, [request("where is my parcel", max_tokens=40)])[0]
    at = len(free.text) // 2
    stop = free.text[at : at + 3]
    reply = in_order(engine, [request("where is my parcel", max_tokens=40, stop=("never there", stop))])[0]
    assert reply.text == free.text[: free.text.find(stop)]
    assert reply.finish_reason == "stop"
    assert reply.completion_tokens < free.completion_tokens


def test_a_prompt_longer_than_the_context_is_answered_with_the_problem(engine):
    long, short = request("parcel " * 300), request("parcel")
    bad, good = in_order(engine, [long, short])
    tokens = len(engine.template.prompt_ids(long.messages))
    assert bad.finish_reason == "error"
    assert bad.problem == f"prompt of {tokens} tokens exceeds context of 512"
    assert bad.prompt_tokens == tokens and bad.text == ""
    assert good.problem is None and good.text


def test_a_completion_ends_where_the_context_does(engine):
    asked = request("", head=None, max_tokens=1000)
    padding = 512 - len(engine.template.prompt_ids(asked.messages)) - 9
    reply = in_order(engine, [request("\x01" * padding, head=None, max_tokens=1000)])[0]
    assert (reply.prompt_tokens, reply.completion_tokens, reply.finish_reason) == (503, 9, "length")


def test_times_of_the_rows_add_up_to_the_time_of_the_batch(engine):
    begun = time.perf_counter()
    replies = in_order(engine, some_requests())
    passed = time.perf_counter() - begun
    assert 0.3 * passed < sum(r.seconds for r in replies) <= passed
    assert all(0 < r.first_token_seconds <= passed for r in replies)


def test_progress_is_told_each_finished_row(engine):
    told = []
    requests = [*some_requests(5), request("parcel " * 300)]
    replies = list(engine.answers(requests, lambda done, total, note="": told.append((done, total))))
    assert told == [(n, 6) for n in range(1, 7)]
    assert len(replies) == 6


def test_an_interrupt_leaves_the_engine_as_it_was(engine):
    requests = some_requests()
    before = [r.text for r in in_order(engine, requests)]

    def interrupt(done, total, note=""):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(engine.answers(requests, interrupt))
    assert attention.current_pass() is None
    assert list(itertools.islice(engine.answers(requests), 2))  # left early
    assert [r.text for r in in_order(engine, requests)] == before


def test_an_error_in_the_model_is_not_swallowed(engine):
    def fail(module, args):
        raise RuntimeError("out of memory")

    handle = engine.model.get_submodule("model.layers.1").register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        list(engine.answers(some_requests(3)))
    handle.remove()
    assert attention.current_pass() is None
    assert len(list(engine.answers(some_requests(3)))) == 3


def test_two_threads_get_what_one_gets(engine):
    requests = some_requests(9)
    alone = [r.text for r in in_order(engine, requests)]
    got = {}
    threads = [threading.Thread(target=lambda n=n: got.update({n: in_order(engine, requests)})) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [[r.text for r in got[n]] for n in range(2)] == [alone, alone]


def test_a_draw_depends_on_its_seed_and_not_on_the_batch(engine):
    one = request("thank you", temperature=0.8, top_p=0.9, seed=7, max_tokens=12)
    alone = in_order(engine, [one])[0].text
    crowd = in_order(engine, [*some_requests(5), one])[5].text
    others = {
        in_order(engine, [request("thank you", temperature=0.8, seed=s, max_tokens=12)])[0].text for s in range(5)
    }
    assert crowd == alone
    assert len(others) > 1


def test_tokens_of_all_rows_stay_below_batch_tokens(folder):
    narrow = Engine(folder, batch_size=8, batch_tokens=60, dtype="float32", device="cpu")
    counted = []
    with count_tokens(narrow, counted):
        in_order(narrow, [request("thank you", max_tokens=25) for _ in range(6)])
    # own prompt below 35 tokens and 25 to come: never more than two rows at once, so no step of decoding reads three
    assert counted.count(1) + counted.count(2) >= 24 * 3


def test_a_folder_without_a_model_says_how_to_get_one(tmp_path):
    with pytest.raises(TunesmithError, match="tunesmith model pull"):
        loading.load_model(tmp_path, "auto", "cpu")


def test_pickled_weights_are_refused(folder, tmp_path):
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(TunesmithError, match=r"model\.safetensors"):
        loading.load_model(tmp_path, "float32", "cpu")


def test_an_unknown_number_format_lists_the_known(folder):
    with pytest.raises(TunesmithError, match="choose auto, float32"):
        loading.load_model(folder, "int3", "cpu")


def test_attention_that_bends_its_scores_says_what_generate_says(tmp_path):
    tokenizer = build_tokenizer()
    config = Gemma2Config(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        head_dim=8, vocab_size=len(tokenizer), attn_logit_softcapping=0.5, final_logit_softcapping=3.0,
        initializer_range=0.5, pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    Gemma2ForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    engine = Engine(tmp_path, batch_size=4, dtype="float32", device="cpu")
    requests = [*some_requests(), request(" ".join(WORDS * 20), max_tokens=9)]  # the last one is a part of its own
    assert_same_as_generate(engine, plain, requests, in_order(engine, requests))


def test_attention_with_sinks_is_refused_not_run_without_them(tmp_path):
    config = GptOssConfig(
        hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        head_dim=8, vocab_size=99, num_local_experts=2, num_experts_per_tok=1, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    GptOssForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(TunesmithError, match=r"cannot run models of type 'gpt_oss' .*its attention has sinks"):
        loading.load_model(tmp_path, "float32", "cpu")


def test_an_attention_that_comes_out_otherwise_is_found_out(folder, monkeypatch):
    right = attention.attend
    with monkeypatch.context() as wrong:
        wrong.setattr(attention, "attend", lambda *told, **more: (right(*told, **more)[0] * 1.1, None))
        with pytest.raises(TunesmithError, match="does not run models of type 'llama' faithfully"):
            loading.load_model(folder, "float32", "cpu")
    attention.register()


def test_a_model_without_attention_is_refused(tmp_path):
    config = MambaConfig(hidden_size=32, num_hidden_layers=2, vocab_size=99, pad_token_id=0, eos_token_id=1,
                         bos_token_id=2)  # fmt: skip
    MambaForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(TunesmithError, match="models of type 'mamba'"):
        loading.load_model(tmp_path, "float32", "cpu")


def test_half_precision_answers_too(folder):
    engine = Engine(folder, dtype="bfloat16", device="cpu")
    assert all(r.completion_tokens for r in in_order(engine, some_requests(4)))


@pytest.mark.slow
def test_the_real_model_says_what_generate_says():
    folder = pull("smollm2-135m")
    engine = Engine(folder, batch_size=4, dtype="float32")
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    asked = ("Where is my parcel?", "Write one line about lamps.", "2+2?", "Thanks!", "Name three fruits.", "Hallo")
    requests = [request(text, max_tokens=24) for text in asked]
    assert_same_as_generate(engine, plain, requests, in_order(engine, requests))
