"""Golden scores of CX-Mind's reward rules, from a second, independent source.

The rules are written here as the regular expressions and library calls that the reference uses:
Python's re, NLTK's sentence_bleu and PorterStemmer. The ROUGE-L around the stemmer is written out
after the rouge-score package (tokenise, stem, longest common subsequence).

    pip install nltk==3.10.3 && python generate.py

writes cases.json, stems.json and manifest.json beside itself.
"""

import json
import platform
import random
import re
import warnings
from pathlib import Path

import nltk
from nltk.stem.porter import PorterStemmer
from nltk.translate.bleu_score import sentence_bleu

warnings.filterwarnings("ignore")
SEED = 20250803
HERE = Path(__file__).parent
STEMMER = PorterStemmer()
TICK, CROSS = "\u2705", "\u274c"

PAIR = re.compile(r"<think>(.*?)</think>\s*<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
CHAIN = re.compile(r"(?:<think>.*?</think>\s*<answer>.*?</answer>\s*)+", re.DOTALL)


def clean(text):
    return re.sub(r"\s*(<|>|/)\s*", r"\1", text.strip())


def f1_raw(text):
    return 1.0 if CHAIN.fullmatch(text) else 0.0


def f2_cleaned(text):
    return 1.0 if CHAIN.fullmatch(clean(text)) else 0.0


def f3_counted(text):
    text = clean(text)
    return 1.0 if CHAIN.fullmatch(text) and text.count("<think>") == text.count("<answer>") else 0.0


def final_answer(text):
    found = re.findall(r"<answer>(.*?)</answer>", text, re.DOTALL)
    return found[-1] if found else ""


def letter(text, last):
    found = re.search(r"([A-%s])\s*[)\uff09.]?" % last, text.strip(), re.IGNORECASE)
    return found.group(1).upper() if found else ""


def diseases(text):
    return [item.strip().lower() for item in re.split(r"[,;\n]", text) if item.strip()]


def set_f1(predicted, expected):
    if not predicted and not expected:
        return 1.0
    if not predicted or not expected:
        return 0.0
    p, e = set(predicted), set(expected)
    tp, fp, fn = len(p & e), len(p - e), len(e - p)
    return 2 * tp / (2 * tp + fp + fn)


def rouge_tokens(text):
    words = re.split(r"\s+", re.sub(r"[^a-z0-9]+", " ", text.lower()))
    words = [STEMMER.stem(word) if len(word) > 3 else word for word in words]
    return [word for word in words if re.fullmatch(r"[a-z0-9]+", word)]


def rouge_l(target, prediction):
    t, p = rouge_tokens(target), rouge_tokens(prediction)
    if not t or not p:
        return 0.0
    table = [[0] * (len(p) + 1) for _ in range(len(t) + 1)]
    for i in range(1, len(t) + 1):
        for j in range(1, len(p) + 1):
            if t[i - 1] == p[j - 1]:
                table[i][j] = table[i - 1][j - 1] + 1
            else:
                table[i][j] = max(table[i - 1][j], table[i][j - 1])
    length = table[-1][-1]
    precision, recall = length / len(p), length / len(t)
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


def bleu(reference, hypothesis, single):
    def tokens(text):
        text = text.lower().replace(".", " .")
        return text.split(" ") if single else text.split()

    ref, hyp = tokens(reference), tokens(hypothesis)
    if not hyp:
        return 0.0
    return float(sentence_bleu([ref], hyp, weights=(1.0,)))


def similarity(hypothesis, reference, closed, alpha=0.3):
    b, r = bleu(reference, hypothesis, closed), rouge_l(reference, hypothesis)
    if closed:
        b, r = round(b, 4), round(r, 4)
    return alpha * b + (1 - alpha) * r


def closed_plain(response, truth, w=0.1):
    fmt = f3_counted(response)
    expected = letter(final_answer(truth), "D")
    acc = 1.0 if expected and letter(final_answer(response), "D") == expected else 0.0
    return {"overall": w * fmt + (1 - w) * acc, "format": fmt, "acc": acc}


def closed(response, truth, w=0.1):
    fmt = f1_raw(response)
    pairs, reference = PAIR.findall(response), PAIR.findall(truth)
    expected = letter(reference[-1][1], "G") if reference else ""
    got = letter(pairs[-1][1], "G") if pairs else ""
    acc = 1.0 if expected and got == expected else 0.0

    process = 0.0
    if pairs and expected:
        right = True
        for _, answer in pairs:
            name = letter(answer, "G")
            if not ((TICK in answer and name == expected) or (CROSS in answer and name != expected)):
                right = False
        process = 0.5 if right else 0.0

    reason = 0.0
    if acc == 1.0:
        mine = next((think for think, answer in pairs if letter(answer, "G") == expected), "")
        model = next((think for think, answer in reference if letter(answer, "G") == expected), "")
        if mine and model:
            reason = similarity(mine, model, True)
    base = w * fmt + (1 - w) * acc
    return {
        "overall": round(base, 6), "format": fmt, "acc": acc,
        "reason": reason, "process": process, "base_reward": base,
    }


def open_plain(response, truth, w=0.1):
    fmt = f3_counted(response)
    f1 = set_f1(diseases(final_answer(response)), diseases(final_answer(truth)))
    return {"overall": w * fmt + (1 - w) * f1, "format": fmt, "f1": f1}


def open_chain(response, truth, w=0.1, process_weight=0.2):
    fmt = f2_cleaned(response)
    expected = diseases(final_answer(truth))
    f1 = set_f1(diseases(final_answer(response)), expected)
    pairs, reference = PAIR.findall(response), PAIR.findall(truth)
    inner = pairs[1:-1] if len(pairs) > 2 else []

    def named(answer):
        return answer.replace(TICK, "").replace(CROSS, "").strip().lower()

    process = 0.0
    if len(pairs) > 2:
        right = all(
            (TICK in answer and named(answer) in expected)
            or (CROSS in answer and named(answer) not in expected)
            for _, answer in inner
        )
        process = process_weight if right else 0.0

    values = []
    for think, answer in inner:
        if TICK in answer and named(answer) in expected:
            for model, listed in reference:
                if named(answer) in diseases(listed):
                    if model and think:
                        values.append(similarity(think, model, False))
                    break
    reason = sum(values) / len(values) if values else 0.0
    base = w * fmt + (1 - w) * f1
    return {
        "overall": round(base, 6), "format": fmt, "f1": f1,
        "reason": reason, "process": process, "base_reward": base,
    }


# Random chains, mostly well formed, then broken in the ways that the rules treat specially.

WORDS = (
    "heart lungs clear opacity opacities effusions consolidation suggesting bilaterally enlarged hazy "
    "there is a no the in left lower lobe pneumonia cardiomegaly findings dying generally 3 x-ray news "
    "size normal of air. line. apex. blunted costophrenic angle. silhouette Possibly. ratio 0.55."
).split()
DISEASES = ["Atelectasis", "Edema", "Pneumonia", "Pleural Effusion", "Cardiomegaly", "No Finding"]
SPACES = [" ", "\n", "\t", "\x1c", "\x85", "\u00a0", "\ufeff", "\u2003", "  \n "]
JUNK = ["junk", "<think>", "</think>", "<answer>", "</answer>", "/", "<b>", ";", TICK, "A.", ""]


def sentence(rng):
    if rng.random() < 0.05:
        return rng.choice(["", " ", ".", "...", "\n"])
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


def cases(rng):
    made = []
    for index in range(200):
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
            response[at] = re.sub(r"(?<=<think>).*?(?=</think>)", lambda _: thought, response[at],
                                  flags=re.DOTALL)
        truth = rng.choice(["", "\n"]).join(reference)
        text = rng.choice(["", "\n", " "]).join(response)
        if rng.random() < 0.5:
            text = damage(rng, text)
        if is_closed:
            expected = {"closed": closed(text, truth), "closed_plain": closed_plain(text, truth)}
        else:
            expected = {"open": open_chain(text, truth), "open_plain": open_plain(text, truth)}
        made.append({"response": text, "groundTruth": truth, "expected": expected})
    return made


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


def main():
    rng = random.Random(SEED)
    (HERE / "cases.json").write_text(
        "[\n" + ",\n".join(json.dumps(case) for case in cases(rng)) + "\n]\n"
    )
    (HERE / "stems.json").write_text(json.dumps(stems(rng), separators=(",", ":")) + "\n")
    manifest = {
        "generator": "python generate.py",
        "versions": {"python": platform.python_version(), "nltk": nltk.__version__},
        "seed": SEED,
        "tolerance": {"atol": 1e-12},
        "files": {
            "cases.json": "responses and ground truths with the faithful scores of each reward",
            "stems.json": "words with their stems, PorterStemmer in its default (NLTK) mode",
        },
    }
    (HERE / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


main()
