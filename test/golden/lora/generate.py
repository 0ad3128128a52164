#!/usr/bin/env python3
"""Low-rank adapters as peft has them, on ../micro-vl and ../micro-text (fp32, eager attention, CPU).

  selection.json   the modules that peft adapts for pairs of target and excluded modules
  all/, some/      adapters in peft's own files, with random factors
  reference.json   of each adapter: log-probabilities of three cases of ../micro-vl-reference
  all/grads.safetensors, some/grads.safetensors
                   the gradients of sum(log-probability * weight) over those cases by A and B
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2ForCausalLM

here = Path(__file__).parent
torch.manual_seed(3)
torch.use_deterministic_algorithms(True)

SELECTIONS = [
    ("all-linear", None),
    ("all-linear", ".*visual.*"),
    ("all-linear", "visual"),
    ("all-linear", r".*layers\.0\..*"),
    (["q_proj", "v_proj"], None),
    (["q_proj"], r"model\.language_model\.layers\.1.*"),
    (["mlp.0", "qkv"], None),
    (["gate_proj", "mlp.down_proj"], ".*visual.*"),
    (["model.language_model.layers.0.self_attn.o_proj"], None),
]
ADAPTERS = {
    "all": dict(r=3, lora_alpha=5, target_modules="all-linear"),
    "some": dict(
        r=2,
        lora_alpha=6,
        target_modules=["q_proj", "v_proj", "up_proj"],
        exclude_modules=r".*visual.*|.*layers\.0\.self_attn\.q_proj",
    ),
}


def load_vl():
    return Qwen2_5_VLForConditionalGeneration.from_pretrained(
        here / "../micro-vl", dtype=torch.float32, attn_implementation="eager"
    ).eval()


def load_text():
    return Qwen2ForCausalLM.from_pretrained(here / "../micro-text", dtype=torch.float32).eval()


def adapted(model) -> list[str]:
    return [
        name.removeprefix("base_model.model.")
        for name, module in model.named_modules()
        if hasattr(module, "lora_A")
    ]


selection = []
for name, load in (("micro-vl", load_vl), ("micro-text", load_text)):
    for targets, exclude in SELECTIONS:
        try:
            config = LoraConfig(task_type="CAUSAL_LM", target_modules=targets, exclude_modules=exclude)
            modules = adapted(get_peft_model(load(), config))
        except ValueError:
            modules = []
        selection.append({"model": name, "targets": targets, "exclude": exclude, "modules": modules})
(here / "selection.json").write_text(json.dumps(selection, indent=1) + "\n")

cases = json.loads((here / "../micro-vl-reference/cases.json").read_text())[:3]
frames = load_file(here / "../micro-vl-reference/tensors.safetensors")
reference = {}
for name, options in ADAPTERS.items():
    model = get_peft_model(load_vl(), LoraConfig(task_type="CAUSAL_LM", **options))
    generator = torch.Generator().manual_seed(11)
    for key, parameter in model.named_parameters():
        if "lora_" in key:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.15
    logprobs = []
    for case in cases:
        prompt, response = case["prompt_ids"], case["response_ids"]
        ids = torch.tensor([prompt + response])
        inputs = dict(input_ids=ids, attention_mask=torch.ones_like(ids))
        inputs["position_ids"] = torch.tensor(case["position_ids"]).unsqueeze(1)
        if case["images"]:
            planes = frames[f"case_{case['id']:03d}.pixel_frames"].reshape(-1, 3, 1, 196)
            inputs["pixel_values"] = planes.expand(-1, 3, 2, 196).reshape(-1, 1176)
            inputs["image_grid_thw"] = torch.tensor(case["image_grid_thw"])
        logits = model(**inputs, use_cache=False).logits[0, len(prompt) - 1 : -1]
        targets = torch.tensor(response).unsqueeze(-1)
        values = torch.log_softmax(logits, -1).gather(-1, targets).squeeze(-1)
        (values * torch.tensor(case["weights"])).sum().backward()
        logprobs.append(values.tolist())
    folder = here / name
    shutil.rmtree(folder, ignore_errors=True)
    model.peft_config["default"].base_model_name_or_path = "../../micro-vl"
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    gradients = {
        key.replace(".default", ""): p.grad.contiguous()
        for key, p in model.named_parameters()
        if p.grad is not None
    }
    save_file(gradients, folder / "grads.safetensors")
    reference[name] = {"logprobs": logprobs}
(here / "reference.json").write_text(json.dumps(reference) + "\n")
