"""A decoder layer of Qwen3-30B-A3B by transformers, forward and backward, as `node test/gpu/layer.ts 30b-a3b` measures it.

python3 test/gpu/peers/experts.py [grouped_mm|batched_mm|eager] [eager|compile]
"""

import json
import statistics
import sys
import time

import torch
from transformers import Qwen3MoeConfig
from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeDecoderLayer, Qwen3MoeRotaryEmbedding

experts = sys.argv[1] if len(sys.argv) > 1 else "grouped_mm"
compiled = len(sys.argv) > 2 and sys.argv[2] == "compile"
sequences, length = 8, 1024
config = Qwen3MoeConfig(
    hidden_size=2048, num_attention_heads=32, num_key_value_heads=4, head_dim=128, num_hidden_layers=1,
    num_experts=128, num_experts_per_tok=8, moe_intermediate_size=768, norm_topk_prob=True, vocab_size=1000,
    max_position_embeddings=32768, rms_norm_eps=1e-6,
)
config._attn_implementation = "sdpa"
config._experts_implementation = experts
with torch.device("cuda"):
    layer = Qwen3MoeDecoderLayer(config, 0).to(torch.bfloat16)
    rotary = Qwen3MoeRotaryEmbedding(config)
    for parameter in layer.parameters():
        torch.nn.init.uniform_(parameter, -0.015, 0.015)
    positions = torch.arange(length)[None].expand(sequences, length)
    hidden = (0.03 * (torch.rand(sequences, length, 2048) - 0.5)).to(torch.bfloat16).requires_grad_()
    gradient = torch.randn(sequences, length, 2048).to(torch.bfloat16)
angles = rotary(hidden, positions)
call = torch.compile(layer) if compiled else layer
forward, backward = [], []
for i in range(14):
    torch.cuda.synchronize()
    start = time.perf_counter()
    out = call(hidden, position_embeddings=angles, attention_mask=None)
    torch.cuda.synchronize()
    middle = time.perf_counter()
    out.backward(gradient)
    torch.cuda.synchronize()
    if i >= 4:
        forward.append(middle - start)
        backward.append(time.perf_counter() - middle)
print(json.dumps({
    "peer": f"transformers {experts} {'compile' if compiled else 'eager'}", "tokens": sequences * length,
    "forwardMs": round(1000 * statistics.median(forward), 2), "backwardMs": round(1000 * statistics.median(backward), 2),
}))
