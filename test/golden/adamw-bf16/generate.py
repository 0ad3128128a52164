#!/usr/bin/env python3
"""AdamW with bf16 moments and Kahan summation, tensor by tensor in torch, for parameters in bf16 and in float32."""

from __future__ import annotations

import json
from pathlib import Path

import torch

LR, BETAS, DECAY, EPS, STEPS, SIZE = 0.01, (0.9, 0.98), 0.05, 1e-8, 6, 96


def run(dtype: torch.dtype) -> dict:
    generator = torch.Generator().manual_seed(7)
    p = torch.randn(SIZE, generator=generator).to(dtype)
    m, v, c = (torch.zeros(SIZE, dtype=torch.bfloat16) for _ in range(3))
    start, gradients, after = p.tolist(), [], []
    for step in range(1, STEPS + 1):
        scale = 10.0 ** torch.randint(-4, 2, (SIZE,), generator=generator)
        g = (torch.randn(SIZE, generator=generator) * scale).to(dtype)
        gradients.append(g.tolist())
        p.mul_(1 - LR * DECAY)
        m.mul_(BETAS[0]).add_(g, alpha=1 - BETAS[0])
        v.mul_(BETAS[1]).addcmul_(g, g, value=1 - BETAS[1])
        denominator = (v.sqrt() / (1 - BETAS[1] ** step) ** 0.5).add_(EPS, alpha=1)
        c.addcdiv_(m, denominator, value=-LR / (1 - BETAS[0] ** step))
        old = p.clone()
        p.add_(c)
        c.add_(old.sub_(p))
        after.append({"p": p.tolist(), "m": m.tolist(), "v": v.tolist(), "c": c.tolist()})
    return {"parameters": start, "gradients": gradients, "after": after}


here = Path(__file__).parent
options = {"lr": LR, "betas": BETAS, "weight_decay": DECAY, "eps": EPS}
cases = {"bf16": run(torch.bfloat16), "f32": run(torch.float32)}
(here / "cases.json").write_text(json.dumps({"options": options, **cases}) + "\n")
manifest = {
    "what": "AdamW with bf16 moments and Kahan summation",
    "generator": "generate.py",
    "seed": 7,
    "versions": {"torch": torch.__version__},
    "tolerance": "equal, but for sums that torch fuses: one unit of bf16",
}
(here / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
