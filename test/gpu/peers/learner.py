"""Training steps of test/gpu/learner.ts by transformers: the same shapes, bf16, fused AdamW.

python3 test/gpu/peers/learner.py [tokens a micro-batch] [eager|compile]
"""

import json
import sys
import time

import torch
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

micro = int(sys.argv[1]) if len(sys.argv) > 1 else 8192
compiled = len(sys.argv) > 2 and sys.argv[2] == "compile"
sequences, length, prompt = 24, 1024, 512
text = dict(
    hidden_size=2048, intermediate_size=11008, num_attention_heads=16, num_hidden_layers=36, num_key_value_heads=2,
    vocab_size=151936, max_position_embeddings=128000, tie_word_embeddings=False, rms_norm_eps=1e-6,
    rope_parameters=dict(rope_type="default", rope_theta=1e6, mrope_section=[16, 24, 24]), use_cache=False,
)
vision = dict(
    depth=32, hidden_size=1280, intermediate_size=3420, num_heads=16, out_hidden_size=2048, patch_size=14,
    window_size=112, fullatt_block_indexes=[7, 15, 23, 31],
)
config = Qwen2_5_VLConfig(
    text_config=text, vision_config=vision, image_token_id=151655, video_token_id=151656, vision_start_token_id=151652,
    vision_end_token_id=151653, tie_word_embeddings=False,
)
config._attn_implementation = "sdpa"
torch.manual_seed(0)
torch.set_default_dtype(torch.bfloat16)
with torch.device("cuda"):
    model = Qwen2_5_VLForConditionalGeneration(config)
torch.set_default_dtype(torch.float32)
model.train()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.0, fused=True)
if compiled:
    for layer in model.model.language_model.layers:
        layer.forward = torch.compile(layer.forward)
size = micro // length
ids = torch.randint(0, 150000, (sequences, length), device="cuda")
ids[:, 0], ids[:, 1:21], ids[:, 21] = 151652, 151655, 151653
pixels = torch.randn(80, 1176, device="cuda", dtype=torch.bfloat16)
types = (ids == 151655).int()


def step():
    optimizer.zero_grad(set_to_none=True)
    for at in range(0, sequences, size):
        rows = ids[at : at + size]
        hidden = model.model(
            input_ids=rows,
            pixel_values=pixels.repeat(size, 1),
            image_grid_thw=torch.tensor([[1, 8, 10]] * size, device="cuda"),
            mm_token_type_ids=types[at : at + size],
        ).last_hidden_state
        logits = model.lm_head(hidden[:, prompt - 1 : -1]).float()
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, prompt:].flatten(), reduction="sum")
        (loss / (sequences * (length - prompt))).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


times = []
for i in range(6):
    torch.cuda.synchronize()
    start = time.perf_counter()
    step()
    torch.cuda.synchronize()
    times.append(time.perf_counter() - start)
print(
    json.dumps(
        dict(
            peer="transformers " + ("compiled layers" if compiled else "eager"), microTokens=micro,
            seconds=round(sorted(times[2:])[2], 3), peakGiB=round(torch.cuda.max_memory_allocated() / 2**30, 1),
        )
    ),
    flush=True,
)
