"""Cases of verl's rollout correction, by its own code.

    python3 generate.py VERL_CHECKOUT > cases.json

Only `rollout_corr_helper.py` and the masked sums and means of `torch_functional.py` are loaded, so torch is all it needs.
"""

import ast
import json
import sys
import types
from pathlib import Path

import torch

checkout = Path(sys.argv[1])


def module(name, **members):
    made = types.ModuleType(name)
    for key, value in members.items():
        setattr(made, key, value)
    sys.modules[name] = made
    return made


def functions(path, names):
    tree = ast.parse(path.read_text())
    tree.body = [node for node in tree.body if getattr(node, "name", None) in names]
    scope = {"torch": torch}
    exec(compile(tree, str(path), "exec"), scope)
    return {name: scope[name] for name in names}


class Proto:
    def __init__(self, tensors):
        self.batch = tensors

    @staticmethod
    def from_dict(tensors):
        return Proto(tensors)


module("verl")
module("verl.utils")
masked = functions(checkout / "verl/utils/torch_functional.py", ["masked_sum", "masked_mean"])
sys.modules["verl.utils"].torch_functional = module("verl.utils.torch_functional", **masked)
module("verl.protocol", DataProto=Proto)
for name in ["verl.trainer", "verl.workers", "verl.workers.config"]:
    module(name)
module("verl.trainer.config")
module("verl.trainer.config.algorithm", RolloutCorrectionConfig=object)
module("verl.workers.config.actor", PolicyLossConfig=object)
helper = types.ModuleType("helper")
source = checkout / "verl/trainer/ppo/rollout_corr_helper.py"
exec(compile(source.read_text(), str(source), "exec"), helper.__dict__)

options = [
    dict(rollout_is=None),
    dict(rollout_is="token", rollout_is_threshold=2.0),
    dict(rollout_is="token", rollout_is_threshold=1.3, rollout_is_batch_normalize=True),
    dict(rollout_is="sequence", rollout_is_threshold=2.0),
    dict(rollout_is="sequence", rollout_is_threshold=1.1, rollout_is_batch_normalize=True),
]
for level, kinds in dict(token=[1, 2, 3], seq_sum=[1, 2, 3], seq_mean=[1, 2, 3], seq_max=[2, 3]).items():
    for kind in kinds:
        threshold = "0.7_1.4" if kind == 1 else "0.08"
        options.append(dict(rollout_rs=f"{level}_k{kind}", rollout_rs_threshold=threshold))
options.append(dict(rollout_rs="seq_sum_k1", rollout_rs_threshold=1.5))
options.append(
    dict(rollout_is="token", rollout_rs="token_k1,seq_mean_k3", rollout_rs_threshold="0.5_2,0.05")
)

batches = []
for seed, (rows, width, spread) in enumerate([(4, 7, 0.3), (6, 5, 1.0), (3, 9, 9.0), (1, 1, 0.1)]):
    torch.manual_seed(seed)
    rollout = -torch.rand(rows, width) * 4
    old = rollout + torch.randn(rows, width) * spread
    lengths = torch.randint(1, width + 1, (rows,))
    mask = (torch.arange(width) < lengths[:, None]).float()
    cases = []
    for option in options:
        proto, kept, metrics = helper.compute_rollout_correction_and_rejection_mask(
            old, rollout, mask, **option
        )
        weights = None if proto is None else proto.batch["rollout_is_weights"]
        cases.append(
            dict(
                options=option,
                weights=None if weights is None else weights.tolist(),
                kept=kept.tolist(),
                metrics={name.removeprefix("rollout_corr/"): value for name, value in metrics.items()},
            )
        )
    batches.append(
        dict(old=old.tolist(), rollout=rollout.tolist(), mask=mask.tolist(), cases=cases)
    )
json.dump(batches, sys.stdout)
