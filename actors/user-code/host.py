"""Runs a user's reward function or environment for cxmind: requests on stdin, replies on stdout, in msgpack.

    python3 host.py

Each message is four bytes of length, big-endian, and one msgpack value. The first request loads the function, each
further one scores a batch or plays a turn. What the function prints goes to stderr. Needs nothing but the standard library, 3.8 or later.

Processes that the function starts by "spawn" or "forkserver" import this file as well, to find the function's own in it.
"""

import importlib
import importlib.util
import os
import queue
import signal
import struct
import sys
import threading
import time
import traceback

MODULE = "custom_reward_fn"  # what the original calls the user's file
FILE = "CXMIND_REWARD_FILE"  # where it is, for this process and those that it starts
GRACE_SECONDS = 3
END = object()  # of the requests


class RewardFinder:
    """Finds the user's file by the name that it has here, which is that of no file."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        return importlib.util.spec_from_file_location(name, os.environ[FILE]) if name == MODULE else None


sys.meta_path.append(RewardFinder)


def pack(value, out):
    """Appends the msgpack of a plain value to a bytearray."""
    if value is None:
        out.append(0xC0)
    elif value is True or value is False:
        out.append(0xC3 if value else 0xC2)
    elif isinstance(value, int):
        if -(2**63) <= value < 2**63:
            out += struct.pack(">Bq", 0xD3, value)
        else:
            out += struct.pack(">Bd", 0xCB, float(value))
    elif isinstance(value, float):
        out += struct.pack(">Bd", 0xCB, value)
    elif isinstance(value, str):
        data = value.encode("utf-8", "replace")
        out += struct.pack(">BI", 0xDB, len(data)) + data
    elif isinstance(value, (bytes, bytearray, memoryview)):
        data = bytes(value)
        out += struct.pack(">BI", 0xC6, len(data)) + data
    elif isinstance(value, (list, tuple)):
        out += struct.pack(">BI", 0xDD, len(value))
        for item in value:
            pack(item, out)
    elif isinstance(value, dict):
        out += struct.pack(">BI", 0xDF, len(value))
        for key, item in value.items():
            pack(str(key), out)
            pack(item, out)
    else:
        raise TypeError("cannot pack %s" % type(value).__name__)


class Unpacker:
    """Reads one msgpack value from bytes."""

    SIZED = {
        0xC4: ("bin", ">B"), 0xC5: ("bin", ">H"), 0xC6: ("bin", ">I"),
        0xD9: ("str", ">B"), 0xDA: ("str", ">H"), 0xDB: ("str", ">I"),
        0xDC: ("list", ">H"), 0xDD: ("list", ">I"),
        0xDE: ("map", ">H"), 0xDF: ("map", ">I"),
    }
    NUMBERS = {
        0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
        0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q",
    }
    CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, count):
        start, self.at = self.at, self.at + count
        return self.data[start : self.at]

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def value(self):
        tag = self.number(">B")
        if tag < 0x80:
            return tag
        if tag >= 0xE0:
            return tag - 0x100
        if tag < 0x90:
            return self.sized("map", tag & 0x0F)
        if tag < 0xA0:
            return self.sized("list", tag & 0x0F)
        if tag < 0xC0:
            return self.sized("str", tag & 0x1F)
        if tag in self.CONSTANTS:
            return self.CONSTANTS[tag]
        if tag in self.NUMBERS:
            return self.number(self.NUMBERS[tag])
        if tag in self.SIZED:
            kind, form = self.SIZED[tag]
            return self.sized(kind, self.number(form))
        raise ValueError("unexpected msgpack tag 0x%02x" % tag)

    def sized(self, kind, size):
        if kind == "str":
            return self.take(size).decode("utf-8", "replace")
        if kind == "bin":
            return bytes(self.take(size))
        if kind == "list":
            return [self.value() for _ in range(size)]
        return {self.value(): self.value() for _ in range(size)}


def read_exactly(stream, count):
    data = stream.read(count)
    return data if data is not None and len(data) == count else None


def die_with_the_parent():
    """Linux: the kernel ends this process with the thread that started it, even where user code holds the interpreter."""
    try:
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1 is PR_SET_PDEATHSIG
    except Exception:
        pass  # another system: the end of stdin ends it


def outlive_warnings():
    """Schedulers warn every process of a job with SIGUSR1. A handler, which the user's own programs do not inherit."""
    if hasattr(signal, "SIGUSR1"):
        signal.signal(signal.SIGUSR1, lambda *_: None)


def requests_of(stream):
    """A queue of requests, END at the end of the stream: what is not over soon after that is ended."""
    waiting = queue.Queue()

    def read():
        while True:
            head = read_exactly(stream, 4)
            data = None if head is None else read_exactly(stream, struct.unpack(">I", head)[0])
            if data is None:
                waiting.put(END)
                time.sleep(GRACE_SECONDS)
                os._exit(0)
            waiting.put(Unpacker(data).value())

    threading.Thread(target=read, daemon=True).start()
    return waiting


def is_ours(file):
    return file in (__file__, importlib.__file__) or file.startswith("<frozen importlib")


def trace():
    """The traceback of the exception that is handled, from where the user's code begins."""
    kind, error, frames = sys.exc_info()
    while frames is not None and is_ours(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    return "".join(traceback.format_exception(kind, error, frames)).rstrip()


def load(request):
    """What answers the requests to come, and its name."""
    path = request["file"]
    for folder in (os.getcwd(), os.path.dirname(os.path.abspath(path))):
        if folder not in sys.path:
            sys.path.append(folder)
    os.environ[FILE] = path
    module = importlib.import_module(MODULE)
    name = request["function"]
    if not callable(getattr(module, name, None)):
        raise AttributeError("%s has no function '%s'" % (path, name))
    function, kwargs = getattr(module, name), request["kwargs"]
    if request["type"] == "environment":
        return Episodes(function, kwargs).play, name
    kind = getattr(module, "REWARD_TYPE", request["type"])
    if kind not in ("batch", "sequential"):
        raise ValueError("%s: REWARD_TYPE is neither 'batch' nor 'sequential' but %r" % (path, kind))
    return lambda batch: score(function, kind, kwargs, batch), str(getattr(module, "REWARD_NAME", "unknown"))


class Episodes:
    """The episodes of a user's environment, each with what the user's function made for it."""

    def __init__(self, make, kwargs):
        self.make = lambda: make(**kwargs)
        self.playing = {}

    def play(self, request):
        """Answers a turn; without a request, names the tools."""
        if request is None:
            return list(getattr(self.make(), "tools", ()))
        for over in request["over"]:
            self.playing.pop(over, None)
        if request["start"] is not None:
            environment = self.make()
            environment.reset(request["start"])
            self.playing[request["id"]] = environment
        environment = self.playing.get(request["id"])
        if environment is None:
            return {"unknown": True}
        for messages in request["steps"]:
            reply = environment.step(messages)
        return {"reply": reply_of(reply)}


def reply_of(reply):
    """What a step returned, (messages, done), as a map."""
    if not isinstance(reply, (list, tuple)) or len(reply) != 2:
        raise TypeError("step: expected (messages, done), got a %s" % type(reply).__name__)
    messages, done = reply
    return {"messages": list(messages), "done": bool(done)}


def checked(score):
    """One response's score as a map of floats, whatever kind of number each was, or what is wrong with it."""
    if not hasattr(score, "items"):
        return {"problem": "expected a dict of numbers, got a %s" % type(score).__name__}
    parts = {}
    for key, value in score.items():
        try:
            if isinstance(value, (str, bytes)):
                raise TypeError
            parts[str(key)] = float(value)
        except Exception:
            return {"problem": "'%s' is not a number but a %s" % (key, type(value).__name__)}
    return {"score": parts}


class WrongNumber(Exception):
    """A function of a batch returned something else than one score a response."""


def one_each(values, count):
    """What a function of a batch returned, as a list."""
    if hasattr(values, "items"):
        got = 'one %s; a function of one response needs REWARD_TYPE = "sequential"' % type(values).__name__
    elif isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        got = "None" if values is None else "a value of type %s" % type(values).__name__
    else:
        values = list(values)
        if len(values) == count:
            return values
        got = "%d" % len(values)
    raise WrongNumber("expected a list of %d dicts, got %s" % (count, got))


def score(function, kind, kwargs, inputs):
    if kind == "batch":
        return [checked(one) for one in one_each(function(inputs, **kwargs), len(inputs))]
    scores = []
    for one in inputs:
        try:
            scores.append(checked(function(one, **kwargs)))
        except Exception:
            scores.append({"problem": "raised\n" + trace()})
    return scores


def main():
    die_with_the_parent()
    outlive_warnings()
    # The protocol keeps the two streams to itself: what user code prints, and what it reads, is not ours.
    source = os.fdopen(os.dup(0), "rb")
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdout = os.fdopen(1, "w", buffering=1)

    waiting = requests_of(source)

    def answer(make):
        try:
            reply = {"value": make()}
        except WrongNumber as error:
            reply = {"misfit": str(error)}
        except BaseException:  # a function may raise SystemExit: its process is ours to end
            reply = {"error": trace()}
        out = bytearray()
        pack(reply, out)
        sink.write(struct.pack(">I", len(out)) + out)
        sink.flush()
        return "value" in reply

    request = waiting.get()
    loaded = []

    def load_it():
        loaded.append(load(request))
        return loaded[0][1]

    if not answer(load_it):
        return
    respond, _ = loaded[0]
    while True:
        message = waiting.get()
        if message is END:
            return
        answer(lambda: respond(message))


if __name__ == "__main__":
    main()
