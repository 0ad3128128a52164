#!/usr/bin/env python3
"""Write what transformers computes with qwen3-moe where the weights of a token's experts stay as they are, not divided
by their sum (fp32, eager, CPU).

experts.json holds the log-probabilities of the responses of qwen3-moe/reference.json, the greedy continuations, and the
norm of the router's gradient in each layer that has one.
"""

import json
from pathlib import Path

import torch
from transformers import AutoConfig, Qwen3MoeForCausalLM

HERE = Path(__file__).parent
GREEDY_TOKENS = 8


def main() -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    folder = HERE / "qwen3-moe"
    config = AutoConfig.from_pretrained(folder)
    config.norm_topk_prob = False
    model = Qwen3MoeForCausalLM.from_pretrained(
        folder, config=config, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    cases = []
    for case in json.loads((folder / "reference.json").read_text()):
        prompt, response = (torch.tensor(case[key]) for key in ("prompt_ids", "response_ids"))
        logits = model(torch.cat([prompt, response])[None], use_cache=False).logits[0, len(prompt) - 1 : -1]
        log_probs = torch.log_softmax(logits, -1).gather(-1, response[:, None])[:, 0]
        (log_probs * torch.tensor(case["weights"])).sum().backward()
        with torch.no_grad():
            greedy = model.generate(
                prompt[None], attention_mask=torch.ones_like(prompt)[None], do_sample=False,
                max_new_tokens=GREEDY_TOKENS, eos_token_id=0, pad_token_id=0,
            )  # fmt: skip
        cases.append({"logprobs": log_probs.tolist(), "greedy": greedy[0, len(prompt) :].tolist()})
    norms = {name: p.grad.norm().item() for name, p in model.named_parameters() if name.endswith("mlp.gate.weight")}
    result = {"cases": cases, "gradient_norms": norms}
    (HERE / "experts.json").write_text(json.dumps(result, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
