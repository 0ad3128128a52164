"""transformers' generate(), or with `compiled` an own decode loop over a compiled step with a static cache."""

import json
import sys
import time

import torch
import torch.nn.functional as F
from transformers import AttentionInterface, Qwen2Config, Qwen2ForCausalLM, StaticCache, logging

options = json.loads(sys.argv[1])
logging.set_verbosity_error()
torch.set_num_threads(options["threads"])
torch.manual_seed(0)
model = Qwen2ForCausalLM(Qwen2Config(**options["config"])).eval()


def grouped(module, query, key, value, mask, scaling=None, **_):
    """Attention that does not repeat keys in a decoding step."""
    batch, heads, length, width = query.shape
    groups = key.shape[1]
    if length == 1:
        query = query.reshape(batch, groups, heads // groups, width)
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scaling)
        return out.reshape(batch, 1, heads, width), None
    key, value = (x.repeat_interleave(heads // groups, 1) for x in (key, value))
    out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scaling)
    return out.transpose(1, 2).contiguous(), None


def by_generate(prompt, new_tokens):
    with torch.inference_mode():
        model.generate(
            input_ids=prompt, attention_mask=torch.ones_like(prompt), do_sample=True, temperature=1.0,
            top_k=0, top_p=1.0, max_new_tokens=new_tokens, eos_token_id=-1, pad_token_id=0,
        )  # fmt: skip


class Loop:
    """Own loop for one batch and length; the compiled step samples too (exponential race, which fuses)."""

    def __init__(self, batch, total):
        AttentionInterface.register("grouped", grouped)
        model.config._attn_implementation = "grouped"
        torch._dynamo.reset()
        self.cache = StaticCache(config=model.config, max_cache_len=total)
        never = torch.finfo(torch.float32).min
        self.mask = torch.zeros(1, 1, total, total).masked_fill(torch.ones(total, total).triu(1).bool(), never)
        self.compiled = torch.compile(self.step, dynamic=False)

    def step(self, tokens, positions, mask):
        hidden = model.model(
            input_ids=tokens, position_ids=positions[None], attention_mask={"full_attention": mask},
            past_key_values=self.cache, use_cache=True,
        ).last_hidden_state  # fmt: skip
        probabilities = torch.softmax(model.lm_head(hidden[:, -1]), -1)
        return (probabilities / torch.empty_like(probabilities).exponential_(1)).argmax(-1, keepdim=True)

    def run(self, prompt, new_tokens):
        with torch.no_grad():
            self.cache.reset()
            length = prompt.shape[1]
            tokens = self.step(prompt, torch.arange(length), self.mask[:, :, :length])
            for at in range(length, length + new_tokens - 1):
                tokens = self.compiled(tokens, torch.tensor([at]), self.mask[:, :, at : at + 1])


loops = {}


def seconds(batch, prompt, new_tokens):
    ids = torch.randint(0, model.config.vocab_size, (batch, prompt))
    call = by_generate
    if options.get("compiled"):
        if batch not in loops:
            loops.clear()
            loops[batch] = Loop(batch, prompt + options.get("newTokens", 128))
        call = loops[batch].run
    begin = time.perf_counter()
    call(ids, new_tokens)
    return time.perf_counter() - begin


for line in sys.stdin:
    case = json.loads(line)
    batch, prompt, new = case["batch"], case["prompt"], case["newTokens"]
    options["newTokens"] = new
    first, whole = seconds(batch, prompt, 1), seconds(batch, prompt, new)
    print(json.dumps({"whole": batch * new / whole, "decode": batch * (new - 1) / (whole - first)}), flush=True)
