#!/usr/bin/env python3
"""Write a tiny random checkpoint of each model family and what transformers computes with it (fp32, eager, CPU).

Usage: generate.py [FAMILY ...]; all of them when none is named.

A vision-language model's sequences have images, and a video, as pixel levels of 1/64, with the positions that the
model gives their tokens.

One folder a family: config.json and model.safetensors (bfloat16) as the hub would have them, reference.json
(sequences, per-token log-probabilities, greedy continuations) and grads.safetensors.gz (gradients of the sum of
log-probability x weight over all response tokens). Norm weights and biases are random too, so that a wrong use
of one shows. Sizes are small and differ from each other, and heads are not hidden_size / num_attention_heads
wide where a family allows that.
"""

import gzip
import json
import math
import sys
from pathlib import Path

import torch
from safetensors.torch import load, save
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLMoeConfig,
    Qwen3VLMoeForConditionalGeneration,
)

SEED = 5
HERE = Path(__file__).parent
# Prompt and response tokens of each sequence.
LENGTHS = [(1, 6), (9, 1), (37, 12), (5, 23)]
GREEDY_TOKENS = 12

TEXT = {
    "vocab_size": 48, "hidden_size": 16, "intermediate_size": 20, "num_hidden_layers": 2, "max_position_embeddings": 512,
    "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": None, "dtype": "bfloat16",
}  # fmt: skip
SMALL_HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
QUOTIENT_HEADS = {"num_attention_heads": 2, "num_key_value_heads": 1}
LARGE_HEADS = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}
# The first layer has a dense MLP.
EXPERTS = {
    "num_experts": 5, "num_experts_per_tok": 2, "moe_intermediate_size": 12, "norm_topk_prob": True, "mlp_only_layers": [0],
}  # fmt: skip
START, END, IMAGE, VIDEO = 44, 45, 46, 47
VISION_LANGUAGE = {
    "image_token_id": IMAGE, "video_token_id": VIDEO, "vision_start_token_id": START, "vision_end_token_id": END,
}  # fmt: skip
PATCHES = {"in_channels": 3, "patch_size": 2, "temporal_patch_size": 2, "spatial_merge_size": 2}
PATCH_VALUES = 3 * 2 * 2 * 2
# Bounds of the scaling lie among the frequencies: of eight, two stay, one is blended and five are divided.
LLAMA3_ROPE = {
    "rope_type": "llama3", "rope_theta": 1000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip
FAMILIES = {
    "qwen3": lambda: Qwen3ForCausalLM(
        Qwen3Config(
            **TEXT, **SMALL_HEADS, tie_word_embeddings=True, rope_parameters={"rope_type": "default", "rope_theta": 1e4}
        )
    ),
    "qwen3-moe": lambda: Qwen3MoeForCausalLM(
        Qwen3MoeConfig(
            **{**TEXT, "num_hidden_layers": 3}, **SMALL_HEADS, **EXPERTS, tie_word_embeddings=False,
            rope_parameters={"rope_type": "default", "rope_theta": 1e4},
        )
    ),
    "qwen2-vl": lambda: Qwen2VLForConditionalGeneration(
        Qwen2VLConfig(
            text_config={
                **TEXT,
                **QUOTIENT_HEADS,
                "num_hidden_layers": 1,
                "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]},
            },
            vision_config={
                "depth": 2, "embed_dim": 8, "hidden_size": 16, "num_heads": 2, "mlp_ratio": 2, **PATCHES,
            },
            **VISION_LANGUAGE,
            dtype="bfloat16",
        )
    ),
    "qwen3-vl": lambda: Qwen3VLForConditionalGeneration(
        Qwen3VLConfig(
            text_config={
                **TEXT,
                **SMALL_HEADS,
                "num_hidden_layers": 3,
                "rope_parameters": {
                    "rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1], "mrope_interleaved": True,
                },
            },
            vision_config={
                "depth": 2, "hidden_size": 8, "out_hidden_size": 16, "num_heads": 2, "intermediate_size": 12,
                "num_position_embeddings": 25, "deepstack_visual_indexes": [0, 1], **PATCHES,
            },
            **VISION_LANGUAGE,
            dtype="bfloat16",
        )
    ),
    "qwen3-vl-moe": lambda: Qwen3VLMoeForConditionalGeneration(
        Qwen3VLMoeConfig(
            text_config={
                **TEXT,
                **SMALL_HEADS,
                **EXPERTS,
                "rope_parameters": {
                    "rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1], "mrope_interleaved": True,
                },
            },
            vision_config={
                "depth": 2, "hidden_size": 8, "out_hidden_size": 16, "num_heads": 2, "intermediate_size": 12,
                "num_position_embeddings": 25, "deepstack_visual_indexes": [0], **PATCHES,
            },
            **VISION_LANGUAGE,
            dtype="bfloat16",
        )
    ),
    "llama3": lambda: LlamaForCausalLM(
        LlamaConfig(
            **TEXT, **LARGE_HEADS, rms_norm_eps=1e-5, tie_word_embeddings=False, rope_parameters=LLAMA3_ROPE
        )
    ),
}


def randomise(model) -> None:
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim == 1:
                p.normal_(1.0 if "norm" in name else 0.0, 0.1)
            elif "embed_tokens" in name:
                p.normal_(0.0, 0.3)
            else:
                gain = 1.6 if "q_proj" in name or "k_proj" in name else 1.0
                inputs = p.shape[2:] if ".experts." in name else p.shape[1:]
                p.normal_(0.0, gain / math.sqrt(math.prod(inputs)))
        if hasattr(model.model, "visual"):
            # Placeholders are never the likeliest tokens.
            model.lm_head.weight[START:] = 0


def media_inputs(model, ids, media) -> dict:
    """Inputs of a model besides its tokens: pixels, grids and what is an image or a video."""
    if media is None:
        return {}
    kind = media["kind"]
    suffix = "" if kind == "image" else "_videos"
    types = (ids == IMAGE).int() + 2 * (ids == VIDEO).int()
    return {
        f"pixel_values{suffix}": torch.tensor(media["levels"]) / 64,
        f"{kind}_grid_thw": torch.tensor(media["grids"]),
        "mm_token_type_ids": types,
    }


def sequence(model, prompt, response, media=None) -> dict:
    """What the model makes of a prompt and a response, and the gradients added up."""
    weights = torch.rand(response.shape[0]) * 2 - 1
    ids = torch.cat([prompt, response])[None]
    inputs = media_inputs(model, ids, media)
    logits = model(ids, use_cache=False, **inputs).logits[0, prompt.shape[0] - 1 : -1]
    log_probs = torch.log_softmax(logits, -1).gather(-1, response[:, None])[:, 0]
    (log_probs * weights).sum().backward()
    with torch.no_grad():
        greedy = model.generate(
            prompt[None], attention_mask=torch.ones_like(prompt)[None], do_sample=False,
            max_new_tokens=GREEDY_TOKENS, eos_token_id=0, pad_token_id=0, return_dict_in_generate=True,
            output_logits=True, **media_inputs(model, prompt[None], media),
        )  # fmt: skip
        steps = torch.stack(greedy.logits, 1)[0]
        best = greedy.sequences[0, prompt.shape[0] :]
        margin = steps.topk(2, -1).values
    assert media is None or best.max() < START, "a model that answers with placeholders is no test"
    return {
        "prompt_ids": prompt.tolist(),
        "response_ids": response.tolist(),
        "weights": weights.tolist(),
        "logprobs": log_probs.tolist(),
        "greedy": {
            "ids": best.tolist(),
            "logprobs": torch.log_softmax(steps, -1).gather(-1, best[:, None])[:, 0].tolist(),
            "min_margin": (margin[:, 0] - margin[:, 1]).min().item(),
        },
        **({} if media is None else media_reference(model, ids, media)),
    }


def media_reference(model, ids, media) -> dict:
    types = media_inputs(model, ids, media)["mm_token_type_ids"]
    positions, _ = model.model.get_rope_index(ids, types, **{f"{media['kind']}_grid_thw": torch.tensor(media["grids"])})
    return {"media": media, "positions": positions[:, 0].tolist()}


def media_sequences(model) -> list:
    """Sequences with one image, with two images and with a video."""

    def levels(*grids):
        return torch.randint(-64, 65, (sum(t * h * w for t, h, w in grids), PATCH_VALUES)).tolist()

    def placeholders(token, grid):
        if token == VIDEO and model.config.model_type.startswith("qwen3_vl"):
            return [one for _ in range(grid[0]) for one in [*text(2), *placeholders(None, grid[1:])]]
        return [START, *[token or VIDEO] * (math.prod(grid) // 4), END]

    def text(count):
        return torch.randint(1, 40, (count,)).tolist()

    sequences = []
    for kind, grids in [("image", [[1, 4, 6]]), ("image", [[1, 2, 2], [1, 6, 4]]), ("video", [[2, 4, 4]])]:
        token = IMAGE if kind == "image" else VIDEO
        prompt = text(2)
        for grid in grids:
            prompt += placeholders(token, grid) + text(3)
        media = {"kind": kind, "grids": grids, "levels": levels(*grids)}
        sequences.append(sequence(model, torch.tensor(prompt), torch.tensor(text(7)), media))
    return sequences


def as_on_the_hub(weights: Path) -> None:
    """Turns the stacks of experts to `[E, in, out]`; transformers 5 reads both, and writes the other."""
    tensors = load(weights.read_bytes())
    turned = {k: v.transpose(1, 2).contiguous() if ".experts." in k else v for k, v in tensors.items()}
    weights.write_bytes(save(turned, {"format": "pt"}))


def gradients(model) -> dict:
    """Gradients by the hub's names, by which experts that transformers has stacked are apart."""
    named = {}
    is_stacked = model.config.model_type == "qwen3_vl_moe"
    for name, p in model.named_parameters():
        if ".experts." not in name or is_stacked:
            # The hub's stacks are `[E, in, out]`.
            grad = p.grad.transpose(1, 2) if ".experts." in name else p.grad
            named[name] = grad.contiguous()
            continue
        prefix, stack = name.rsplit(".", 1)
        for expert, grad in enumerate(p.grad):
            parts = {"gate_up_proj": ["gate_proj", "up_proj"], "down_proj": ["down_proj"]}[stack]
            for part, own in zip(parts, grad.chunk(len(parts))):
                named[f"{prefix}.{expert}.{part}.weight"] = own.contiguous()
    return named


def write(family: str) -> None:
    torch.manual_seed(SEED)
    folder = HERE / family
    folder.mkdir(exist_ok=True)
    model = FAMILIES[family]()
    randomise(model)
    model.to(torch.bfloat16).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if model.config.model_type == "qwen3_vl_moe":
        as_on_the_hub(folder / "model.safetensors")
    model = type(model).from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    sequences = []
    for prompt_length, response_length in LENGTHS:
        # Few distinct tokens, so that rows of the embedding are met several times.
        ids = torch.randint(1, 40, (prompt_length + response_length,))
        sequences.append(sequence(model, ids[:prompt_length], ids[prompt_length:]))
    if hasattr(model.model, "visual"):
        sequences += media_sequences(model)
    (folder / "reference.json").write_text(json.dumps(sequences, separators=(",", ":")) + "\n")
    grads = save(gradients(model))
    (folder / "grads.safetensors.gz").write_bytes(gzip.compress(grads, mtime=0))


def main() -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for family in sys.argv[1:] or FAMILIES:
        write(family)


if __name__ == "__main__":
    main()
