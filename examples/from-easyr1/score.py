"""A reward in EasyR1's form: all responses of a batch in, one mapping of numbers for each out."""

import re

REWARD_NAME = "boxed"
REWARD_TYPE = "batch"


def compute_score(reward_inputs, format_weight=0.1):
    scores = []
    for given in reward_inputs:
        boxed = re.findall(r"\\boxed\{(.*?)\}", given["response"])
        layout = float("</think>" in given["response"] and len(boxed) == 1)
        accuracy = float(bool(boxed) and boxed[-1].strip() == given["ground_truth"])
        overall = (1 - format_weight) * accuracy + format_weight * layout
        scores.append({"overall": overall, "format": layout, "accuracy": accuracy})
    return scores
