"""What `vllm serve` does with the flags that an export hands to it, by transformers and PEFT: run as a program.

vLLM itself needs a GPU. This server takes its flags as strictly, computes in bfloat16 as it does, and goes wrong where
WRONG in the environment says so: `base` (the adapter is loaded and not applied), `template`, `refuses`, `mute`,
`infinite` and `junk` (in what it tells), `dies` (before it serves), `leaves` (when it is asked).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

WRONG = os.environ.get("WRONG", "")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["serve"])
    parser.add_argument("base")
    parser.add_argument("--served-model-name")
    parser.add_argument("--enable-lora", action="store_true", required=True)
    parser.add_argument("--lora-modules", required=True)
    parser.add_argument("--max-lora-rank", type=int, choices=[1, 8, 16, 32, 64, 128, 256, 320, 512], default=16)
    parser.add_argument("--max-model-len", type=int, required=True)
    parser.add_argument("--chat-template", type=Path, required=True)
    parser.add_argument("--override-generation-config", type=json.loads)
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--enforce-eager", action="store_true")
    parser.add_argument("--gpu-memory-utilization", type=float)
    options = parser.parse_args()
    if WRONG == "dies":
        print("\x1b[31m(EngineCore pid=7) ERROR [core.py:866] ValueError: Free memory is less than desired.\x1b[0m")
        print("RuntimeError: Engine core initialization failed. See root cause above.")
        sys.exit(1)
    answer = {"refuses": refuse, "mute": say_nothing, "leaves": leave, "infinite": say_never, "junk": say_junk}.get(
        WRONG
    ) or answers(options)
    HTTPServer((options.host, options.port), handler(answer)).serve_forever()


def refuse(path: str, body: dict) -> tuple[int, dict]:
    return 400, {"error": {"message": "LoRA rank is too large"}}


def say_nothing(path: str, body: dict) -> tuple[int, dict]:
    return 200, {"choices": [{"text": "", "prompt_logprobs": None}]}


def say_never(path: str, body: dict) -> tuple[int, dict]:
    told = [{str(token): {"logprob": float("-inf")}} for token in body["prompt"][1:]]
    return 200, {"choices": [{"prompt_logprobs": [None, *told]}]}


def say_junk(path: str, body: dict) -> tuple[int, dict]:
    told = [{str(token): {"logprob": -1.0}} for token in body.get("prompt", [])[1:]]
    return 200, {"choices": [{"prompt_logprobs": [None, *told]}]}


def leave(path: str, body: dict) -> tuple[int, dict]:
    os._exit(1)


def answers(options: argparse.Namespace) -> Callable[[str, dict], tuple[int, dict]]:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    name, _, adapter = options.lora_modules.partition("=")
    base = AutoModelForCausalLM.from_pretrained(options.base, dtype=torch.bfloat16)
    tuned = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(options.base, dtype=torch.bfloat16), adapter, autocast_adapter_dtype=False
    )
    assert tuned.peft_config["default"].r <= options.max_lora_rank
    models = {options.served_model_name: base, name: base if WRONG == "base" else tuned}
    tokenizer = AutoTokenizer.from_pretrained(options.base)
    template = options.chat_template.read_text("utf-8")
    if WRONG == "template":
        template = "{{ messages[-1]['content'] }}"

    def tokenize(body: dict) -> dict:
        ids = tokenizer.apply_chat_template(
            body["messages"], chat_template=template, add_generation_prompt=True, return_dict=False
        )
        return {"tokens": list(ids)}

    def complete(body: dict) -> dict:
        ids = body["prompt"]
        assert len(ids) + body["max_tokens"] <= options.max_model_len
        with torch.inference_mode():
            logs = models[body["model"]](input_ids=torch.tensor([ids])).logits[0].float().log_softmax(-1)
        told = [{str(token): {"logprob": float(logs[at, token])}} for at, token in enumerate(ids[1:])]
        return {"choices": [{"prompt_logprobs": [None, *told]}]}

    def answer(path: str, body: dict) -> tuple[int, dict]:
        if body["model"] not in models:
            return 404, {}
        return 200, {"/tokenize": tokenize, "/v1/completions": complete}[path](body)

    return answer


def handler(answer: Callable[[str, dict], tuple[int, dict]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.tell(200 if self.path == "/health" else 404, {})

        def do_POST(self) -> None:
            self.tell(*answer(self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))

        def tell(self, status: int, body: dict) -> None:
            said = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

    return Handler


if __name__ == "__main__":
    main()
