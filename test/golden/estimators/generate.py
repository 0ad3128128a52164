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


def plain(value):
    return value.detach().tolist() if isinstance(value, torch.Tensor) else value


json.dump(
    {"advantages": [{key: plain(value) for key, value in case.items()} for case in advantages()]},
    sys.stdout,
)
