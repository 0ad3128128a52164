"""Golden files of the loggers, by the libraries that read what they write.

    python generate.py WANDB SWANLAB

WANDB is a folder with the wandb 0.30.0 wheel unpacked, SWANLAB a checkout of SwanLab 0.10. Of both only the
generated protobuf modules and SwanLab's record store are imported; tensorboard is the installed one.
"""

import base64
import hashlib
import importlib
import importlib.util
import io
import json
import sys
import types
from pathlib import Path

import numpy as np
from google.protobuf import struct_pb2
from tensorboard.compat.proto import event_pb2
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

here = Path(__file__).parent
SECONDS = 1_700_000_000.25


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def package(name: str, folder: Path) -> None:
    module = types.ModuleType(name)
    module.__path__ = [str(folder)]
    sys.modules[name] = module


def shuffles() -> dict:
    orders = {}
    for n in (1, 2, 5, 10, 33, 100):
        order = list(range(n))
        np.random.RandomState(42).shuffle(order)
        orders[n] = order
    return orders


def tensorboard() -> str:
    """Events of a resumed run that logs step 4; the config is {a: {b: 1.5, c: true}, d: word}."""
    infos = [("a/b", 3), ("a/c", 2), ("d", 1)]
    experiment = plugin_data_pb2.HParamsPluginData(version=0)
    for name, kind in infos:
        experiment.experiment.hparam_infos.add(name=name, type=kind)
    experiment.experiment.metric_infos.add().name.tag = "placeholder"
    start = plugin_data_pb2.HParamsPluginData(version=0)
    start.session_start_info.hparams["a/b"].number_value = 1.5
    start.session_start_info.hparams["a/c"].bool_value = True
    start.session_start_info.hparams["d"].string_value = "word"
    end = plugin_data_pb2.HParamsPluginData(version=0)
    end.session_end_info.status = 1

    events = [event_pb2.Event(file_version="brain.Event:2"), event_pb2.Event(step=4)]
    events[1].session_log.status = event_pb2.SessionLog.START
    for part, data in (("experiment", experiment), ("session_start_info", start), ("session_end_info", end)):
        event = event_pb2.Event()
        value = event.summary.value.add(tag=f"_hparams_/{part}")
        value.metadata.plugin_data.plugin_name = "hparams"
        value.metadata.plugin_data.content = data.SerializeToString(deterministic=True)
        events.append(event)
    placeholder = event_pb2.Event()
    placeholder.summary.value.add(tag="placeholder", simple_value=0.0)
    step = event_pb2.Event(step=4)
    step.summary.value.add(tag="val/reward_score", simple_value=0.1)
    step.summary.value.add(tag="actor/lr", simple_value=1e-6)
    events += [placeholder, step]

    file = io.BytesIO()
    writer = RecordWriter(file)
    for event in events:
        event.wall_time = SECONDS
        writer.write(event.SerializeToString(deterministic=True))
    return b64(file.getvalue())


def record_store(swanlab: Path) -> dict:
    """What SwanLab's own store makes of records whose sizes meet the ends of blocks."""
    source = (swanlab / "swanlab/sdk/internal/core_python/store/__init__.py").read_text()
    source = source.replace("from swanlab.exceptions import DataStoreError", "DataStoreError = ValueError")
    source = source.replace("from swanlab.sdk.internal.pkg import console, safe", "console = safe = None")
    store: dict = {"__name__": "store"}
    exec(source, store)
    sizes = [0, 1, 32_740, 5, 32_747, 32_761, 32_762, 100_000, 65_522, 3]
    path = here / "store.tmp"
    writer = store["DataStoreWriter"]()
    writer.open(path)
    for i, size in enumerate(sizes):
        writer.write(bytes((i + j) % 251 for j in range(size)))
    writer.close()
    data = path.read_bytes()
    path.unlink()
    return {"sizes": sizes, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def wandb(root: Path) -> list:
    package("wandb", root / "wandb")
    pb = importlib.import_module("wandb.proto.wandb_internal_pb2")
    records = []

    def add(**fields):
        record = pb.Record(num=len(records) + 1, **fields)
        records.append(record)
        return record

    def items(update, values):
        for key, value in values.items():
            update.add(key=key, value_json=json.dumps(value, separators=(",", ":")))

    header = add()
    header.header.version_info.producer = "0.30.0"
    header.header.version_info.min_consumer = "0.40.0"
    run = add()
    run.run.run_id = "abcd1234"
    run.run.entity = "team"
    run.run.project = "project"
    run.run.display_name = "experiment"
    run.run.start_time.FromMilliseconds(int(SECONDS * 1000))
    items(run.run.config.update, {"a": {"b": 1.5, "c": True}, "d": "word"})
    row = {"actor/loss": 0.5, "actor/grad_norm": "NaN", "_step": 1, "_timestamp": SECONDS, "_runtime": 0}
    history = add()
    items(history.history.item, row)
    history.history.step.num = 1
    summary = add()
    items(summary.summary.update, row)
    table = {"columns": ["step", "input_1", "output_1", "label_1", "score_1"], "data": [[1, "Q?", "A", "B", 0.5]]}
    text = json.dumps(table, separators=(",", ":"))
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    path = f"media/table/val/generations_1_{sha256[:20]}.table.json"
    files = add()
    files.files.files.add(path=path, type=pb.FilesItem.FileType.MEDIA)
    media = {"_type": "table-file", "path": path, "sha256": sha256, "size": len(text), "ncols": 5, "nrows": 1}
    row2 = {"val/generations": media, "_step": 1, "_timestamp": SECONDS, "_runtime": 0}
    history = add()
    items(history.history.item, row2)
    history.history.step.num = 1
    summary = add()
    items(summary.summary.update, {**row, "val/generations": media})
    add().exit.SetInParent()
    records[-1].exit.exit_code = 0
    add().final.SetInParent()
    add().footer.SetInParent()
    return [b64(record.SerializeToString(deterministic=True)) for record in records]


def swanlab(root: Path) -> list:
    package("swanlab", root / "swanlab")
    record_pb2 = importlib.import_module("swanlab.proto.swanlab.record.v1.record_pb2")
    records = []

    def add(num):
        record = record_pb2.Record(num=num)
        record.timestamp.FromMilliseconds(int(SECONDS * 1000))
        records.append(record)
        return record

    def column(num, kind, key, section):
        record = add(num).column
        record.column_class, record.column_type = 1, kind
        record.column_key, record.section_name, record.section_type = key, section, 3

    start = add(-1).start
    start.project, start.name, start.id = "project", "experiment", "ID"
    start.started_at.FromMilliseconds(int(SECONDS * 1000))
    save = add(-3).save
    save.name, save.source_path, save.type = "config", "CONFIG", 1
    column(1, 1, "actor/loss", "actor")
    scalar = add(2).scalar
    scalar.key, scalar.step, scalar.type = "actor/loss", 1, 1
    scalar.timestamp.FromMilliseconds(int(SECONDS * 1000))
    scalar.value.number = 0.5
    column(3, 4, "val/generations", "val")
    media = add(4).media
    media.key, media.step, media.type = "val/generations", 1, 4
    media.timestamp.FromMilliseconds(int(SECONDS * 1000))
    text = "input: Q?\n\n---\n\noutput: A\n\n---\n\nlabel: B\n\n---\n\nscore: 0.5"
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    media.value.items.add(filename=f"001-{sha256[:8]}.txt", sha256=sha256, size=len(text), caption="sample 1")
    finish = add(-2).finish
    finish.state = 1
    finish.finished_at.FromMilliseconds(int(SECONDS * 1000))
    return [b64(record.SerializeToString(deterministic=True)) for record in records]


wandb_root, swanlab_root = Path(sys.argv[1]), Path(sys.argv[2])
golden = {
    "shuffles": shuffles(),
    "tensorboard": tensorboard(),
    "recordStore": record_store(swanlab_root),
    "wandb": wandb(wandb_root),
    "swanlab": swanlab(swanlab_root),
}
(here / "golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
