#!/usr/bin/env python3
"""Reduce golden_vl.py's tensors.safetensors to what the tests need.

Response logits are dropped (cases.json keeps their log-probabilities, entropies and top five), and of
the pixel values, whose rows hold every still image twice (channel, time, y, x), only the first frame is kept:
[N, 3 * 2 * 14 * 14] becomes [N, 3 * 14 * 14].
"""

import sys

import torch
from safetensors.torch import load_file, save_file

tensors = {}
for name, tensor in load_file(sys.argv[1]).items():
    if name.endswith(".pixel_values"):
        frames = tensor.reshape(-1, 3, 2, 196)
        assert torch.equal(frames[:, :, 0], frames[:, :, 1])
        tensors[name.replace("pixel_values", "pixel_frames")] = frames[:, :, 0].reshape(-1, 588).contiguous()
    elif name.endswith(".vision_embeds"):
        tensors[name] = tensor
save_file(tensors, sys.argv[2])
