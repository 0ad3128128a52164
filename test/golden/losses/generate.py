"""Cases of reward scales, loss averages, entropy and the covariance losses, by the code of verl and TRL.

    python3 generate.py VERL_CHECKOUT TRL_CHECKOUT > cases.json

Single functions are taken out of the checkouts, so torch and numpy are all that it needs.
"""

import ast
import json
import sys
import types
from collections import defaultdict
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch

verl, trl = Path(sys.argv[1]), Path(sys.argv[2])


def functions(path, names, **scope):
    """Functions of a file, methods among them, without their decorators."""
    found = [node for node in ast.walk(ast.parse(path.read_text())) if getattr(node, "name", None) in names]
    for node in found:
        node.decorator_list = []
    scope = {"torch": torch, "np": np, "defaultdict": defaultdict, "Any": Any, "Optional": Optional, **scope}
    exec(compile(ast.Module(found, []), str(path), "exec"), scope)
    return types.SimpleNamespace(**{name: scope[name] for name in names})


masked = functions(
    verl / "verl/utils/torch_functional.py", ["masked_sum", "masked_mean", "entropy_from_logits"]
)
core = functions(
    verl / "verl/trainer/ppo/core_algos.py",
    [
        "compute_grpo_outcome_advantage",
        "compute_grpo_passk_outcome_advantage",
        "agg_loss",
        "compute_policy_loss_clip_cov",
        "compute_policy_loss_kl_cov",
    ],
    verl_F=masked,
    ActorConfig=types.SimpleNamespace,
    AlgoConfig=type("AlgoConfig", (), {}),
)
nanstd = functions(trl / "trl/trainer/utils.py", ["nanstd"]).nanstd
high_entropy_mask = functions(
    trl / "trl/trainer/grpo_trainer.py", ["get_high_entropy_mask"]
).get_high_entropy_mask


def draw(*shape, low=-1.0, high=1.0):
    """Random numbers of three decimals, which JSON carries exactly."""
    return ((torch.rand(*shape) * (high - low) + low) * 1000).round() / 1000


def mask_of(lengths, width):
    return (torch.arange(width) < torch.tensor(lengths)[:, None]).float()


def scales():
    """verl's own `group` and `none`; `batch` is TRL's deviation of all rewards, over verl's 1e-6."""
    torch.manual_seed(1)
    cases = []
    for groups in ["aabb", "abcabcab", "aaaabbbb"]:
        scores = draw(len(groups), low=0)
        if groups == "aaaabbbb":
            scores[:4] = 0.5
        ones, index = torch.ones(len(groups), 1), np.array(list(groups))
        config = {True: {"norm_adv_by_std_in_grpo": True}, False: {"norm_adv_by_std_in_grpo": False}}
        for name in ["grpo", "grpo_passk"]:
            values = {}
            for scaled in [True, False]:
                given = [scores[:, None].clone(), ones, index]
                if name == "grpo":
                    result = core.compute_grpo_outcome_advantage(*given, norm_adv_by_std_in_grpo=scaled)
                else:
                    result = core.compute_grpo_passk_outcome_advantage(*given, config=config[scaled])
                values["group" if scaled else "none"] = result[0][:, 0]
            values["batch"] = values["none"] / (nanstd(scores) + 1e-6)
            for scale, advantages in values.items():
                cases.append(
                    dict(
                        name=name,
                        scale=scale,
                        groups=list(groups),
                        scores=scores.tolist(),
                        advantages=advantages.flatten().tolist(),
                    )
                )
    return cases


MODES = ["token-mean", "seq-mean-token-mean", "seq-mean-token-sum", "seq-mean-token-sum-norm"]


def averages():
    """Whole mini-batches. verl's `seq-mean-token-sum-norm` has no mean over sequences, so it is divided by their number."""
    torch.manual_seed(2)
    cases = []
    for lengths in [[3, 1, 4], [2, 0, 5, 5], [4]]:
        mask = mask_of(lengths, 5)
        for mode in MODES:
            values = draw(len(lengths), 5).requires_grad_()
            loss = core.agg_loss(
                values, mask, mode, global_batch_size=len(lengths), loss_scale_factor=7
            )
            if mode.endswith("norm"):
                loss = loss / len(lengths)
            loss.backward()
            cases.append(
                dict(
                    mode=mode,
                    factor=7,
                    mask=mask.int().tolist(),
                    values=values.tolist(),
                    average=loss.item(),
                    weights=values.grad.tolist(),
                )
            )
    return cases


def covariance_losses():
    """Bounds and ratios that choose all candidates, since verl chooses among more of them at random."""
    torch.manual_seed(3)
    cases = []
    for lengths in [[4, 6, 2, 5], [1, 3], [6, 6, 6, 6, 6]]:
        rows = len(lengths)
        mask = mask_of(lengths, 6)
        for loss_type, policy in [
            ("clip_cov", dict(clip_cov_ratio=1.0, clip_cov_lb=0.3, clip_cov_ub=1.5)),
            ("clip_cov", dict(clip_cov_ratio=1.0, clip_cov_lb=1.0, clip_cov_ub=5.0)),
            ("kl_cov", dict(kl_cov_ratio=0.3, ppo_kl_coef=1.0)),
            ("kl_cov", dict(kl_cov_ratio=0.0002, ppo_kl_coef=0.5)),
        ]:
            old = draw(rows, 6, low=-3, high=-0.1)
            log_prob = (old + draw(rows, 6, low=-0.6, high=0.6)).requires_grad_()
            advantages = draw(rows, 6, low=-2, high=2)
            config = types.SimpleNamespace(
                policy_loss=types.SimpleNamespace(**policy),
                clip_ratio=0.2,
                clip_ratio_low=0.2,
                clip_ratio_high=0.3,
                global_batch_info={},
            )
            loss, metrics = getattr(core, f"compute_policy_loss_{loss_type}")(
                old, log_prob, advantages, mask, config=config
            )
            loss.backward()
            cases.append(
                dict(
                    lossType=loss_type,
                    options=policy,
                    mask=mask.int().tolist(),
                    oldLogProbs=old.tolist(),
                    logProbs=log_prob.tolist(),
                    advantages=advantages.tolist(),
                    loss=loss.item(),
                    gradient=log_prob.grad.tolist(),
                    metrics=metrics,
                )
            )
    return cases


def entropies():
    """Rows from even to sharp, with one token that is nearly certain."""
    torch.manual_seed(4)
    cases = []
    for size, spread in [(2, 1.0), (7, 3.0), (33, 10.0), (5, 0.0)]:
        logits = draw(3, size, low=-spread, high=spread)
        logits[0, 0] += 20 if size == 7 else 0
        logits.requires_grad_()
        values = masked.entropy_from_logits(logits)
        factors = draw(3)
        (values * factors).sum().backward()
        cases.append(
            dict(
                logits=logits.tolist(),
                factors=factors.tolist(),
                entropies=values.tolist(),
                gradient=logits.grad.tolist(),
            )
        )
    return cases


def high_entropies():
    torch.manual_seed(5)
    accelerator = types.SimpleNamespace(
        pad_across_processes=lambda values, **_: values, gather=lambda values: values
    )
    trainer = types.SimpleNamespace(accelerator=accelerator)
    cases = []
    for lengths in [[3, 6, 1], [6, 2]]:
        mask = mask_of(lengths, 6)
        values = draw(len(lengths), 6, low=0, high=3)
        values[0, :2] = values[1, 0]
        for share in [0.0, 0.2, 0.5, 0.8]:
            kept = high_entropy_mask(trainer, values, mask, 1 - share)
            cases.append(
                dict(
                    quantile=share,
                    mask=mask.int().tolist(),
                    entropies=values.tolist(),
                    kept=kept.int().tolist(),
                )
            )
    return cases


json.dump(
    dict(
        scales=scales(),
        averages=averages(),
        covarianceLosses=covariance_losses(),
        entropies=entropies(),
        highEntropies=high_entropies(),
    ),
    sys.stdout,
)
