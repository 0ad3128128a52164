"""One step of TRL's GRPOTrainer for each line: sampling, log-probabilities, update; seconds by phase."""

import json
import os
import resource
import sys
import tempfile
import time
from collections import Counter

import torch
from datasets import Dataset, Image
from transformers import (
    AutoTokenizer, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor, TrainerCallback, logging,
)  # fmt: skip
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from trl import GRPOConfig, GRPOTrainer

options = json.loads(sys.argv[1])
prompts, samples, micro = options["prompts"], options["samples"], options["microBatch"]
updates = prompts // options["promptsPerUpdate"]
torch.set_num_threads(options["threads"])
logging.set_verbosity_error()
logging.disable_progress_bar()
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what the trainer prints is no answer


class ImageProcessor(Qwen2_5_VLProcessor):
    """Without the part for videos, which wants torchvision."""

    def check_argument_for_proper_class(self, name, argument):
        return type(None) if argument is None else super().check_argument_for_proper_class(name, argument)

    @property
    def model_input_names(self):
        return self.tokenizer.model_input_names + self.image_processor.model_input_names + ["mm_token_type_ids"]


seconds = Counter()


def timed(phase, call, *args, **kwargs):
    begin = time.perf_counter()
    try:
        return call(*args, **kwargs)
    finally:
        seconds[phase] += time.perf_counter() - begin


class Trainer(GRPOTrainer):
    is_sampling = False

    def _tokenize_prompts(self, *args, **kwargs):
        return timed("gen", super()._tokenize_prompts, *args, **kwargs)

    def _generate_single_turn(self, *args, **kwargs):
        return timed("gen", super()._generate_single_turn, *args, **kwargs)

    def _calculate_rewards(self, *args, **kwargs):
        return timed("reward", super()._calculate_rewards, *args, **kwargs)

    def _generate_and_score_completions(self, *args, **kwargs):
        self.is_sampling = True
        try:
            return super()._generate_and_score_completions(*args, **kwargs)
        finally:
            self.is_sampling = False

    def _get_per_token_logps_and_entropies(self, model, *args, **kwargs):
        call = super()._get_per_token_logps_and_entropies
        if not self.is_sampling:
            return call(model, *args, **kwargs)
        return timed("ref" if model is self.ref_model else "old", call, model, *args, **kwargs)


class Turns(TrainerCallback):
    """Begins the work of a line when it is there, and answers when the last of its updates is done."""

    def on_step_begin(self, args, state, control, **_):
        if state.global_step % updates == 0:
            if not sys.stdin.readline():
                sys.exit()
            seconds.clear()
            self.begin = time.perf_counter()

    def on_step_end(self, args, state, control, **_):
        if state.global_step % updates == 0:
            step = time.perf_counter() - self.begin
            update = step - sum(seconds.values())
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            answer = {"step": step, "update": update, **seconds, "memory": memory}
            print(json.dumps(answer), file=answers, flush=True)


def letters(completions, **_):
    texts = [completion[0]["content"] for completion in completions]
    return [sum(letter.isalpha() for letter in text) / max(1, len(text)) for text in texts]


model_path = options["model"]
tokenizer = AutoTokenizer.from_pretrained(model_path, padding_side="left")
processor = ImageProcessor(
    image_processor=Qwen2VLImageProcessorPil.from_pretrained(model_path),
    tokenizer=tokenizer, video_processor=None, chat_template=tokenizer.chat_template,
)  # fmt: skip
with open(options["data"]) as file:
    rows = [json.loads(line) for line in file]
dataset = Dataset.from_list([
    {
        "prompt": [{"role": "user", "content": row["prompt"].replace("<image>", "")}],
        "image": os.path.join(options["imageDir"], row["images"][0]),
    }
    for row in rows
]).cast_column("image", Image())  # fmt: skip
never = [tokenizer.convert_tokens_to_ids(name) for name in ("<|image_pad|>", "<|video_pad|>")]
with tempfile.TemporaryDirectory() as directory:
    Trainer(
        model=Qwen2_5_VLForConditionalGeneration.from_pretrained(model_path, dtype=torch.float32),
        reward_funcs=letters,
        args=GRPOConfig(
            output_dir=directory, use_cpu=True, bf16=False, gradient_checkpointing=False, max_steps=10_000,
            per_device_train_batch_size=micro, gradient_accumulation_steps=prompts * samples // updates // micro,
            steps_per_generation=prompts * samples // micro, num_generations=samples,
            max_completion_length=options["newTokens"], temperature=1.0, beta=options["klCoef"], learning_rate=4e-4,
            generation_kwargs={"suppress_tokens": [*never, tokenizer.eos_token_id]},
            report_to="none", save_strategy="no", logging_strategy="no", disable_tqdm=True, dataloader_pin_memory=False,
        ),
        train_dataset=dataset, processing_class=processor, callbacks=[Turns()],
    ).train()  # fmt: skip
