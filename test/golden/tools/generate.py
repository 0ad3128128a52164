"""Conversations with tools, rendered and tokenised by transformers under a template of Hermes' manners.

    python3 generate.py ../micro-vl > cases.json
"""

import json
import sys
from pathlib import Path

from transformers import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
tokenizer.chat_template = (Path(__file__).parent / "template.jinja").read_text()
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "crop",
            "description": "Shows a part: <x> & \"y\", größer.",
            "parameters": {
                "type": "object",
                "properties": {"box": {"type": "array", "items": {"type": "number"}, "default": [0, 0.5, 1e-3]}},
                "required": ["box"],
            },
        },
    },
    {"type": "function", "function": {"name": "end"}},
]
CALL = '<tool_call>\n{"name": "crop", "arguments": {"box": [0, 1]}}\n</tool_call>'
PROMPT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is it?"}]
ANSWERS = [
    [{"role": "tool", "content": "the left lung"}],
    [{"role": "tool", "content": "one"}, {"role": "tool", "content": "two"}, {"role": "user", "content": "Go on."}],
]


def rendered(messages):
    text = tokenizer.apply_chat_template(messages, tools=TOOLS, add_generation_prompt=True, tokenize=False)
    return {"text": text, "ids": tokenizer(text, add_special_tokens=False)["input_ids"]}


json.dump(
    {
        "tools": TOOLS,
        "call": CALL,
        "prompt": {"messages": PROMPT, **rendered(PROMPT)},
        "answers": [
            {"messages": shown, **rendered([*PROMPT, {"role": "assistant", "content": CALL}, *shown])}
            for shown in ANSWERS
        ],
    },
    sys.stdout,
)
