"""PNG files to Qwen2.5-VL's patches: Pillow and transformers' processor, in as many processes as there are cores."""

import json
import multiprocessing
import sys
import time

options = json.loads(sys.argv[1])
processor = None


def start():
    global processor
    import torch
    from transformers.models.qwen2_vl import image_processing_pil_qwen2_vl as module

    torch.set_num_threads(1)
    processor = module.Qwen2VLImageProcessorPil(
        size={"shortest_edge": 3136, "longest_edge": 12845056}
    )


def read(path):
    from PIL import Image

    with Image.open(path) as image:
        inputs = processor(images=[image.convert("RGB")], return_tensors="np")
    assert inputs["image_grid_thw"].tolist() == [[1, 36, 36]]
    return inputs["pixel_values"].shape


if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(options["workers"], start) as pool:
        for _ in sys.stdin:
            begin = time.perf_counter()
            pool.map(read, options["paths"], chunksize=1)
            seconds = time.perf_counter() - begin
            print(json.dumps({"png": len(options["paths"]) / seconds}), flush=True)
