#!/usr/bin/env python3
"""How far torch's own bf16 is from f32: the model of ../micro-vl with bf16 weights and activations, on the CPU.

For the cases of ../micro-vl-reference it writes `errors.json`: the root of the mean square of the errors of all
log-probabilities, in nats; and of every parameter's gradient of sum(logprob * weight), ||bf16 - f32|| / ||f32||.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import Qwen2_5_VLForConditionalGeneration

golden = Path(__file__).resolve().parent.parent
reference = golden / "micro-vl-reference"
torch.manual_seed(0)
torch.set_num_threads(1)
model = Qwen2_5_VLForConditionalGeneration.from_pretrained(
    golden / "micro-vl", dtype=torch.bfloat16, attn_implementation="eager"
).eval()
frames = load_file(reference / "tensors.safetensors")
expected = load_file(reference / "grads.safetensors")
totals = {name: torch.zeros_like(p, dtype=torch.float32) for name, p in model.named_parameters()}
errors = []
for case in json.loads((reference / "cases.json").read_text()):
    response = torch.tensor([case["response_ids"]])
    inputs = {"input_ids": torch.cat([torch.tensor([case["prompt_ids"]]), response], 1)}
    inputs["mm_token_type_ids"] = torch.tensor([case["mm_token_type_ids"]])
    inputs["position_ids"] = torch.tensor(case["position_ids"]).unsqueeze(1)
    key = f"case_{case['id']:03d}.pixel_frames"
    if key in frames:
        # A still picture's two frames are one, kept once.
        one = frames[key].reshape(-1, 3, 1, 196)
        inputs["pixel_values"] = one.expand(-1, 3, 2, 196).reshape(-1, 1176)
        inputs["image_grid_thw"] = torch.tensor(case["image_grid_thw"])
    model.model.rope_deltas = None
    model.zero_grad(set_to_none=True)
    count = response.shape[1]
    logits = model(**inputs, use_cache=False).logits[:, -count - 1 : -1].float()
    log_probs = torch.log_softmax(logits, -1).gather(-1, response.unsqueeze(-1))[0, :, 0]
    (log_probs * torch.tensor(case["weights"])).sum().backward()
    errors.append(log_probs.detach() - torch.tensor(case["logprobs"]))
    for name, p in model.named_parameters():
        if p.grad is not None:
            totals[name] += p.grad.float()


def hub_name(name: str) -> str:
    if name.startswith("model.language_model."):
        return "model." + name.removeprefix("model.language_model.")
    return name.removeprefix("model.") if name.startswith("model.visual.") else name


gradients = {}
for name, total in totals.items():
    want = expected[hub_name(name)].float()
    gradients[hub_name(name)] = ((total - want).norm() / want.norm()).item()
result = {"logProbs": torch.cat(errors).square().mean().sqrt().item(), "gradients": gradients}
(Path(__file__).parent / "errors.json").write_text(json.dumps(result, indent=1) + "\n")
print(result["logProbs"], sorted(gradients.values())[-3:])
