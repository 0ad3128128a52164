#!/usr/bin/env python3
"""Write a small tokenizer built as Llama 3's is, and what transformers makes of texts with it.

Beside this script: tokenizer.json and tokenizer_config.json, a byte-level BPE with Llama 3's rule for cutting text,
tokens that skip the merges (ignore_merges), its control tokens and a config that asks for clean-up of spaces; and
cases.json, texts with their tokens and the text of these tokens again.
"""

import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

HERE = Path(__file__).parent
# Digits in groups of three, contractions in either case.
CUT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CONTROL = [
    "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>",
]  # fmt: skip
CORPUS = ["The heart is enlarged. It's 12345 mm wide, isn't it? No effusion!", "THE LUNGS AREN'T CLEAR: 1000000"] * 9
TEXTS = [
    "The heart's 1234567 mm; ISN'T it?",
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nNo effusion !<|eot_id|>",
    "  spaces ,  and\n\n\nlines . \t tabs ' n't  ",
    "Käse 漢字 🫁 ½ ٣٤",
]


def main() -> None:
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(CUT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in CONTROL])
    begin = tokenizer.token_to_id(CONTROL[0])
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=True),
            processors.TemplateProcessing(
                single=f"{CONTROL[0]} $A", special_tokens=[(CONTROL[0], begin)]
            ),
        ]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=CONTROL[0], eos_token=CONTROL[5], clean_up_tokenization_spaces=True
    )
    fast.save_pretrained(HERE)
    config = json.loads((HERE / "tokenizer_config.json").read_text())
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    (HERE / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    cases = [
        {"text": text, "ids": ids, "decoded": fast.decode(ids)}
        for text in TEXTS
        for ids in [fast.encode(text, add_special_tokens=False)]
    ]
    (HERE / "cases.json").write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    main()
