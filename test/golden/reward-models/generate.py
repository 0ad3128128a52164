#!/usr/bin/env python3
"""Write the scores of transformers' sequence classifier with one label on micro-text (fp32, eager attention, CPU).

micro-text is loaded as a Qwen2ForSequenceClassification. Written are the weight of its head, and its logit for each
prompt with its response, which is that of the last token.
"""

import json
from pathlib import Path

import torch
from transformers import Qwen2ForSequenceClassification

SEED = 12
HERE = Path(__file__).parent
GOLDEN = HERE.parent


def main() -> None:
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    model = Qwen2ForSequenceClassification.from_pretrained(
        GOLDEN / "micro-text", dtype=torch.float32, attn_implementation="eager", num_labels=1
    ).eval()
    with torch.no_grad():
        model.score.weight.normal_(0, 0.2)
        cases = json.loads((GOLDEN / "micro-text/reference.json").read_text())
        tokens = [torch.tensor([case["prompt_ids"] + case["response_ids"]]) for case in cases]
        logits = [model(ids, use_cache=False).logits for ids in tokens]
    assert all(one.shape == (1, 1) for one in logits)
    golden = {"weight": model.score.weight[0].tolist(), "scores": [one.item() for one in logits]}
    (HERE / "scores.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
