"""A response with a picture inside, by transformers over the whole sequence: positions and log-probabilities.

    python3 generate.py ../micro-vl > case.json

The pixels follow a formula of integers, so nobody has to store them.
"""

import json
import sys

import torch
from transformers import Qwen2_5_VLForConditionalGeneration

GRIDS = [(1, 4, 6), (1, 2, 4)]  # of the prompt's picture, and of the one in the response
PATCH = 3 * 2 * 14 * 14


def pixels(rows, seed):
    at = torch.arange(rows * PATCH, dtype=torch.int64)
    return (((at * 7919 + seed) % 65536).double() / 32768 - 1).float().reshape(rows, PATCH)


model = Qwen2_5_VLForConditionalGeneration.from_pretrained(sys.argv[1], dtype=torch.float32, attn_implementation="eager").eval()
config = model.config
start, pad, end = config.vision_start_token_id, config.image_token_id, config.vision_end_token_id


def picture(grid):
    return [start] + [pad] * (grid[0] * grid[1] * grid[2] // 4) + [end]


prompt = [11, 12, 13] + picture(GRIDS[0]) + [14, 15]
# A turn, a picture and a question as an environment shows them, another turn.
response = [21, 22, 23, 24, 31, 32] + picture(GRIDS[1]) + [33, 34, 41, 42, 43]
ids = torch.tensor([prompt + response])
grids = torch.tensor(GRIDS)
values = torch.cat([pixels(h * w, 17 * i) for i, (_, h, w) in enumerate(GRIDS)])
with torch.no_grad():
    positions, _ = model.model.get_rope_index(
        input_ids=ids,
        mm_token_type_ids=(ids == pad).int(),
        image_grid_thw=grids,
        attention_mask=torch.ones_like(ids),
    )
    logits = model(input_ids=ids, pixel_values=values, image_grid_thw=grids, position_ids=positions).logits[0]
    log_probs = torch.log_softmax(logits.double(), -1)
first = len(prompt)
json.dump(
    {
        "prompt_ids": prompt,
        "response_ids": response,
        "grids": GRIDS,
        "position_ids": positions[:, 0].tolist(),
        "logprobs": [log_probs[first + i - 1, token].item() for i, token in enumerate(response)],
    },
    sys.stdout,
)
