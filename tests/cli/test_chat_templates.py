"""Chat templates as models bring them: some have no place for a system message, some refuse more than that."""

import json
import re

import pytest
from tests.cli.driving import typed
from tests.models.tiny import CHAT_TEMPLATE, build_tiny
from tests.workspace.toy import write_csv, write_settings
from transformers import AutoTokenizer

from tunesmith import Workspace
from tunesmith.core.examples import Message
from tunesmith.models.template import Template

TURNS = """{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}\
{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}\
{{ '<|im_start|>' + m['role'] + '\n' + m['content'] | trim + '<|im_end|>\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""
REFUSES = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + TURNS
)
"""As Gemma 1 and 2 have it."""
DROPS = "{% if messages[0]['role'] == 'system' %}{% set messages = messages[1:] %}{% endif %}" + TURNS
TINY = {"epochs": 0.2, "rank": 2, "dtype": "float32"}


def desk_of(folder, template):
    """A workspace that is split, whose tiny model has that chat template."""
    model = build_tiny(folder / "model")
    (model / "chat_template.jinja").write_text(template)
    Workspace.init(folder / "desk", source=write_csv(folder / "examples.csv"))
    write_settings(folder / "desk", model={"base": str(model), "embedder": "ngrams"}, tuning=TINY)
    Workspace(folder / "desk").split()
    return folder / "desk"


@pytest.mark.parametrize("template", [REFUSES, DROPS], ids=["refuses", "drops"])
def test_instructions_stand_before_the_first_user_message_where_there_is_no_system_message(tmp_path, template):
    desk = desk_of(tmp_path, template)
    asked = (Message(role="system", content="File it."), Message(role="user", content="where is my parcel"))
    text = Template.open(tmp_path / "model").prompt_text(asked)
    assert text == "<|im_start|>user\nFile it.\n\nwhere is my parcel<|im_end|>\n<|im_start|>assistant\n"
    tuned = typed("-C", desk, "tune", "--anyway", "--no-forgetting")
    assert tuned.status == 0, tuned.err
    assert typed("-C", desk, "baseline", "prompt", "few_shot").status == 0
    assert typed("-C", desk, "evaluate", "tuned").status == 0
    exported = typed("-C", desk, "export", "tuned", "--to", "vllm", tmp_path / "vllm")
    assert exported.status == 0, exported.err
    body = json.loads(re.search(r"-d '(.*)'", (tmp_path / "vllm/request.sh").read_text(), re.DOTALL)[1])
    instructions = Workspace(desk).home.task.instructions
    assert body["messages"] == [{"role": "user", "content": f"{instructions}\n\n..."}]
    assert "before the user's message" in (tmp_path / "vllm/README.md").read_text()
    refused = typed("-C", desk, "export", "tuned", "--to", "ollama", tmp_path / "ollama")
    assert (refused.status, "Ollama's language cannot say it" in refused.err) == (2, True)


def test_what_a_template_refuses_is_said_with_its_own_words(tmp_path):
    desk = desk_of(tmp_path, "{{ raise_exception('No messages today') }}")
    ended = typed("-C", desk, "tune", "--anyway")
    assert ended.status == 2
    assert "does not take messages by user: No messages today." in ended.err
    assert "chat_template.jinja" in ended.err


def test_a_date_that_the_template_prints_is_the_same_in_training_answers_and_exports(tmp_path):
    dated = "{{ 'Today: ' + strftime_now('%d %B %Y') + '\\n' }}" + CHAT_TEMPLATE
    desk = desk_of(tmp_path, dated)
    about = tmp_path / "model" / "tokenizer_config.json"  # where Llama 3.2 has it
    about.write_text(json.dumps(json.loads(about.read_text()) | {"chat_template": dated}))
    example = Workspace(desk).home.examples()[0].id
    shown = typed("-C", desk, "show", example, "--mask")
    assert "26 July 2024" in shown.out, shown.err
    assert typed("-C", desk, "tune", "--anyway", "--no-forgetting").status == 0
    for to in ("adapter", "merged", "gguf"):
        exported = typed("-C", desk, "export", "tuned", "--to", to, tmp_path / to)
        assert exported.status == 0, exported.err
    for to in ("adapter", "merged"):
        own = AutoTokenizer.from_pretrained(tmp_path / to)  # by transformers alone
        text = own.apply_chat_template([{"role": "user", "content": "q"}], tokenize=False)
        assert text.startswith("Today: 26 July 2024\n")
        assert "strftime_now" not in (tmp_path / to / "tokenizer_config.json").read_text()


PARTS = "{% for m in messages %}{% for part in m['content'] %}{{ part['text'] }}{% endfor %}{% endfor %}"
"""As models that also see have it: a content that is a text is passed over, letter by letter."""


@pytest.mark.parametrize("template", ["{{ 'You are Bob.' }}", PARTS], ids=["fixed", "parts"])
def test_a_template_that_leaves_out_what_the_user_says_is_refused_before_time_is_spent(tmp_path, template):
    desk = desk_of(tmp_path, template)
    ended = typed("-C", desk, "tune", "--anyway")
    assert ended.status == 2
    assert "leaves out what the user says" in ended.err
    assert typed("-C", desk, "baseline", "prompt").status == 2
