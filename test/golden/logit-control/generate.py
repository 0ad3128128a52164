"""Distributions after logits processors, from transformers, for test/golden/logit-control.test.ts.

Repetition penalty, bad words, temperature and min-p are transformers' own processors. Presence and frequency penalty,
which it lacks, are OpenAI's formula: logit -= presence * (count > 0) + frequency * count, over the response.

    python generate.py > cases.json
"""

import json

import torch
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    NoBadWordsLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
)

VOCABULARY = 48
PROMPT = [3, 5, 5, 11, 40]
RESPONSE = [7, 7, 9, 3, 7, 21, 22]
NONE = dict(repetition_penalty=1.0, presence_penalty=0.0, frequency_penalty=0.0, bad_words=[], min_p=0.0)


def case(index: int, **controls) -> dict:
    controls = {**NONE, "temperature": 1.0, **controls}
    generator = torch.Generator().manual_seed(index)
    logits = 3 * torch.randn(VOCABULARY, generator=generator)
    scores = logits[None].clone()
    ids = torch.tensor([PROMPT + RESPONSE])
    if controls["repetition_penalty"] != 1:
        scores = RepetitionPenaltyLogitsProcessor(controls["repetition_penalty"])(ids, scores)
    counts = torch.bincount(torch.tensor(RESPONSE), minlength=VOCABULARY)
    scores = scores - controls["presence_penalty"] * (counts > 0) - controls["frequency_penalty"] * counts
    if controls["bad_words"]:
        scores = NoBadWordsLogitsProcessor(controls["bad_words"], eos_token_id=torch.tensor([47]))(ids, scores)
    scores = TemperatureLogitsWarper(float(controls["temperature"]))(ids, scores)
    if controls["min_p"] > 0:
        scores = MinPLogitsWarper(controls["min_p"])(ids, scores)
    probabilities = torch.softmax(scores[0].double(), -1)
    own = torch.log_softmax(logits.double() / controls["temperature"], -1)
    return {
        **controls,
        "logits": logits.tolist(),
        "probabilities": [round(p, 9) for p in probabilities.tolist()],
        "log_probs": [round(p, 6) for p in own.tolist()],
    }


cases = [
    case(0),
    case(1, repetition_penalty=1.3),
    case(2, repetition_penalty=0.8, temperature=0.6),
    case(3, presence_penalty=0.7),
    case(4, frequency_penalty=0.5, presence_penalty=-0.4, temperature=1.7),
    case(5, bad_words=[[13], [22, 17], [9, 3], [21, 22, 30], [7, 22, 31]]),
    case(6, min_p=0.1),
    case(7, min_p=0.05, temperature=2.0, repetition_penalty=1.2),
    case(8, repetition_penalty=1.1, presence_penalty=0.3, frequency_penalty=0.2, bad_words=[[4]], min_p=0.02),
]
print(json.dumps({"prompt": PROMPT, "response": RESPONSE, "cases": cases}))
