#!/usr/bin/env python3
"""Golden data of videos: ../micro-vl over a few frames, by transformers (fp32, eager attention, CPU).

    pip install torch torchvision transformers pillow && python3 generate.py

cases.json has the token ids, grids, mrope positions and log-probabilities of each case and, of its pixel values, sums
and single values; frames/*.png are the frames. sampling.json has frame numbers by torch.linspace, as qwen-vl-utils
takes them.

Positions are those of EasyR1 and of transformers before version 5: the text after a video goes on from the maximum of
its positions plus one. Newer versions go on after its height or width, so that long videos overlap the text; where
the two agree they are compared.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torchvision
import transformers
from PIL import Image
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2VLVideoProcessor

here = Path(__file__).resolve().parent
checkpoint = here.parent / "micro-vl"
torch.manual_seed(0)
tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
model = Qwen2_5_VLForConditionalGeneration.from_pretrained(
    checkpoint, dtype=torch.float32, attn_implementation="eager"
).eval()
processor = Qwen2VLVideoProcessor(min_pixels=3136, max_pixels=50176)
VIDEO_PAD = tokenizer.convert_tokens_to_ids("<|video_pad|>")

(here / "frames").mkdir(exist_ok=True)


def frame(number: int, width: int, height: int) -> np.ndarray:
    """A bright square that moves over a gradient."""
    y, x = np.mgrid[0:height, 0:width]
    picture = np.stack([x * 255 // width, y * 255 // height, (x + y + 40 * number) % 256], -1)
    left = 6 * number
    picture[8 : 8 + 14, left : left + 14] = [255, 240 - 30 * number, 20 * number]
    return picture.astype(np.uint8)


def positions_of(ids: list[int], grid: list[int], seconds: float) -> np.ndarray:
    """Rows of time, height and width for a prompt with one video."""
    start = ids.index(VIDEO_PAD)
    t, h, w = grid[0], grid[1] // 2, grid[2] // 2
    time, y, x = np.mgrid[0:t, 0:h, 0:w].reshape(3, -1)
    video = np.stack([(time * seconds * 2).astype(np.int64), y, x]) + start
    rest = np.arange(len(ids) - start - t * h * w) + video.max() + 1
    return np.concatenate([np.tile(np.arange(start), (3, 1)), video, np.tile(rest, (3, 1))], 1)


cases = []
for name, count, (width, height), seconds, text in [
    ("moving", 4, (84, 56), 1.0, "What moves?"),
    ("slow", 6, (56, 56), 2.5, "Describe the findings."),
    ("fast", 2, (56, 84), 0.3, "Is it fast?"),
]:
    frames = [frame(i, width, height) for i in range(count)]
    names = [f"frames/{name}-{i}.png" for i in range(count)]
    for path, pixels in zip(names, frames):
        Image.fromarray(pixels).save(here / path)
    inputs = processor(videos=[np.stack(frames)], return_tensors="pt")
    grid = inputs["video_grid_thw"]
    messages = [{"role": "user", "content": [{"type": "video"}, {"type": "text", "text": text}]}]
    chat = tokenizer.apply_chat_template(
        messages,
        chat_template=json.loads((checkpoint / "chat_template.json").read_text())["chat_template"],
        tokenize=False,
        add_generation_prompt=True,
    )
    tokens = int(grid.prod()) // 4
    prompt = tokenizer(chat.replace("<|video_pad|>", "<|video_pad|>" * tokens), add_special_tokens=False)["input_ids"]
    response = tokenizer("The square moves right.", add_special_tokens=False)["input_ids"]
    response.append(tokenizer.convert_tokens_to_ids("<|im_end|>"))
    ids = torch.tensor([prompt + response])
    types = torch.where(ids == VIDEO_PAD, 2, 0)
    newer, _ = model.model.get_rope_index(
        ids,
        mm_token_type_ids=types,
        video_grid_thw=grid,
        second_per_grid_ts=torch.tensor([seconds]),
        attention_mask=torch.ones_like(ids),
    )
    positions = torch.tensor(positions_of(prompt + response, grid[0].tolist(), seconds))[:, None]
    if name != "slow":
        assert torch.equal(positions, newer), name
    with torch.no_grad():
        logits = model(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            position_ids=positions,
            pixel_values_videos=inputs["pixel_values_videos"],
            video_grid_thw=grid,
            mm_token_type_ids=types,
            use_cache=False,
        ).logits[0, len(prompt) - 1 : -1]
    logprobs = torch.log_softmax(logits, -1).gather(-1, ids[0, len(prompt) :, None])[:, 0]
    values = inputs["pixel_values_videos"]
    at = list(range(0, values.numel(), 997))
    cases.append(
        {
            "name": name,
            "text": text,
            "frames": names,
            "seconds_per_grid": seconds,
            "grid": grid[0].tolist(),
            "prompt_ids": prompt,
            "response_ids": response,
            "positions": positions[:, 0].tolist(),
            "logprobs": logprobs.tolist(),
            "pixels": {
                "shape": list(values.shape),
                "sum": values.double().sum().item(),
                "sum_sq": values.double().square().sum().item(),
                "at": at,
                "values": values.flatten()[at].tolist(),
            },
        }
    )

sampling = []
for total, count in [(4, 4), (5, 4), (30, 20), (97, 12), (251, 40), (1000, 768), (2999, 200), (7, 6)]:
    indices = torch.linspace(0, total - 1, count).round().long().tolist()
    sampling.append({"total": total, "count": count, "indices": indices})


def write(name: str, value: object) -> None:
    (here / name).write_text(json.dumps(value, separators=(",", ":")) + "\n")


write("cases.json", cases)
write("sampling.json", sampling)
(here / "manifest.json").write_text(
    json.dumps(
        {
            "what": "what transformers computes with ../micro-vl over videos: fp32, eager attention, CPU",
            "generator": "generate.py",
            "versions": {
                "torch": torch.__version__,
                "torchvision": torchvision.__version__,
                "transformers": transformers.__version__,
                "pillow": Image.__version__,
            },
            "tolerance": {
                "tokenIdsAndPositions": "equal",
                "pixelValues": {"maxAbsolute": 1e-6},
                "logProbs": {"maxAbsolute": 0.0001},
            },
        },
        indent=2,
    )
    + "\n"
)
