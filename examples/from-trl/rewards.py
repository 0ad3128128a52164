"""Rewards of a script for TRL, and the few lines that make them rewards of cxmind."""


def letter_reward(completions, answer, **kwargs):
    return [float(f"<answer>{a}</answer>" in c[0]["content"]) for c, a in zip(completions, answer)]


def brief_reward(completions, **kwargs):
    return [1.0 / (1.0 + len(c[0]["content"])) for c in completions]


def _of_trl(reward):
    """Lists in, a list of floats out: the form of TRL. cxmind gives one mapping a response, and takes one."""

    def scored(inputs):
        columns = {name: [given["columns"][name] for given in inputs] for name in inputs[0]["columns"]}
        given = {
            "completions": [[{"role": "assistant", "content": given["response"]}] for given in inputs],
            "prompts": [given["messages"] for given in inputs],
            "completion_ids": [given["response_ids"] for given in inputs],
        }
        return [{"overall": score} for score in reward(**{**columns, **given})]

    return scored


letter = _of_trl(letter_reward)
brief = _of_trl(brief_reward)
