#!/usr/bin/env python3
"""Write what transformers' chat templates see of a tokenizer's special tokens, for several tokenizer_config.json.

The tokenizer is that of the micro checkpoint. Each case has the fields by which the file differs from the one with
nothing but the class in it, and the text that a template renders which prints every variable.
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


def render(config: dict) -> str:
    with tempfile.TemporaryDirectory() as folder:
        for name in ["tokenizer.json", "config.json"]:
            shutil.copy(CHECKPOINT / name, folder)
        (Path(folder) / "tokenizer_config.json").write_text(json.dumps(config))
        tokenizer = AutoTokenizer.from_pretrained(folder)
        messages = [{"role": "user", "content": "x"}]
        return tokenizer.apply_chat_template(
            messages, chat_template=TEMPLATE, tokenize=False, add_generation_prompt=True
        )


added = json.loads((CHECKPOINT / "tokenizer_config.json").read_text())["added_tokens_decoder"]
base = {"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": added}
cases = [{"name": name, "config": config, "text": render({**base, **config})} for name, config in CASES.items()]
content = {"template": TEMPLATE, "cases": cases}
(HERE / "cases.json").write_text(json.dumps(content, indent=1) + "\n")
