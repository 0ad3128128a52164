#!/usr/bin/env python3
"""Writes Parquet files of several pages in each row group with pyarrow: 60 rows, numbered by their texts.

    pip install pyarrow && python3 generate_paged.py

indexed.parquet has an offset index, and the others none. headers.parquet has one value a row at most. version2.parquet has
pages of version 2, which count rows. lists.parquet has pages of version 1, which may begin inside a row of several values.
"""

import pyarrow as pa
import pyarrow.parquet as pq

COUNT = 60
picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def pictures(i: int) -> list:
    return [{"bytes": bytes([i, j] * 20), "path": None} for j in range(i % 4)]


flat = {
    "prompt": [f"{i} " + "word " * (i % 7) for i in range(COUNT)],
    "answer": ["ABCD"[i % 4] for i in range(COUNT)],
    "image": pa.array([{"bytes": bytes([i] * 30), "path": f"{i}.png"} if i % 5 else None for i in range(COUNT)], picture),
    "level": pa.array([i if i % 4 else None for i in range(COUNT)], pa.int64()),
}
nested = {**flat, "images": pa.array([pictures(i) for i in range(COUNT)], pa.list_(picture))}
# Pages of a few rows.
small = {"row_group_size": 40, "data_page_size": 128, "write_batch_size": 4, "dictionary_pagesize_limit": 512}
for name, columns, options in [
    ("indexed", nested, {"write_page_index": True}),
    ("headers", flat, {"compression": "zstd"}),
    ("version2", nested, {"data_page_version": "2.0"}),
    ("lists", nested, {}),
]:
    pq.write_table(pa.table(columns), f"{name}.parquet", **small, **options)
