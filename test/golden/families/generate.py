#!/usr/bin/env python3
"""Write a tiny random checkpoint of each model family and what transformers computes with it (fp32, eager, CPU).

Usage: generate.py [FAMILY ...]; all of them when none is named.

One folder a family: config.json and model.safetensors (bfloat16) as the hub would have them, reference.json
(sequences, per-token log-probabilities, greedy continuations) and grads.safetensors (gradients of the sum of
log-probability x weight over all response tokens). Norm weights and biases are random too, so that a wrong use
of one shows. Sizes are small and differ from each other, and heads are not hidden_size / num_attention_heads
wide where a family allows that.
"""

import json
import math
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

SEED = 5
HERE = Path(__file__).parent
# Prompt and response tokens of each sequence.
LENGTHS = [(1, 6), (9, 1), (37, 12), (5, 23)]
GREEDY_TOKENS = 12

TEXT = {
    "vocab_size": 64, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "max_position_embeddings": 512,
    "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": None, "dtype": "bfloat16",
}  # fmt: skip
SMALL_HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
LARGE_HEADS = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}
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
                p.normal_(0.0, gain / math.sqrt(math.prod(p.shape[1:])))


def sequence(model, prompt, response) -> dict:
    """What the model makes of a prompt and a response, and the gradients added up."""
    weights = torch.rand(response.shape[0]) * 2 - 1
    ids = torch.cat([prompt, response])[None]
    logits = model(ids, use_cache=False).logits[0, prompt.shape[0] - 1 : -1]
    log_probs = torch.log_softmax(logits, -1).gather(-1, response[:, None])[:, 0]
    (log_probs * weights).sum().backward()
    with torch.no_grad():
        greedy = model.generate(
            prompt[None], attention_mask=torch.ones_like(prompt)[None], do_sample=False,
            max_new_tokens=GREEDY_TOKENS, eos_token_id=0, pad_token_id=0, return_dict_in_generate=True,
            output_logits=True,
        )  # fmt: skip
        steps = torch.stack(greedy.logits, 1)[0]
        best = greedy.sequences[0, prompt.shape[0] :]
        margin = steps.topk(2, -1).values
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
    }


def write(family: str) -> None:
    torch.manual_seed(SEED)
    folder = HERE / family
    folder.mkdir(exist_ok=True)
    model = FAMILIES[family]()
    randomise(model)
    model.to(torch.bfloat16).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    model = type(model).from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    sequences = []
    for prompt_length, response_length in LENGTHS:
        # Few distinct tokens, so that rows of the embedding are met several times.
        ids = torch.randint(1, 40, (prompt_length + response_length,))
        sequences.append(sequence(model, ids[:prompt_length], ids[prompt_length:]))
    (folder / "reference.json").write_text(json.dumps(sequences) + "\n")
    save_file({name: p.grad.contiguous() for name, p in model.named_parameters()}, folder / "grads.safetensors")


def main() -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for family in sys.argv[1:] or FAMILIES:
        write(family)


if __name__ == "__main__":
    main()
