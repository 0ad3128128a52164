"""Writes processing.json: grids and pixel values of transformers' image processor with Qwen3-VL's settings.

python test/golden/families/generate_processing.py
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil as Qwen2VLImageProcessor
import transformers

HERE = Path(__file__).parent
PICTURES = HERE.parent / "micro-vl-reference" / "images"
# preprocessor_config.json of Qwen3-VL on the hub, with smaller bounds, so that the file stays small
SETTINGS = {
    "size": {"shortest_edge": 128 * 128, "longest_edge": 192 * 192},
    "patch_size": 16,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "image_processor_type": "Qwen2VLImageProcessorFast",
}

if __name__ == "__main__":
    own = {k: v for k, v in SETTINGS.items() if k != "image_processor_type"}
    processor = Qwen2VLImageProcessor(**own)
    cases = []
    for path in sorted(PICTURES.glob("*.png"))[:4]:
        found = processor(images=[Image.open(path).convert("RGB")], return_tensors="np")
        values = np.asarray(found["pixel_values"], dtype=np.float64)
        cases.append(
            {
                "file": path.name,
                "grid": np.asarray(found["image_grid_thw"])[0].tolist(),
                "sums": [round(float(x), 4) for x in values.sum(1)],
                "first": [round(float(x), 6) for x in values[:, 0]],
                "last": [round(float(x), 6) for x in values[:, -1]],
            }
        )
    out = {"transformers": transformers.__version__, "settings": SETTINGS, "cases": cases}
    (HERE / "processing.json").write_text(json.dumps(out) + "\n")
