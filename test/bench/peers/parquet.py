"""Writes Parquet files with pyarrow, on request: parquet.py, then a line of JSON for each file.

A request has `from`, the JSON Lines whose rows are written, `to`, and `by`: `pyarrow` for its defaults, which make row
groups of up to a million rows, or `datasets` for small row groups with an offset index. The answer has the seconds.
"""

import json
import sys
import time

import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq

WRITERS = {
    "pyarrow": (2**20, {}),
    "datasets": (1000, {"write_page_index": True}),
}

for line in sys.stdin:
    request = json.loads(line)
    start = time.perf_counter()
    rows, options = WRITERS[request["by"]]
    table = pyarrow.json.read_json(request["from"], pyarrow.json.ReadOptions(block_size=2**24))
    pq.write_table(table, request["to"], row_group_size=rows, **options)
    print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)
