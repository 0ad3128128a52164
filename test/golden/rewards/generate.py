"""Golden scores of the reward functions, from the original Python.

The originals are run as they were published and are not part of this repository. Into one folder put

    CX-Mind   github.com/SII-WenjieLisjtu/CX-Mind, first commit dc8faec, examples/reward_function: closeQA.py,
              closeQA+think.py, closeQA+think+ans.py, openQA.py, openQA+think.py, openQA+think+ans.py
    EasyR1    github.com/hiyouga/EasyR1, examples/reward_function: math.py, r1v.py, dapo.py, android_gui.py

with what they import installed (nltk, rouge-score, scikit-learn, mathruler with sympy and pylatexenc 2.10), and run

    python generate.py FOLDER

It writes chains.json.gz, answers.json.gz, stems.json and manifest.json beside itself. All numbers are theirs; the texts
are made here: random responses, well formed and broken in the ways that the rules treat specially.
"""

import gzip
import importlib.util
import json
import platform
import random
import re
import signal
import sys
import warnings
from pathlib import Path

import nltk
import sympy
from nltk.stem.porter import PorterStemmer

warnings.filterwarnings("ignore")
SEED = 20250803
CHAINS, ANSWERS = 3000, 2500
HERE = Path(__file__).parent
STEMMER = PorterStemmer()
TICK, CROSS = "\u2705", "\u274c"
PAIR = re.compile(r"<think>(.*?)</think>\s*<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
LIMITS = {"max_response_length": 60, "overlong_buffer_length": 20, "overlong_penalty_factor": 0.5}


def original(folder, name):
    """The function of a published file; each import is a module of its own."""
    spec = importlib.util.spec_from_file_location("original_" + name.replace("+", "_"), Path(folder) / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.compute_score


def plain(score):
    return {key: float(value) for key, value in score.items()}


# Random chains, mostly well formed, then broken in the ways that the rules treat specially.

WORDS = (
    "heart lungs clear opacity opacities effusions consolidation suggesting bilaterally enlarged hazy "
    "there is a no the in left lower lobe pneumonia cardiomegaly findings dying generally 3 x-ray news "
    "size normal of air. line. apex. blunted costophrenic angle. silhouette Possibly. ratio 0.55."
).split()
DISEASES = ["Atelectasis", "Edema", "Pneumonia", "Pleural Effusion", "Cardiomegaly", "No Finding"]
SPACES = [" ", "\n", "\t", "\r\n", "\x1c", "\x85", "\u00a0", "\ufeff", "\u2003", "\u2028", "\u200b", "  \n "]
JUNK = ["junk", "<think>", "</think>", "<answer>", "</answer>", "/", "<b>", ";", TICK, CROSS, "A.", "", "<think></think>",
        "<answer></answer>", "<ANSWER>B</ANSWER>", "\ufe0f", "<an\u017fwer>", "<thin\u212a>", "\\boxed{B}", "<|im_end|>"]


def sentence(rng):
    if rng.random() < 0.05:
        return rng.choice(["", " ", ".", "...", "\n", "\x1f", "\u2003x", " a ", "..a..", "\u00e9", "\u0130stanbul"])
    words = rng.choices(WORDS, k=rng.randint(1, 5))
    glue = rng.choice([" "] * 8 + ["  ", "\n"])
    return glue.join(words).capitalize() + rng.choice([".", ".", "", " ."])


def chain(rng, answers):
    return [f"<think>{sentence(rng)}</think><answer>{answer}</answer>" for answer in answers]


def closed_answers(rng, truth, faulty):
    letters = [x for x in "ABCDEFG" if x != truth]
    rng.shuffle(letters)
    answers = [f"{x} {CROSS}" for x in letters[: rng.randint(0, 2)]] + [f"{truth} {TICK}"]
    for i in range(len(answers)):
        if faulty and rng.random() < 0.35:
            pick = rng.choice("ABCDEFG")
            answers[i] = rng.choice([
                pick, f"{pick}.", f"({pick.lower()}) {TICK}", f"Option {pick} {TICK}", CROSS, "",
                f"The answer is {pick}", f"{TICK}{pick}", "Pneumonia", f"{pick} {TICK}{CROSS}", "No",
            ])
    return answers


def open_answers(rng, truth, faulty):
    names = list(dict.fromkeys(truth[:2] + rng.sample(DISEASES, rng.randint(0, 2))))
    answers = [", ".join(names)]
    answers += [f"{name} {TICK if name in truth else CROSS}" for name in names]
    answers.append(rng.choice([", ", "; ", ",\n", ","]).join(truth))
    for i in range(len(answers)):
        if faulty and rng.random() < 0.3:
            pick = rng.choice(DISEASES)
            answers[i] = rng.choice([
                pick.upper(), f"{TICK} {pick}", f"{pick} {CROSS}", "", ", ;\n", f"{pick}, {pick}",
                f"{pick} {TICK}, Edema {TICK}", f" {pick}\x1c", f"{pick}\ufeff", f"{pick} {TICK}{TICK}",
            ])
    return answers


def damage(rng, text):
    for _ in range(rng.randint(1, 2)):
        kind = rng.randint(0, 7)
        at = rng.randint(0, len(text))
        if kind == 0:
            text = text[:at] + rng.choice(JUNK) + text[at:]
        elif kind == 1:
            text = rng.choice(SPACES) + text
        elif kind == 2:
            text = text + rng.choice(SPACES)
        elif kind == 3:
            text = text.replace(rng.choice(["<think>", "</think>", "<answer>", "</answer>"]),
                                rng.choice(["<THINK>", "< think >", "</ answer>", "<th\u0131nk>"]), 1)
        elif kind == 4:
            space = rng.choice(SPACES)
            text = re.sub(r"(<|>|/)", lambda m: m.group(0) + space, text)
        elif kind == 5:
            text = text.upper() if rng.random() < 0.3 else text.replace("think", "THINK")
        elif kind == 6:
            text = text.replace("</think><answer>", f"</think>{rng.choice(SPACES)}<answer>")
        else:
            text = text[:at] + text[at + rng.randint(1, 9):]
    return text


def chain_case(rng, index):
    is_closed = index % 2 == 0
    if is_closed:
        true_letter = rng.choice("ABCDEFG")
        right, mine = true_letter, rng.choice([true_letter] * 9 + list("ABCDEFG"))
        reference = chain(rng, closed_answers(rng, right, rng.random() < 0.1))
        response = chain(rng, closed_answers(rng, mine, rng.random() < 0.5))
    else:
        right = rng.sample(DISEASES, rng.choice([0, 1, 2, 2, 3]))
        mine = right if rng.random() < 0.7 else rng.sample(DISEASES, rng.randint(0, 3))
        reference = chain(rng, open_answers(rng, right, rng.random() < 0.1))
        response = chain(rng, open_answers(rng, mine, rng.random() < 0.4))
    if rng.random() < 0.5:  # a thought of the reference, so that some similarities are high
        thought = PAIR.findall(rng.choice(reference))[0][0]
        at = rng.randrange(len(response))
        response[at] = re.sub(r"(?<=<think>).*?(?=</think>)", lambda _: thought, response[at], flags=re.DOTALL)
    truth = rng.choice(["", "\n"]).join(reference)
    text = rng.choice(["", "\n", " "]).join(response)
    if rng.random() < 0.5:
        text = damage(rng, text)
    if rng.random() < 0.05:
        truth = damage(rng, truth)
    return ("closed" if is_closed else "open"), text, truth


# Answers to questions of mathematics, written in the ways people and models write them.

VALUES = [
    "1/2", "-3/4", "7", "-12", "0", "0.5", "2.50", "1000", "12345", "3.14", "x+1", "2x", "x^2-1", "(x-1)(x+1)",
    "x(x+1)", "x^2+x", "sqrt(2)", "2sqrt(3)", "sqrt(12)", "sqrt(8)/2", "pi", "2pi/3", "pi/2", "(1,2)", "(-3,5]", "[0,1)",
    "(1,2,3)", "1+sqrt(2)", "x/2", "(x+1)/2", "x/2+1/2", "y=2x+1", "x=5", "k=3", "ab=4", "3x^2+2x+1", "(x+1)^2",
    "x^2+2x+1", "e^x", "2^10", "2^9", "512", "1024", "10^6", "x^{10}", "n(n+1)/2", "5!", "120", "a+b", "b+a", "ab", "ba",
    "abc", "2a+3b", "3b+2a", "1/x", "x^-1", "(x^2-1)/(x-1)", "No", "yes", "east", "Monday", "A", "(A)", "50%", "30 degrees",
    "12 cm", "5 feet", "3 hours", "2 million", "1 3/4", "7/4", "1.75", "0.333", "1/3", "2/6", "ln(2)", "-ln(1/2)",
    "sqrt(3+2sqrt(2))", "inf", "(-inf,2)", "6 or 7", "3 and 4", "x < 5", "1,234", "1,234,567", "12,34", "{1,2}", "05", "+5",
    "1e3", "1_000", "nan", "None", "", " ", "-5", "- 5", "5.0", "5.00000001", "4.99999999", "0.1+0.2", "0.3", "x2", "2x3",
    "((x))", "(x", "x)", "2(3)", "2(x+1)", "2x+2", "sqrt(x^2)", "x!", "3:4", "|x|", "x_1", "sqrt2", "1/0", "0/5", "\u00bd", "\u0663",
]
TEMPLATES = [
    (r"\frac{%s}{%s}", 2), (r"\dfrac{%s}{%s}", 2), (r"\tfrac%s%s", 2), (r"\frac%s{%s}", 2), (r"-\frac{%s}{%s}", 2),
    (r"\sqrt{%s}", 1), (r"\sqrt%s", 1), (r"%s\sqrt{%s}", 2), (r"\sqrt[3]{%s}", 1), (r"%s\pi", 1), (r"\frac{%s\pi}{%s}", 2),
    (r"\left(%s, %s\right)", 2), (r"(%s,%s)", 2), (r"[%s, %s)", 2), (r"\text{%s}", 1), (r"%s\text{ cm}", 1), (r"\mathrm{%s}", 1),
    (r"%s^\circ", 1), (r"%s^{\circ}", 1), (r"%s\%%", 1), (r"\$%s", 1), (r"$%s$", 1), (r"%s \cdot %s", 2), (r"%s\times %s", 2),
    (r"%s^{%s}", 2), (r"%s^%s", 2), (r"x=%s", 1), (r"x = \frac{%s}{%s}", 2), (r"%s + %s", 2), (r"%s-%s", 2), (r"%s,\!%s", 2),
    (r"\boxed{%s}", 1), (r"\{%s, %s\}", 2), (r"(-\infty, %s)", 1), (r"(-\infty,%s)\cup(%s,\infty)", 2), (r"\pm %s", 1),
    (r"\begin{pmatrix} %s \\ %s \end{pmatrix}", 2), (r"%s\,%s", 2), (r"%s \text{ and } %s", 2), (r"\overline{%s}", 1),
    (r"\mbox{%s}", 1), (r"%s\ %s", 2), (r"\frac{%s}{%s}{", 2), (r"\frac", 0), (r"\sqrt", 0), (r"\text{ a}\text{ b}%s", 1),
    (r"\theta", 0), (r"\alpha+%s", 1), (r"%s\alpha", 1), (r"\ln %s", 1), (r"\sin %s", 1), (r"%s \leq x", 1), (r"\textbf{(%s)}", 1),
    (r"%s \frac{%s}{4}", 2), (r"%s\frac12", 1), (r"\binom{%s}{%s}", 2), (r"%s~%s", 2), (r"{%s}", 1), (r"\!%s", 1), (r"%s meters", 1),
    (r"%s points", 1), (r"%s = %s", 2), (r"a %s", 1), (r"an %s", 1), (r"%s.", 1), (r"%s.$", 1), (r'"%s"', 1), (r"\text{%s and %s}", 2),
]
ATOMS = ["1", "2", "3", "4", "5", "7", "10", "12", "x", "y", "n", "-1", "2x", "x+1", "x-1", "a", "b", "0", "0.5", ".5", "100", "A"]


def atom(rng):
    return rng.choice(ATOMS)


def written(rng):
    """One way to write something."""
    if rng.random() < 0.45:
        return rng.choice(VALUES)
    template, slots = rng.choice(TEMPLATES)
    inner = [atom(rng) if rng.random() < 0.85 else written(rng) for _ in range(slots)]
    return template % tuple(inner)


REWRITINGS = [
    lambda rng, s: s,
    lambda rng, s: s.replace(" ", ""),
    lambda rng, s: f" {s} ",
    lambda rng, s: s.replace("/", " / "),
    lambda rng, s: re.sub(r"\\frac\{(.*?)\}\{(.*?)\}", r"\1/\2", s),
    lambda rng, s: re.sub(r"\\frac\{(.*?)\}\{(.*?)\}", r"(\1)/(\2)", s),
    lambda rng, s: re.sub(r"\\frac\{(.*?)\}\{(.*?)\}", r"{\1 \\over \2}", s),
    lambda rng, s: re.sub(r"(-?[\w.]+)/(-?[\w.]+)", r"\\frac{\1}{\2}", s),
    lambda rng, s: re.sub(r"sqrt\((.*?)\)", r"\\sqrt{\1}", s),
    lambda rng, s: s.replace("frac", "dfrac"),
    lambda rng, s: f"${s}$",
    lambda rng, s: f"\\text{{{s}}}",
    lambda rng, s: f"{s} cm",
    lambda rng, s: f"x = {s}",
    lambda rng, s: f"({s})",
    lambda rng, s: f"0+{s}",
    lambda rng, s: f"{s}+1-1",
    lambda rng, s: f"2*({s})/2",
    lambda rng, s: f"-(-({s}))",
    lambda rng, s: f"({s})*x/x",
    lambda rng, s: f"{s}.0",
    lambda rng, s: s.upper(),
    lambda rng, s: s.replace("(", "[").replace(")", "]"),
    lambda rng, s: s + rng.choice(["", "0", "1", "x", ")", "}", "\\", "%", "$", ",", ".", "^", "^2", "!"]),
    lambda rng, s: "".join(c for c in s if rng.random() > 0.05),
]


def answer_case(rng):
    truth = written(rng)
    given = truth if rng.random() < 0.7 else written(rng)
    for _ in range(rng.choice([0, 1, 1, 2])):
        given = rng.choice(REWRITINGS)(rng, given)
    if rng.random() < 0.2:
        truth = rng.choice(REWRITINGS)(rng, truth)
    thought = sentence(rng)
    blank = rng.choice(["", "", " ", "\n", "\x1c"])
    wrapped = rng.choice([
        f"\\boxed{{{given}}}", f"\\boxed{{{given}}}", f"so \\boxed{{1}} or \\boxed{{ {given} }}.", f"\\boxed{{{given}",
        f"<answer>{given}</answer>", f"<answer>{given}</answer>", f"<answer>\n{given}</answer>", f"<answer>\\boxed{{{given}}}</answer>",
        f"Answer: {given}", f"\nAnswer : {given}\n", f"ANSWER:{given}", f"answer: 1\nThe answer:\n{given}", given,
    ])
    text = rng.choice([
        f"<think>{thought}</think>{blank}{wrapped}", f"<think>{thought}</think>{blank}{wrapped}",
        f"< think >{thought}< / think >{wrapped}", f" <think>{thought}</think>{wrapped}", f"<think>{thought}{wrapped}", wrapped,
        f"<think>{thought}</think>{wrapped}{blank}", f"{wrapped}{'. ' * rng.choice([1, 140, 160])}",
    ])
    if rng.random() < 0.1:
        text = damage(rng, text)
    if rng.random() < 0.15:
        truth = rng.choice("012")
        text = rng.choice([truth, f" {truth}\n", "I choose 2", "10", "card three", "", f"The answer is {truth}.", text])
    return text, truth, rng.randint(0, 80)


def stems(rng):
    bases = (
        "sky skies dying lying tying news inning outing canning howe proceed exceed succeed by is ties "
        "cries tried died owed agreed feed hopping hoping filing falling hissing fizzed failing sing sky "
        "happy enjoy say by cry relational conditional rational valency hesitancy digitizer conformably "
        "radically differently vilely analogously vietnamization predication operator feudalism "
        "decisiveness hopefulness callousness formality sensitivity sensibility triplicate formative "
        "formalize electricity electrical hopeful goodness revival allowance inference airliner "
        "gyroscopic adjustable defensible irritant replacement adjustment dependent adoption homologous "
        "communism activate angularity effective bowdlerize probate rate cease controll roll bilaterally "
        "carefully theology geology logi analogies possibly opacities consolidation atelectasis eat ate"
    ).split()
    endings = (
        "s es ies ed ied eed ing ings y ly ally alli fully fulli ational tional ency ancy izer bly ably "
        "entli ousli ization ation ator alism iveness fulness ousness aliti iviti biliti logi icate ative "
        "alize iciti ical ful ness ance ence er ic able ible ant ement ment ent sion tion ou ism ate iti "
        "ous ive ize e ll le bl at iz"
    ).split()
    letters = "aeiouybcdlmnrstvwxz"
    words = set(bases)
    while len(words) < 800:
        body = "".join(rng.choices(letters, k=rng.randint(1, 5)))
        words.add(body + rng.choice(endings) + rng.choice(["", "", rng.choice(endings)]))
    return {word: STEMMER.stem(word) for word in sorted(words)}


class TooLong(BaseException):
    pass


def stop(*_):
    raise TooLong


def chains(rng, folder):
    scorers = {
        "closed": original(folder, "closeQA+think+ans"),
        "closed_think": original(folder, "closeQA+think"),
        "closed_plain": original(folder, "closeQA"),
        "open": original(folder, "openQA+think+ans"),
        "open_think": original(folder, "openQA+think"),
        "open_plain": original(folder, "openQA"),
    }
    made = []
    for index in range(CHAINS):
        kind, text, truth = chain_case(rng, index)
        item = {"response": text, "response_length": 1, "ground_truth": truth}
        expected = {name: plain(score([item])[0]) for name, score in scorers.items() if name.startswith(kind)}
        made.append({"response": text, "length": 1, "truth": truth, "expected": expected})
    return made


def answers(rng, folder):
    batch = {
        "math": (original(folder, "math"), {}),
        "dapo": (original(folder, "dapo"), LIMITS),
        "android_gui": (original(folder, "android_gui"), {}),
    }
    r1v = original(folder, "r1v")
    signal.signal(signal.SIGALRM, stop)
    made = []
    while len(made) < ANSWERS:
        text, truth, length = answer_case(rng)
        item = {"response": text, "response_length": length, "ground_truth": truth}
        signal.alarm(5)
        try:  # a few expressions take the original for ever
            expected = {name: plain(score([item], **kwargs)[0]) for name, (score, kwargs) in batch.items()}
            expected["r1v"] = plain(r1v(item))
        except TooLong:
            continue
        finally:
            signal.alarm(0)
        made.append({"response": text, "length": length, "truth": truth, "expected": expected})
    return made


def write(name, cases):
    text = json.dumps(cases, separators=(",", ":"))
    (HERE / name).write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def main(folder):
    write("chains.json.gz", chains(random.Random(SEED), folder))
    write("answers.json.gz", answers(random.Random(SEED + 1), folder))
    (HERE / "stems.json").write_text(json.dumps(stems(random.Random(SEED)), separators=(",", ":")) + "\n")
    manifest = {
        "generator": "python generate.py FOLDER",
        "versions": {"python": platform.python_version(), "nltk": nltk.__version__, "sympy": sympy.__version__},
        "originals": {
            "CX-Mind": "github.com/SII-WenjieLisjtu/CX-Mind dc8faec",
            "EasyR1": "github.com/hiyouga/EasyR1 examples/reward_function",
            "mathruler": "github.com/hiyouga/MathRuler, pylatexenc 2.10",
        },
        "seed": SEED,
        "tolerance": {"atol": 1e-9, "reason of the closed rewards, which they round": 1e-4},
        "files": {
            "chains.json.gz": "3000 responses to closed and open questions with the scores of CX-Mind's functions",
            "answers.json.gz": "2500 responses to questions of mathematics with the scores of EasyR1's functions",
            "stems.json": "words with their stems, PorterStemmer in its default (NLTK) mode",
        },
    }
    (HERE / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


main(sys.argv[1])
