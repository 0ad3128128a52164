#!/usr/bin/env python3
"""Write the scores of a multimodal sequence classifier with one label on micro-vl (fp32, eager attention, CPU).

transformers has no such class for Qwen2.5-VL, so the score is what its GenericForSequenceClassification computes over
Qwen2_5_VLModel: a linear head without bias over the last hidden state of the last token. Written are the chat text of
each conversation, its pictures and its score; the head's weight is sin(0), sin(1), ….
"""

import json
import sys
from pathlib import Path

import torch
from PIL import Image
from transformers import Qwen2_5_VLForConditionalGeneration

HERE = Path(__file__).parent
GOLDEN = HERE.parent
sys.path.insert(0, str(GOLDEN / "generator"))
from peer_vl import load_processor  # noqa: E402

PICTURES = GOLDEN / "micro-vl-reference/images"
CASES = [(["case_001_0.png"], "A mass."), (["case_002_0.png", "case_002_1.png"], "None."), ([], "Yes.")]


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    processor = load_processor(GOLDEN / "micro-vl")
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        GOLDEN / "micro-vl", dtype=torch.float32, attn_implementation="eager"
    ).eval().model
    weight = torch.sin(torch.arange(model.config.text_config.hidden_size, dtype=torch.float64)).float()
    golden = []
    for names, response in CASES:
        content = [{"type": "image"} for _ in names] + [{"type": "text", "text": "Which finding?"}]
        turns = [{"role": "user", "content": content}, {"role": "assistant", "content": response}]
        text = processor.apply_chat_template(turns, tokenize=False)
        images = [Image.open(PICTURES / name).convert("RGB") for name in names]
        inputs = processor(text=[text], images=images or None, return_tensors="pt")
        with torch.no_grad():
            hidden = model(**inputs, use_cache=False).last_hidden_state
        score = (hidden[0, -1] @ weight).item()
        golden.append({"text": text, "images": names, "response": response, "score": score})
    (HERE / "vl-scores.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
