"""A run of TRL's GRPOTrainer on handwritten digits for each line; the model goes to a folder that the line names."""

import json
import re
import shutil
import sys
import tempfile
import time

import torch
from transformers import Qwen2_5_VLForConditionalGeneration
from trl import GRPOConfig, GRPOTrainer
from trl_parts import load_processor, load_rows, open_answers, placeholders

options = json.loads(sys.argv[1])
torch.set_num_threads(options["threads"])
answers = open_answers()
model_path = options["model"]
processor = load_processor(model_path, min_pixels=options["pixels"], max_pixels=options["pixels"])
dataset = load_rows(options["data"], options["imageDir"])
never = placeholders(processor.tokenizer)


def accuracy(completions, answer, **_):
    blocks = [re.findall("<answer>(.*?)</answer>", completion[0]["content"]) for completion in completions]
    return [float(bool(found) and found[-1].strip() == right) for found, right in zip(blocks, answer)]


def train(seed, output):
    begin = time.perf_counter()
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(model_path, dtype=torch.float32)
    with tempfile.TemporaryDirectory() as directory:
        GRPOTrainer(
            model=model, reward_funcs=accuracy, train_dataset=dataset, processing_class=processor,
            args=GRPOConfig(
                output_dir=directory, use_cpu=True, bf16=False, gradient_checkpointing=False, seed=seed,
                max_steps=options["steps"], per_device_train_batch_size=options["prompts"] * options["samples"],
                num_generations=options["samples"], max_completion_length=options["newTokens"], temperature=1.0,
                beta=0.0, learning_rate=options["lr"], lr_scheduler_type="constant_with_warmup",
                warmup_steps=options["warmupSteps"], generation_kwargs={"suppress_tokens": never},
                report_to="none", save_strategy="no", logging_strategy="no", disable_tqdm=True,
                dataloader_pin_memory=False,
            ),
        ).train()  # fmt: skip
    shutil.copytree(model_path, output)
    model.save_pretrained(output)
    return {"seconds": time.perf_counter() - begin}


for line in sys.stdin:
    print(json.dumps(train(**json.loads(line))), file=answers, flush=True)
