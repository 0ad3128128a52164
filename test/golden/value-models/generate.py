#!/usr/bin/env python3
"""Write what transformers computes with a value head on the micro checkpoints (fp32, eager attention, CPU).

micro-text is loaded as a Qwen2ForTokenClassification with one label. transformers has no token classifier of
Qwen2.5-VL, so micro-vl is its Qwen2_5_VLModel with the same linear layer behind it. Written are the head, the
value of every response token (what the row before it says), and of the gradient of
sum(value x weight) over all response tokens each parameter's norm and some elements.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2ForTokenClassification

SEED = 11
HERE = Path(__file__).parent
GOLDEN = HERE.parent
SAMPLES = 6


def hub_name(name: str) -> str:
    if name.startswith("language_model."):
        return "model." + name.removeprefix("language_model.")
    return name


def head_of(width: int) -> torch.nn.Linear:
    head = torch.nn.Linear(width, 1)
    with torch.no_grad():
        head.weight.normal_(0, 0.2)
        head.bias.fill_(0.3)
    return head


def gradients(named) -> dict:
    out = {}
    for name, p in named:
        flat = p.grad.flatten()
        at = torch.randperm(len(flat))[:SAMPLES].sort().values
        out[name] = {"norm": flat.norm().item(), "at": at.tolist(), "values": flat[at].tolist()}
    return out


def text() -> dict:
    model = Qwen2ForTokenClassification.from_pretrained(
        GOLDEN / "micro-text", dtype=torch.float32, attn_implementation="eager", num_labels=1
    ).eval()
    model.score = head_of(model.config.hidden_size)
    cases = json.loads((GOLDEN / "micro-text/reference.json").read_text())
    values = []
    for case in cases:
        ids = torch.tensor([case["prompt_ids"] + case["response_ids"]])
        start = len(case["prompt_ids"]) - 1
        value = model(ids, use_cache=False).logits[0, start:-1, 0]
        (value * torch.tensor(case["weights"])).sum().backward()
        values.append(value.tolist())
    named = [(name, p) for name, p in model.named_parameters()]
    return result(model.score, values, gradients(named))


def vision() -> dict:
    whole = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        GOLDEN / "micro-vl", dtype=torch.float32, attn_implementation="eager"
    ).eval()
    model = whole.model
    head = head_of(model.config.text_config.hidden_size)
    tensors = load_file(GOLDEN / "micro-vl-reference/tensors.safetensors")
    cases = json.loads((GOLDEN / "micro-vl-reference/cases.json").read_text())
    values = []
    for case in cases:
        ids = torch.tensor([case["prompt_ids"] + case["response_ids"]])
        # [planes, 196]: one frame of each patch and channel, of two that are equal.
        frames = tensors.get(f"case_{case['id']:03d}.pixel_frames")
        images = {}
        if frames is not None:
            planes = frames.reshape(-1, 1, 196).expand(-1, 2, -1)
            images = {
                "pixel_values": planes.reshape(frames.shape[0], -1).contiguous(),
                "image_grid_thw": torch.tensor(case["image_grid_thw"]),
            }
        positions = torch.tensor(case["position_ids"])[:, None, :]
        start = len(case["prompt_ids"]) - 1
        hidden = model(input_ids=ids, position_ids=positions, use_cache=False, **images)
        value = head(hidden.last_hidden_state)[0, start:-1, 0]
        (value * torch.tensor(case["weights"])).sum().backward()
        values.append(value.tolist())
    named = [(hub_name(name), p) for name, p in model.named_parameters()]
    named += [("score.weight", head.weight), ("score.bias", head.bias)]
    return result(head, values, gradients(named))


def result(head: torch.nn.Linear, values: list, grads: dict) -> dict:
    weight, bias = head.weight.detach()[0].tolist(), head.bias.item()
    return {"score": {"weight": weight, "bias": bias}, "values": values, "gradients": grads}


def main() -> None:
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    cases = {"micro-text": text(), "micro-vl": vision()}
    (HERE / "cases.json").write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    main()
