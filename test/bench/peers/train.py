"""A PyTorch training step on CPU, eager, f32: forward with token log-probabilities, backward, fused AdamW."""

import json
import sys
import time

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

options = json.loads(sys.argv[1])
torch.set_num_threads(options["threads"])
torch.manual_seed(0)
model = Qwen2ForCausalLM(Qwen2Config(**options["config"])).train()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.0, fused=True)


def step(ids):
    begin = time.perf_counter()
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
    log_probs = torch.log_softmax(model.lm_head(hidden[:, :-1]), -1)
    chosen = log_probs.gather(-1, ids[:, 1:, None])
    loss = -chosen.sum() / ids.numel()
    forward = time.perf_counter()
    loss.backward()
    backward = time.perf_counter()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    end = time.perf_counter()
    return {
        "step": end - begin, "forward": forward - begin,
        "backward": backward - forward, "optimizer": end - backward,
    }  # fmt: skip


for line in sys.stdin:
    case = json.loads(line)
    ids = torch.randint(0, model.config.vocab_size, (case["batch"], case["length"]))
    print(json.dumps(step(ids)), flush=True)
