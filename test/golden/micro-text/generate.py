#!/usr/bin/env python3
"""Write a random Qwen2ForCausalLM checkpoint and what transformers computes with it (fp32, eager, CPU).

Beside this script: config.json and model.safetensors (bfloat16, tied embeddings, so no lm_head.weight),
reference.json (sequences, per-token log-probabilities, greedy continuations) and grads.safetensors
(gradients of the sum of log-probability x weight over all response tokens, float32; an embedding's
gradient holds both of its uses). Norm weights and biases are random too, so that a wrong use of one shows.
"""

import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import Qwen2Config, Qwen2ForCausalLM

SEED = 3
HERE = Path(__file__).parent
# Prompt and response tokens of each sequence.
LENGTHS = [(1, 6), (9, 1), (17, 12), (5, 23)]
GREEDY_TOKENS = 16


def main() -> None:
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    config = Qwen2Config(
        vocab_size=131, hidden_size=32, intermediate_size=56, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=512, rms_norm_eps=1e-6, tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, bos_token_id=0, eos_token_id=0,
        pad_token_id=None, dtype="bfloat16",
    )  # fmt: skip
    model = Qwen2ForCausalLM(config)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim == 1:
                p.normal_(1.0 if "norm" in name else 0.0, 0.1)
            elif "embed_tokens" in name:
                p.normal_(0.0, 0.3)
            else:
                gain = 1.6 if "q_proj" in name or "k_proj" in name else 1.0
                p.normal_(0.0, gain / math.sqrt(p.shape[1]))
    model.to(torch.bfloat16).save_pretrained(HERE)
    (HERE / "generation_config.json").unlink(missing_ok=True)
    model = Qwen2ForCausalLM.from_pretrained(HERE, dtype=torch.float32, attn_implementation="eager").eval()

    sequences = []
    for prompt_length, response_length in LENGTHS:
        # Few distinct tokens, so that rows of the embedding are met several times.
        ids = torch.randint(1, 40, (1, prompt_length + response_length))
        weights = torch.rand(response_length) * 2 - 1
        logits = model(ids, use_cache=False).logits[0, prompt_length - 1 : -1]
        log_probs = torch.log_softmax(logits, -1).gather(-1, ids[0, prompt_length:, None])[:, 0]
        (log_probs * weights).sum().backward()
        with torch.no_grad():
            greedy = model.generate(
                ids[:, :prompt_length], attention_mask=torch.ones(1, prompt_length, dtype=torch.long),
                do_sample=False, max_new_tokens=GREEDY_TOKENS, eos_token_id=0, pad_token_id=0,
                return_dict_in_generate=True, output_logits=True,
            )  # fmt: skip
            steps = torch.stack(greedy.logits, 1)[0]
            best = greedy.sequences[0, prompt_length:]
            margin = steps.topk(2, -1).values
        sequences.append(
            {
                "prompt_ids": ids[0, :prompt_length].tolist(),
                "response_ids": ids[0, prompt_length:].tolist(),
                "weights": weights.tolist(),
                "logprobs": log_probs.tolist(),
                "greedy": {
                    "ids": best.tolist(),
                    "logprobs": torch.log_softmax(steps, -1).gather(-1, best[:, None])[:, 0].tolist(),
                    "min_margin": (margin[:, 0] - margin[:, 1]).min().item(),
                },
            }
        )
    (HERE / "reference.json").write_text(json.dumps(sequences) + "\n")
    grads = {name: p.grad.contiguous() for name, p in model.named_parameters()}
    assert "lm_head.weight" not in grads
    save_file(grads, HERE / "grads.safetensors")


if __name__ == "__main__":
    main()
