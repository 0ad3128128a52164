#!/usr/bin/env python3
"""Write what transformers' chat templates see of a tokenizer's special tokens, for several tokenizer_config.json and
special_tokens_map.json.

The tokenizer is that of the micro checkpoint. Each case has the fields by which the config differs from the one with
nothing but the class and the added tokens in it, or, where it does not list these, the class alone; the map where there
is one; and the text that a template renders which prints every variable.
"""

import json
import shutil
import tempfile
from pathlib import Path

from transformers import AutoTokenizer

HERE = Path(__file__).parent
CHECKPOINT = HERE.parent / "micro-vl"

VARIABLES = [
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
    "additional_special_tokens", "image_token", "tools", "documents", "add_generation_prompt", "messages",
]  # fmt: skip
TEMPLATE = "\n".join(
    f"{name} {{% if {name} is not defined %}}undefined{{% elif {name} is none %}}none{{% else %}}"
    f"{{{{ {name} | tojson }}}}{{% endif %}}"
    for name in VARIABLES
)
FLAGS = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
END = {"__type": "AddedToken", "content": "<|im_end|>", **FLAGS}
CASES = {
    "no token": {},
    "no token of a class without any": {"tokenizer_class": "PreTrainedTokenizerFast"},
    "tokens": {
        "bos_token": None,
        "eos_token": "<|im_end|>",
        "unk_token": None,
        "pad_token": "<|endoftext|>",
        "additional_special_tokens": ["<|im_start|>", END],
        "add_bos_token": False,
    },
    "tokens with flags": {"bos_token": END, "eos_token": END, "sep_token": "<|vision_pad|>"},
    "tokens with names of their own": {"extra_special_tokens": {"image_token": "<|image_pad|>"}},
}

MAP = {
    "bos_token": "<|vision_start|>",
    "eos_token": END,
    "pad_token": None,
    "additional_special_tokens": ["<|im_start|>", {**END, "content": "<|vision_pad|>"}],
}
TOKENS = {"eos_token": "<|endoftext|>", "unk_token": "<|image_pad|>", "additional_special_tokens": ["<|im_end|>"]}
# Config, and whether it lists added tokens, beside the map.
MAP_CASES = {
    "a map alone": ({}, False),
    "a map beside tokens": (TOKENS, False),
    "a map beside added tokens": ({}, True),
    "a map beside tokens and added tokens": (TOKENS, True),
}


def render(config: dict, token_map: dict | None = None) -> str:
    with tempfile.TemporaryDirectory() as folder:
        for name in ["tokenizer.json", "config.json"]:
            shutil.copy(CHECKPOINT / name, folder)
        (Path(folder) / "tokenizer_config.json").write_text(json.dumps(config))
        if token_map is not None:
            (Path(folder) / "special_tokens_map.json").write_text(json.dumps(token_map))
        tokenizer = AutoTokenizer.from_pretrained(folder)
        messages = [{"role": "user", "content": "x"}]
        return tokenizer.apply_chat_template(
            messages, chat_template=TEMPLATE, tokenize=False, add_generation_prompt=True
        )


added = json.loads((CHECKPOINT / "tokenizer_config.json").read_text())["added_tokens_decoder"]
base = {"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": added}
cases = [
    {"name": name, "config": config, "listed": True, "text": render({**base, **config})}
    for name, config in CASES.items()
]
for name, (config, is_listed) in MAP_CASES.items():
    whole = {**(base if is_listed else {"tokenizer_class": base["tokenizer_class"]}), **config}
    cases.append({"name": name, "config": config, "listed": is_listed, "map": MAP, "text": render(whole, MAP)})
content = {"template": TEMPLATE, "cases": cases}
(HERE / "cases.json").write_text(json.dumps(content, indent=1) + "\n")
