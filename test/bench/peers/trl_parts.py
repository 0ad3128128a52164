"""What the peers of TRL have in common: their answers, the processor, the rows, and tokens that are never sampled."""

import json
import os

from datasets import Dataset, Image
from transformers import AutoTokenizer, Qwen2_5_VLProcessor, logging
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

logging.set_verbosity_error()
logging.disable_progress_bar()


def open_answers():
    """Standard output for answers alone: what the trainer prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


class ImageProcessor(Qwen2_5_VLProcessor):
    """Without the part for videos, which wants torchvision."""

    def check_argument_for_proper_class(self, name, argument):
        return type(None) if argument is None else super().check_argument_for_proper_class(name, argument)

    @property
    def model_input_names(self):
        return self.tokenizer.model_input_names + self.image_processor.model_input_names + ["mm_token_type_ids"]


def load_processor(model_path, **options):
    tokenizer = AutoTokenizer.from_pretrained(model_path, padding_side="left")
    return ImageProcessor(
        image_processor=Qwen2VLImageProcessorPil.from_pretrained(model_path, **options),
        tokenizer=tokenizer, video_processor=None, chat_template=tokenizer.chat_template,
    )  # fmt: skip


def load_rows(path, image_dir):
    with open(path) as file:
        rows = [json.loads(line) for line in file]
    return Dataset.from_list([
        {
            "prompt": [{"role": "user", "content": row["prompt"].replace("<image>", "")}],
            "image": os.path.join(image_dir, row["images"][0]),
            "answer": row["answer"],
        }
        for row in rows
    ]).cast_column("image", Image())  # fmt: skip


def placeholders(tokenizer):
    """Tokens that stand for media; the model fails where a response has one."""
    return [tokenizer.convert_tokens_to_ids(name) for name in ("<|image_pad|>", "<|video_pad|>")]
