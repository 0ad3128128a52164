"""Write cases.json: what Hugging Face's `tokenizers` trains on small texts, and how it encodes with it."""

import json
from pathlib import Path

import tokenizers
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

PRETOKENIZE = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEXTS = [
    "<think>The left base is white.</think><answer>Left pleural effusion \u2705</answer>",
    "<think>The left base is not white.</think><answer>Left pleural effusion \u274c</answer>",
    "A. Normal\nB. Cardiomegaly\nC. Left pleural effusion\nD. Right pleural effusion\n",
    "It's 12 mm; they'RE   wide\n\n  and na\u00efve \u2014 \u6587\u5b57 e\u0301\t.\r\n",
    "aaaa aaa aa a aaaa aaa aa a",
]

tokenizer = Tokenizer(models.BPE())
tokenizer.normalizer = normalizers.NFC()
tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
    [
        pre_tokenizers.Split(Regex(PRETOKENIZE), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
)
trainer = trainers.BpeTrainer(
    vocab_size=300,
    min_frequency=2,
    initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    show_progress=False,
)
tokenizer.train_from_iterator(TEXTS, trainer)
model = json.loads(tokenizer.to_str())["model"]
cases = {
    "size": 300,
    "texts": TEXTS,
    "tokens": sorted(model["vocab"], key=model["vocab"].get),
    "merges": model["merges"],
    "ids": [tokenizer.encode(text).ids for text in TEXTS],
}
here = Path(__file__).parent
(here / "cases.json").write_text(json.dumps(cases) + "\n")
manifest = {
    "what": "a byte-level BPE trained by Hugging Face's tokenizers on five texts, and their ids",
    "generator": "generate.py",
    "command": "python generate.py",
    "versions": {"tokenizers": tokenizers.__version__},
    "tolerance": 0,
}
(here / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
