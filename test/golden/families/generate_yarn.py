#!/usr/bin/env python3
"""Write what transformers computes with micro-vl, whose rotary frequencies are scaled by YaRN (fp32, eager, CPU).

yarn.json holds the rope_scaling, and of some of micro-vl-reference's cases the log-probabilities of the responses and
greedy continuations; and of the sum of log-probability x weight over these cases the norm of each parameter's
gradient. The first context is shorter than the prompts, and its bounds lie among the frequencies.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoConfig, Qwen2_5_VLForConditionalGeneration

HERE = Path(__file__).parent
GOLDEN = HERE.parent
ROPE = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "mrope_section": [2, 3, 3]}
CASES = [0, 2]
GREEDY_TOKENS = 8


def media_of(case: dict, tensors: dict, ids: torch.Tensor, config) -> dict:
    frames = tensors.get(f"case_{case['id']:03d}.pixel_frames")
    if frames is None:
        return {}
    count = frames.shape[0]
    pixels = frames.reshape(count, 3, 1, 196).expand(count, 3, 2, 196).reshape(count, 1176)
    return {
        "pixel_values": pixels,
        "image_grid_thw": torch.tensor(case["image_grid_thw"]),
        "mm_token_type_ids": (ids == config.image_token_id).int(),
    }


def main() -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    config = AutoConfig.from_pretrained(GOLDEN / "micro-vl")
    config.text_config.rope_parameters = {**ROPE, "rope_type": "yarn", "rope_theta": 1e6}
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        GOLDEN / "micro-vl", config=config, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    tensors = load_file(GOLDEN / "micro-vl-reference" / "tensors.safetensors")
    all_cases = json.loads((GOLDEN / "micro-vl-reference" / "cases.json").read_text())
    cases = []
    for case in (all_cases[i] for i in CASES):
        prompt, response = (torch.tensor(case[key]) for key in ("prompt_ids", "response_ids"))
        ids = torch.cat([prompt, response])[None]
        ones = torch.ones_like(ids)
        inputs = media_of(case, tensors, ids, config)
        logits = model(ids, attention_mask=ones, use_cache=False, **inputs).logits[0, len(prompt) - 1 : -1]
        log_probs = torch.log_softmax(logits, -1).gather(-1, response[:, None])[:, 0]
        (log_probs * torch.tensor(case["weights"])).sum().backward()
        with torch.no_grad():
            greedy = model.generate(
                prompt[None], attention_mask=ones[:, : len(prompt)], do_sample=False, max_new_tokens=GREEDY_TOKENS,
                eos_token_id=620, pad_token_id=620, **media_of(case, tensors, prompt[None], config),
            )  # fmt: skip
        cases.append({"id": case["id"], "logprobs": log_probs.tolist(), "greedy": greedy[0, len(prompt) :].tolist()})
    norms = {name: p.grad.norm().item() for name, p in model.named_parameters()}
    result = {"rope_scaling": ROPE, "cases": cases, "gradient_norms": norms}
    (HERE / "yarn.json").write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
