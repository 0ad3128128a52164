"""One step of TRL's GRPOTrainer for each line: sampling, log-probabilities, update; seconds by phase."""

import json
import resource
import sys
import tempfile
import time
from collections import Counter

import torch
from transformers import Qwen2_5_VLForConditionalGeneration, TrainerCallback
from trl import GRPOConfig, GRPOTrainer
from trl_parts import load_processor, load_rows, open_answers, placeholders

options = json.loads(sys.argv[1])
prompts, samples, micro = options["prompts"], options["samples"], options["microBatch"]
updates = prompts // options["promptsPerUpdate"]
torch.set_num_threads(options["threads"])
answers = open_answers()
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
processor = load_processor(model_path)
tokenizer = processor.tokenizer
with tempfile.TemporaryDirectory() as directory:
    Trainer(
        model=Qwen2_5_VLForConditionalGeneration.from_pretrained(model_path, dtype=torch.float32),
        reward_funcs=letters,
        args=GRPOConfig(
            output_dir=directory, use_cpu=True, bf16=False, gradient_checkpointing=False, max_steps=10_000,
            per_device_train_batch_size=micro, gradient_accumulation_steps=prompts * samples // updates // micro,
            steps_per_generation=prompts * samples // micro, num_generations=samples,
            max_completion_length=options["newTokens"], temperature=1.0, beta=options["klCoef"], learning_rate=4e-4,
            generation_kwargs={"suppress_tokens": [*placeholders(tokenizer), tokenizer.eos_token_id]},
            report_to="none", save_strategy="no", logging_strategy="no", disable_tqdm=True, dataloader_pin_memory=False,
        ),
        train_dataset=load_rows(options["data"], options["imageDir"]), processing_class=processor, callbacks=[Turns()],
    ).train()  # fmt: skip
