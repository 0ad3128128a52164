#!/usr/bin/env python3
"""Golden data of Qwen3-VL's videos: a tiny random model over the frames of generate.py, by transformers (fp32, eager, CPU).

    pip install torch torchvision transformers==4.57.6 pillow && python3 generate_qwen3_vl.py

qwen3-vl/ is the model, with the tokenizer of ../micro-vl. qwen3-vl.json has, of each case, what Qwen3VLProcessor makes of
a conversation (token ids, grids, pixel values) and the model of that (positions, log-probabilities); and by the processor's
rules the frames that it takes, the texts of their times, and the sizes that it gives them.

transformers 5 keeps the template's marks around all frames of a video, which the model was not trained with, so this
wants 4.57, the release of the model.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torchvision
import transformers
from PIL import Image
from transformers import Qwen2VLImageProcessor, Qwen3VLConfig, Qwen3VLForConditionalGeneration
from transformers.models.qwen3_vl.processing_qwen3_vl import Qwen3VLProcessor
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor, smart_resize
from transformers.video_utils import VideoMetadata

assert transformers.__version__.startswith("4.57"), transformers.__version__
here = Path(__file__).resolve().parent
checkpoint = here.parent / "micro-vl"
folder = here / "qwen3-vl"
tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
template = json.loads((checkpoint / "chat_template.json").read_text())["chat_template"]
PATCHES = {"patch_size": 14, "temporal_patch_size": 2, "merge_size": 2}
# Sizes of video_preprocessor_config.json on the hub.
HUB_SIZE = {"shortest_edge": 4096, "longest_edge": 25165824}


def processor_of(size: dict) -> Qwen3VLProcessor:
    return Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(**PATCHES),
        tokenizer=tokenizer,
        video_processor=Qwen3VLVideoProcessor(size=size, **PATCHES),
        chat_template=template,
    )


def tiny_model() -> Qwen3VLForConditionalGeneration:
    """A model whose norms and biases are random too, in the weights of bfloat16."""
    ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ["image_pad", "video_pad", "vision_start", "vision_end"]}
    config = Qwen3VLConfig(
        text_config={
            "vocab_size": 640, "hidden_size": 16, "intermediate_size": 20, "num_hidden_layers": 3, "num_attention_heads": 4,
            "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 512, "rope_theta": 1e4, "dtype": "bfloat16",
            "rope_scaling": {"rope_type": "default", "mrope_section": [2, 1, 1], "mrope_interleaved": True},
        },
        vision_config={
            "depth": 2, "hidden_size": 8, "out_hidden_size": 16, "num_heads": 2, "intermediate_size": 12,
            "num_position_embeddings": 25, "deepstack_visual_indexes": [0, 1], "in_channels": 3, "patch_size": 14,
            "temporal_patch_size": 2, "spatial_merge_size": 2,
        },
        image_token_id=ids["image_pad"],
        video_token_id=ids["video_pad"],
        vision_start_token_id=ids["vision_start"],
        vision_end_token_id=ids["vision_end"],
        tie_word_embeddings=False,
        dtype="bfloat16",
    )  # fmt: skip
    model = Qwen3VLForConditionalGeneration(config)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim == 1:
                p.normal_(1.0 if "norm" in name else 0.0, 0.1)
            else:
                p.normal_(0.0, 0.3 if "embed_tokens" in name else p[0].numel() ** -0.5)
    model.to(torch.bfloat16).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    return type(model).from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def case(model, name: str, content: list, videos: list[list[str]], fps: float, size: dict) -> dict:
    processor = processor_of(size)
    chat = processor.apply_chat_template([{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True)
    frames = [np.stack([np.asarray(Image.open(here / path)) for path in video]) for video in videos]
    metadata = [
        VideoMetadata(total_num_frames=len(video), fps=fps, frames_indices=list(range(len(video)))) for video in videos
    ]
    inputs = processor(
        text=[chat], videos=frames, video_metadata=metadata, do_sample_frames=False, return_tensors="pt"
    )
    prompt = inputs["input_ids"][0].tolist()
    response = tokenizer("The square moves right.", add_special_tokens=False)["input_ids"]
    response.append(tokenizer.convert_tokens_to_ids("<|im_end|>"))
    ids = torch.tensor([prompt + response])
    media = {key: inputs[key] for key in ["pixel_values_videos", "video_grid_thw"]}
    positions, _ = model.model.get_rope_index(ids, video_grid_thw=inputs["video_grid_thw"])
    with torch.no_grad():
        # Without a mask, a jump of positions would count as the beginning of another sequence.
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False, **media).logits
        logits = logits[0, len(prompt) - 1 : -1]
    values = inputs["pixel_values_videos"]
    at = list(range(0, values.numel(), 997))
    return {
        "name": name,
        "content": content,
        "videos": videos,
        "fps": fps,
        "size": size,
        "grids": inputs["video_grid_thw"].tolist(),
        "prompt_ids": prompt,
        "response_ids": response,
        "positions": positions[:, 0].tolist(),
        "logprobs": torch.log_softmax(logits, -1).gather(-1, ids[0, len(prompt) :, None])[:, 0].tolist(),
        "pixels": {
            "shape": list(values.shape),
            "sum": values.double().sum().item(),
            "sum_sq": values.double().square().sum().item(),
            "at": at,
            "values": values.flatten()[at].tolist(),
        },
    }


def sampling() -> list:
    processor = processor_of(HUB_SIZE)
    found = []
    for total, fps, wanted in [
        (300, 30, 2), (301, 29.97, 2), (77, 25, 2), (5, 24, 2), (2, 30, 2), (40, 8, 1.5), (9000, 30, 4), (11, 4, 4), (60, 10, 0.1),
    ]:  # fmt: skip
        metadata = VideoMetadata(total_num_frames=total, fps=fps)
        indices = processor.video_processor.sample_frames(metadata, fps=wanted).tolist()
        times = processor._calculate_timestamps(list(indices), fps)
        found.append(
            {"total": total, "fps": fps, "wanted": wanted, "indices": indices, "times": [f"<{t:.1f} seconds>" for t in times]}
        )
    return found


def sizes() -> list:
    found = []
    for frames, height, width in [
        (4, 1080, 1920), (5, 1080, 1920), (20, 720, 1280), (121, 481, 853), (768, 1080, 1920), (768, 64, 64), (3, 33, 40), (7, 100, 2000),
    ]:  # fmt: skip
        for size in [HUB_SIZE, {"shortest_edge": 128 * 32 * 32, "longest_edge": 768 * 32 * 32}]:
            resized = smart_resize(frames, height, width, 2, 32, size["shortest_edge"], size["longest_edge"])
            found.append({"frames": frames, "height": height, "width": width, "size": size, "resized": list(resized)})
    return found


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = tiny_model()

    def frames(name: str, count: int) -> list[str]:
        return [f"frames/{name}-{i}.png" for i in range(count)]

    video = {"type": "video"}
    wide = {"shortest_edge": 6272, "longest_edge": 25000}
    cases = [
        case(model, "moving", [video, {"type": "text", "text": "What moves?"}], [frames("moving", 4)], 2, wide),
        case(
            model, "odd", [{"type": "text", "text": "In "}, video, {"type": "text", "text": " what moves?"}],
            [frames("slow", 5)], 0.8, wide,
        ),
        case(
            model, "two", [video, {"type": "text", "text": " or "}, video, {"type": "text", "text": "?"}],
            [frames("moving", 4), frames("fast", 2)], 3, wide,
        ),
    ]  # fmt: skip
    enlarged = {"shortest_edge": 4 * 112 * 84, "longest_edge": 10**6}
    resized = case(model, "enlarged", [video, {"type": "text", "text": "?"}], [frames("moving", 4)], 2, enlarged)
    value = {"cases": cases, "resized": resized, "sampling": sampling(), "sizes": sizes()}
    (here / "qwen3-vl.json").write_text(json.dumps(value, separators=(",", ":")) + "\n")
    manifest = {
        "what": "what transformers computes with a tiny Qwen3-VL over videos: fp32, eager attention, CPU",
        "generator": "../generate_qwen3_vl.py",
        "versions": {
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
            "transformers": transformers.__version__,
            "pillow": Image.__version__,
        },
        "tolerance": {
            "tokenIdsAndPositions": "equal",
            "pixelValues": {"maxAbsolute": 1e-6, "ofResizedFrames": "one level of 255"},
            "logProbs": {"maxAbsolute": 0.0001},
        },
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


if __name__ == "__main__":
    main()
