"""Cases of verl's and TRL's advantages and policy losses that EasyR1 does not have, by their own code.

    python3 generate.py VERL_CHECKOUT TRL_CHECKOUT > cases.json

Only the functions that are named below are loaded, so torch and numpy are all it needs.
"""

import ast
import __future__
import json
import math
import random
import sys
import types
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import numpy
import torch

random.seed(14)
verl, trl = (Path(path) for path in sys.argv[1:3])


class NoAlgorithmConfig:
    """The class of configs that verl's geo_mean refuses."""


def functions(path, names, **scope):
    """The functions of a file, or the methods of its classes, by name and without their decorators."""
    found = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name in names
    ]
    for node in found:
        node.decorator_list = []
    scope |= {"torch": torch, "math": math, "defaultdict": defaultdict, "AlgoConfig": NoAlgorithmConfig}
    code = ast.Module(body=found, type_ignores=[])
    flags = __future__.annotations.compiler_flag
    exec(compile(code, str(path), "exec", flags=flags, dont_inherit=True), scope)
    return SimpleNamespace(**{name: scope[name] for name in names})


masked = functions(
    verl / "verl/utils/torch_functional.py",
    ["masked_sum", "masked_mean", "masked_var", "masked_whiten"],
)
core = functions(
    verl / "verl/trainer/ppo/core_algos.py",
    [
        "compute_reinforce_plus_plus_baseline_outcome_advantage",
        "compute_opo_outcome_advantage",
        "compute_gpg_outcome_advantage",
        "compute_policy_loss_gpg",
        "compute_policy_loss_geo_mean",
        "agg_loss",
    ],
    verl_F=masked,
)
ESTIMATORS = {
    "reinforce_plus_plus_baseline": core.compute_reinforce_plus_plus_baseline_outcome_advantage,
    "opo": core.compute_opo_outcome_advantage,
    "gpg": core.compute_gpg_outcome_advantage,
}


def draw(shape, low, high):
    count = math.prod(shape)
    values = [round(random.uniform(low, high), 3) for _ in range(count)]
    return torch.tensor(values, dtype=torch.float32).reshape(shape)


def mask_of(lengths, columns, holes):
    mask = torch.zeros(len(lengths), columns)
    for row, length in enumerate(lengths):
        mask[row, :length] = 1
        if holes and length > 2:
            mask[row, 1] = 0
    return mask


def advantages():
    cases = []
    for name, estimate in ESTIMATORS.items():
        for kind in ["random", "holes", "large", "binary", "all equal"]:
            groups = [group for group in "abcd" for _ in range(random.choice([2, 3, 5]))]
            random.shuffle(groups)
            lengths = [random.randint(1, 7) for _ in groups]
            mask = mask_of(lengths, 7, kind == "holes")
            rewards = draw(mask.shape, -1, 1) * (1000 if kind == "large" else 1) * mask
            if kind in ["binary", "all equal"]:
                # A reward at the last token alone, often 0.
                rewards = torch.zeros_like(rewards)
                for row, length in enumerate(lengths):
                    level = random.choice([0.0, 0.0, 1.0]) if kind == "binary" else float("abcd".index(groups[row]))
                    rewards[row, length - 1] = level
            result, returns = estimate(
                token_level_rewards=rewards.clone(), response_mask=mask, index=numpy.array(groups), config=None
            )
            assert torch.equal(result, returns)
            case = dict(name=name, kind=kind, groups=groups, mask=mask, rewards=rewards, advantages=result)
            cases.append(case)
    return cases


def loss_input(kind, shape, holes):
    lengths = [random.randint(1, shape[1]) for _ in range(shape[0])]
    mask = mask_of(lengths, shape[1], holes)
    old = draw(shape, -3, 0)
    # Ratios that are clipped and such that are not; a response's product may be far out of any bound.
    change = draw(shape, -0.6, 0.6) * (8 if kind == "far" else 1)
    advantages = draw((shape[0], 1), -2, 2).expand(shape) if kind != "by token" else draw(shape, -2, 2)
    if kind == "zero":
        advantages = torch.zeros(shape)
    return mask, old, old + change, advantages.contiguous()


def verl_loss(name, options, mask, old, log_probs, advantages):
    config = SimpleNamespace(
        clip_ratio=None,
        clip_ratio_low=options["clipRatioLow"],
        clip_ratio_high=options["clipRatioHigh"],
        global_batch_info={},
    )
    loss_of = {"gpg": core.compute_policy_loss_gpg, "geo_mean": core.compute_policy_loss_geo_mean}[name]
    mode = {"token": "token-mean", "seq": "seq-mean-token-mean"}[options["lossAvgMode"]]
    loss, metrics = loss_of(old, log_probs, advantages, mask, loss_agg_mode=mode, config=config)
    names = {"actor/pg_clipfrac": "pg_clipfrac_higher", "actor/pg_clipfrac_lower": "pg_clipfrac_lower"}
    return loss, {names[key]: value for key, value in metrics.items() if key in names}


trainer = functions(
    trl / "trl/trainer/grpo_trainer.py",
    ["_compute_loss", "get_gamma_weights"],
    # Extremes of clip shares, which are not compared.
    nanmin=torch.min,
    nanmax=torch.max,
)


def trl_loss(name, options, mask, old, log_probs, advantages, importance=None):
    recorded = defaultdict(lambda: defaultdict(list))
    this = SimpleNamespace(
        loss_type=name,
        epsilon_low=options["clipRatioLow"],
        epsilon_high=options["clipRatioHigh"],
        importance_sampling_level="sequence" if name == "luspo" else "token",
        args=SimpleNamespace(
            delta=options["clipRatioDual"],
            vespo_k_pos=options["vespoKPos"],
            vespo_lambda_pos=options["vespoLambdaPos"],
            vespo_k_neg=options["vespoKNeg"],
            vespo_lambda_neg=options["vespoLambdaNeg"],
        ),
        beta=0.0,
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        use_vllm=importance is not None,
        vllm_importance_sampling_correction=True,
        aux_loss_enabled=False,
        _entropy_bonus_enabled=False,
        current_gradient_accumulation_steps=1,
        accelerator=SimpleNamespace(num_processes=1, reduce=lambda x, reduction: x, gather=lambda x: x),
        model=SimpleNamespace(training=True),
        _metrics=recorded,
        get_gamma_weights=torch.no_grad()(trainer.get_gamma_weights),
        _get_per_token_logps_and_entropies=lambda *_, **__: (log_probs, torch.zeros_like(log_probs), None),
    )
    ids = torch.zeros(mask.shape, dtype=torch.long)
    inputs = dict(
        prompt_ids=ids, prompt_mask=ids, completion_ids=ids, completion_mask=mask,
        advantages=advantages[:, 0], old_per_token_logps=old, num_items_in_batch=mask.sum(),
    )  # fmt: skip
    if importance is not None:
        inputs["importance_sampling_ratio"] = importance
    loss = trainer._compute_loss(this, None, inputs)
    return loss, {"phi_seq_mean": phi for phi in recorded["train"]["vespo/phi_seq_mean"]}


def losses():
    plans = [
        (name, loss_of, kind, mode)
        for name, loss_of, kinds, modes in [
            ("gpg", verl_loss, ["near", "by token"], ["token", "seq"]),
            ("geo_mean", verl_loss, ["near", "far", "by token", "zero"], ["token"]),
            ("vespo", trl_loss, ["near", "far", "zero"], ["token"]),
            ("luspo", trl_loss, ["near", "far", "zero"], ["token"]),
        ]
        for kind in kinds
        for mode in modes
    ]
    cases = []
    for name, loss_of, kind, mode in plans:
        for holes in [False, True]:
            mask, old, start, advantages = loss_input(kind, (5, 6), holes)
            log_probs = start.clone().requires_grad_()
            low, high = random.choice([(0.2, 0.3), (0.4, 0.4)])
            options = dict(lossType=name, lossAvgMode=mode, clipRatioLow=low, clipRatioHigh=high, clipRatioDual=3.0)
            options |= dict(vespoKPos=2.0, vespoLambdaPos=3.0, vespoKNeg=3.0, vespoLambdaNeg=2.0)
            if holes:
                options |= dict(vespoKPos=1.5, vespoLambdaPos=0.7, vespoKNeg=0.8, vespoLambdaNeg=1.9)
            loss, metrics = loss_of(name, options, mask, old, log_probs, advantages)
            loss.backward()
            cases.append(
                dict(
                    options=options, kind=kind, mask=mask, oldLogProbs=old, logProbs=log_probs, advantages=advantages,
                    loss=loss, gradient=log_probs.grad, metrics=metrics,
                )
            )  # fmt: skip
    return cases


sync = functions(trl / "trl/trainer/callbacks.py", ["_sync_target_model"])._sync_target_model


def mixes():
    cases = []
    for alpha in [0.6, 1.0, 0.0, 0.001]:
        reference, policy = draw((9,), -1, 1), draw((9,), -1, 1)
        model = SimpleNamespace(parameters=lambda: iter([torch.nn.Parameter(policy)]))
        target = torch.nn.Parameter(reference.clone())
        sync(model, SimpleNamespace(parameters=lambda: iter([target])), alpha)
        cases.append(dict(alpha=alpha, reference=reference, policy=policy, mixed=target.data))
    return cases


def corrected():
    """VESPO over rollouts of another policy, with its tokens' ratios truncated to 2."""
    cases = []
    for holes in [False, True]:
        mask, old, start, advantages = loss_input("near", (5, 6), holes)
        rollout = old - draw(old.shape, -1, 1)
        log_probs = start.clone().requires_grad_()
        options = dict(lossType="vespo", lossAvgMode="token", clipRatioLow=0.2, clipRatioHigh=0.3, clipRatioDual=3.0)
        options |= dict(vespoKPos=2.0, vespoLambdaPos=3.0, vespoKNeg=3.0, vespoLambdaNeg=2.0)
        importance = ((old - rollout) * mask).exp().clamp(max=2.0)
        loss, metrics = trl_loss("vespo", options, mask, old, log_probs, advantages, importance)
        loss.backward()
        cases.append(
            dict(
                options=options, kind="corrected", mask=mask, oldLogProbs=old, rolloutLogProbs=rollout,
                logProbs=log_probs, advantages=advantages, loss=loss, gradient=log_probs.grad, metrics=metrics,
            )
        )  # fmt: skip
    return cases


def plain(value):
    return value.detach().tolist() if isinstance(value, torch.Tensor) else value


def plain_cases(cases):
    return [{key: plain(value) for key, value in case.items()} for case in cases]


json.dump({"advantages": plain_cases(advantages()), "losses": plain_cases(losses()), "mixes": plain_cases(mixes()), "corrected": plain_cases(corrected())}, sys.stdout)
