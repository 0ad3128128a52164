#!/usr/bin/env python3
"""Writes the tables of this folder with pyarrow: one data set of three rows in every form the reader takes.

    pip install datasets pyarrow pillow && python3 generate.py
"""

import base64
import datetime
import io
import json

import datasets
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
from PIL import Image


def png(color):
    out = io.BytesIO()
    Image.new("RGB", (8, 4), color).save(out, "PNG")
    return out.getvalue()


red, blue = png((255, 0, 0)), png((0, 0, 255))
rows = [
    {"problem": "<image>What colour?", "answer": "red", "images": [{"bytes": red, "path": None}]},
    {"problem": "Ünïcode, no picture", "answer": "42", "images": []},
    {
        "problem": "<image><image>Same?",
        "answer": "no",
        "images": [{"bytes": blue, "path": "blue.png"}, {"bytes": None, "path": "red.png"}],
    },
]
when = datetime.datetime(2024, 5, 17, 8, 30, tzinfo=datetime.timezone.utc)
table = pa.table(
    {
        "problem": [row["problem"] for row in rows],
        "answer": [row["answer"] for row in rows],
        "images": pa.array(
            [row["images"] for row in rows],
            pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ),
        "level": pa.array([1, 2, 2**60], pa.int64()),
        "topic": pa.array(["colour", "none", "colour"]).dictionary_encode(),
        "score": pa.array([0.5, None, 1.5], pa.float64()),
        "when": pa.array([when, None, when], pa.timestamp("us", tz="UTC")),
    }
)
for compression in ("snappy", "zstd", "gzip", "brotli"):
    pq.write_table(table, f"{compression}.parquet", compression=compression, row_group_size=2)
with ipc.new_stream("stream.arrow", table.schema) as writer:
    writer.write_table(table, max_chunksize=2)
with ipc.new_file("file.arrow", table.schema) as writer:
    writer.write_table(table)
for compression in ("zstd", "lz4"):
    options = ipc.IpcWriteOptions(compression=compression)
    with ipc.new_file(f"{compression}.arrow", table.schema, options=options) as writer:
        writer.write_table(table)

# A column that a row has nothing for holds a null there; lists may hold bytes, and be of one length.
media = pa.table(
    {
        "problem": ["<image>", "<video>", "none", "<image>"],
        "answer": ["a", "b", "c", "d"],
        "images": pa.array([[red], None, None, [blue]], pa.list_(pa.binary())),
        "videos": pa.array([None, [["1.png", "2.png"]], None, None], pa.list_(pa.list_(pa.string(), 2))),
        "scans": pa.array([["x.png"], None, None, ["y.png"]], pa.list_(pa.large_string(), 1)),
    }
)
pq.write_table(media, "media.parquet")
with ipc.new_stream("media.arrow", media.schema) as writer:
    writer.write_table(media)

datasets.disable_progress_bars()
saved = datasets.Dataset.from_dict({"problem": ["p", "q", "r"], "answer": ["1", "2", "3"]})
saved.save_to_disk("saved", num_shards=2)
datasets.DatasetDict({"train": saved.select([0]), "test": saved.select([1, 2])}).save_to_disk("saved-splits")
flat = table.select(["problem", "answer", "level"]).append_column(
    "images", pa.array(["one.png", "", '["two.png", "three.png"]'])
)
csv.write_csv(flat, "quoted.csv")


def plain(image):
    data = image["bytes"]
    return {"bytes": None if data is None else base64.b64encode(data).decode(), "path": image["path"]}


with open("rows.json", "w") as out:
    expected = [{**row, "images": [plain(image) for image in row["images"]]} for row in rows]
    json.dump(expected, out, indent=1, ensure_ascii=False)
    out.write("\n")
with open("manifest.json", "w") as out:
    about = {
        "what": "one data set in every form that pyarrow writes and the reader takes",
        "generator": "generate.py",
        "versions": {"datasets": datasets.__version__, "pyarrow": pa.__version__},
        "tolerance": "equal",
    }
    json.dump(about, out, indent=2)
    out.write("\n")
