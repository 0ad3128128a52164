"""Runs a user's reward function or environment for cxmind: requests on stdin, replies on stdout, a line of JSON each.

    python3 host.py

The first request loads the function, each further one scores a batch or plays a turn. A value that JSON cannot write, such as
bytes, is an object with one key, MARK. What the function prints goes to stderr. Needs nothing but the standard library, 3.8 or
later.

Processes that the function starts by "spawn" or "forkserver" import this file as well, to find the function's own in it.
"""

import base64
import importlib
import importlib.util
import json
import math
import os
import queue
import signal
import sys
import threading
import time
import traceback

MODULE = "custom_reward_fn"  # EasyR1's name for the module of the user's file
FILE = "CXMIND_REWARD_FILE"  # where it is, for this process and those that it starts
MARK = "$cxmind"  # key of an object that stands for a value that JSON cannot write
GRACE_SECONDS = 3
END = object()  # of the requests


class RewardFinder:
    """Lets an import of MODULE find the user's file."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        return importlib.util.spec_from_file_location(name, os.environ[FILE]) if name == MODULE else None


sys.meta_path.append(RewardFinder)


def marked(value):
    """The object that stands for a value that JSON cannot write."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {MARK: ["bytes", base64.b64encode(value).decode()]}
    raise TypeError("cannot send a value of type %s" % type(value).__name__)


def line_of(reply):
    return json.dumps(reply, default=marked, allow_nan=False).encode() + b"\n"


KINDS = {"bytes": base64.b64decode, "float": float, "int": int}


def restored(found):
    """The value that an object stands for. A user's own object stays as it is, though it may have the key."""
    if list(found) != [MARK]:
        return found
    mark = found[MARK]
    is_ours = isinstance(mark, list) and len(mark) == 2 and all(isinstance(word, str) for word in mark)
    if not is_ours or mark[0] not in KINDS:
        return found
    kind, text = mark
    try:
        return KINDS[kind](text)
    except ValueError:
        return found


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
    """A queue of the requests, and END after the last. The process is ended if it is not done soon after that."""
    waiting = queue.Queue()

    def read():
        for line in stream:
            if line.endswith(b"\n"):
                waiting.put(json.loads(line, object_hook=restored))
        waiting.put(END)
        time.sleep(GRACE_SECONDS)
        os._exit(0)

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
    """Loads the user's code. Returns the function that answers later requests, and its name."""
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
    """The pair (messages, done) that a step returned, as a map."""
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
            number = float(value)
            parts[str(key)] = number if math.isfinite(number) else {MARK: ["float", str(number)]}
        except Exception:
            return {"problem": "'%s' is not a number but a %s" % (key, type(value).__name__)}
    return {"score": parts}


class WrongNumber(Exception):
    """A function of a batch returned something else than one score a response."""


def one_each(values, count):
    """The scores that a function of a batch returned, as a list."""
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
        is_made = False
        try:
            line = line_of({"value": make()})
            is_made = True
        except WrongNumber as error:
            line = line_of({"misfit": str(error)})
        except BaseException:  # a function may raise SystemExit: its process is ours to end
            line = line_of({"error": trace()})
        sink.write(line)
        sink.flush()
        return is_made

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
