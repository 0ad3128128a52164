#!/usr/bin/env python3
"""Write golden vectors of every advantage, KL, loss, controller, schedule and batch division (torch, float32).

Everything is computed here from the formulas of the papers and of the specification, over [B, L] rectangles with a
mask, gradients by autograd. Inputs have few decimals, so that JSON carries them exactly; cases are random, or sit on
the edges: ties, bounds met exactly, ratios beyond every clamp, rows of one token, masked tokens inside a row.
"""

import heapq
import json
import math
import random
from pathlib import Path

import torch

SEED = 20
HERE = Path(__file__).parent
EPS = 1e-8
F = torch.float32


def t(values):
    return torch.tensor(values, dtype=F)


def numbers(tensor):
    return tensor.detach().to(torch.float64).tolist()


def draw(shape, low, high, digits=3):
    count = math.prod(shape)
    return t([round(random.uniform(low, high), digits) for _ in range(count)]).reshape(shape)


def mask_of(lengths, columns, holes=()):
    mask = torch.zeros(len(lengths), columns)
    for i, length in enumerate(lengths):
        mask[i, :length] = 1
    for i, j in holes:
        mask[i, j] = 0
    return mask


# Primitives


def masked_mean(x, mask, dim=None):
    return (x * mask).sum(dim) / (mask.sum(dim) + EPS)


def masked_var(x, mask):
    var = masked_mean((x - masked_mean(x, mask)) ** 2, mask)
    count = mask.sum()
    return var * (count / (count - 1)) if count > 1 else var


def whiten(x, mask):
    return (x - masked_mean(x, mask)) * torch.rsqrt(masked_var(x, mask) + EPS)


def average(x, mask, mode):
    if mode == "token":
        return masked_mean(x, mask)
    return ((x * mask).sum(-1) / (mask.sum(-1) + EPS)).mean()


# Advantages


def by_group(groups):
    rows = {}
    for i, group in enumerate(groups):
        rows.setdefault(group, []).append(i)
    return rows.values()


def outcome(name, scores, groups, baselines):
    result = torch.zeros_like(scores)
    if name == "remax":
        return scores - baselines
    for rows in by_group(groups):
        s = scores[rows]
        if name == "grpo":
            result[rows] = (s - s.mean()) / (s.std() + 1e-6)
        elif name == "grpo_passk":
            best = s.topk(2).values
            result[rows[int(s.argmax())]] = (best[0] - best[1]) / (s.std() + 1e-6)
        elif name == "rloo":
            result[rows] = s - (s.sum() - s) / (len(rows) - 1)
    return result


def reward_to_go(rewards, mask, gamma):
    returns = torch.zeros_like(rewards)
    running = torch.zeros(len(rewards))
    for j in reversed(range(rewards.shape[1])):
        returns[:, j] = rewards[:, j] + gamma * running
        running = returns[:, j] * mask[:, j]
    return returns


def gae_over_columns(rewards, values, gamma, lam):
    carried, after = torch.zeros(len(rewards)), torch.zeros(len(rewards))
    result = torch.zeros_like(rewards)
    for j in reversed(range(rewards.shape[1])):
        delta = rewards[:, j] + gamma * after - values[:, j]
        carried = delta + gamma * lam * carried
        after = values[:, j]
        result[:, j] = carried
    return result


def gae_past_masked(rewards, values, mask, gamma, lam):
    carried, after = torch.zeros(len(rewards)), torch.zeros(len(rewards))
    result = torch.zeros_like(rewards)
    for j in reversed(range(rewards.shape[1])):
        counts = mask[:, j] == 1
        delta = rewards[:, j] + gamma * after - values[:, j]
        carried = torch.where(counts, delta + gamma * lam * carried, carried)
        after = torch.where(counts, values[:, j], after)
        result[:, j] = carried
    return result


def advantages():
    cases = []
    for name in ["grpo", "grpo_passk", "rloo", "remax", "reinforce_plus_plus", "gae"]:
        for kind in ["random", "random", "random", "large", "short", "holes"]:
            groups = [g for g in "abcd" for _ in range(random.choice([2, 3, 5]))]
            random.shuffle(groups)
            rows, columns = len(groups), 1 if kind == "short" else 7
            lengths = [random.randint(1, columns) for _ in range(rows)]
            inside = [(i, 1) for i, n in enumerate(lengths) if n > 2] if kind == "holes" else []
            mask = mask_of(lengths, columns, inside)
            scale = 1000.0 if kind == "large" else 1.0
            rewards = draw((rows, columns), -scale, scale) * mask
            if kind == "random" and random.random() < 0.5:
                # One reward at the end, as most have it, from a few values, so that groups have ties.
                rewards = torch.zeros_like(rewards)
                for i, n in enumerate(lengths):
                    rewards[i, n - 1] = random.choice([0.0, 0.1, 0.9, 1.0])
            values = draw((rows, columns), -1, 1) * mask
            baselines = draw((rows,), -scale, scale)
            gamma, lam = random.choice([(1.0, 1.0), (0.95, 0.9), (0.99, 0.0), (0.0, 0.95)])
            scores = (rewards * mask).sum(-1)
            # Where all scores of a group are equal, deviation is a rounding error: here they get zeros instead.
            if name == "grpo" and any(len(set(numbers(scores[r]))) == 1 for r in by_group(groups)):
                for r in by_group(groups):
                    scores[r[0]] += 0.5
                    rewards[r[0], 0] += 0.5
                scores = (rewards * mask).sum(-1)
            if name == "gae":
                raw = gae_past_masked(rewards, values, mask, gamma, lam)
                if not inside:
                    other = gae_over_columns(rewards, values, gamma, lam)
                    assert torch.allclose(raw * mask, other * mask, rtol=0, atol=1e-6 * scale)
                result, returns = whiten(raw, mask), raw + values
            elif name == "reinforce_plus_plus":
                returns = reward_to_go(rewards, mask, gamma)
                result = whiten(returns, mask)
            else:
                result = outcome(name, scores, groups, baselines)[:, None] * mask
                returns = result
                if name == "remax":
                    returns = (rewards * mask).flip(-1).cumsum(-1).flip(-1)
            cases.append(
                {
                    "name": name, "kind": kind, "groups": groups, "mask": numbers(mask), "rewards": numbers(rewards),
                    "values": numbers(values), "baselines": numbers(baselines), "gamma": gamma, "lambda": lam,
                    "advantages": numbers(result * mask), "returns": numbers(returns * mask),
                }
            )  # fmt: skip
    return cases


# KL


def kl_of(kind, log_probs, ref):
    d = log_probs - ref
    if kind == "kl":
        return d
    if kind == "abs":
        return d.abs()
    if kind == "mse":
        return d.square() / 2
    x = (-d).clamp(-20, 20)
    return (x.exp() - x - 1).clamp(-10, 10)


EDGES = [0.0, 1e-4, -1e-4, 0.5, -0.5, 1.0, -1.0, 2.25, -2.25, 3.0, -3.0, 10.0, -10.0, 20.0, -20.0, 25.0, -25.0, 50.0, -50.0]


def kls():
    cases = []
    for kind in ["kl", "abs", "mse", "low_var_kl"]:
        for edges in [True, False]:
            base = draw((len(EDGES),), -3, 0) if not edges else torch.zeros(len(EDGES))
            step = draw((len(EDGES),), -4, 4) if not edges else t(EDGES)
            log_probs = (base + step).requires_grad_()
            value = kl_of(kind, log_probs, base)
            value.sum().backward()
            cases.append(
                {
                    "kind": kind, "logProbs": numbers(log_probs), "refLogProbs": numbers(base),
                    "values": numbers(value), "derivatives": numbers(log_probs.grad),
                }
            )  # fmt: skip
    return cases


def penalties():
    cases = []
    for kind in ["kl", "abs", "mse", "low_var_kl"]:
        for coef in [0.0, 1e-3, 0.25]:
            mask = mask_of([3, 5, 1, 4], 5)
            old, ref = draw((4, 5), -3, 0), draw((4, 5), -3, 0)
            scores = draw((4,), -1, 1)
            token_scores = torch.zeros(4, 5)
            for i, n in enumerate([3, 5, 1, 4]):
                token_scores[i, n - 1] = scores[i]
            kl = kl_of(kind, old, ref) * mask
            cases.append(
                {
                    "kind": kind, "coef": coef, "mask": numbers(mask), "old": numbers(old), "ref": numbers(ref),
                    "scores": numbers(scores), "tokenScores": numbers(token_scores),
                    "rewards": numbers((token_scores - coef * kl) * mask),
                    "currentKl": masked_mean(kl, mask, -1).mean().item(),
                }
            )  # fmt: skip
    return cases


def controllers():
    cases = []
    for coef, target, horizon in [(0.001, 0.1, 10000.0), (0.2, 6.0, 500.0), (1e-3, 0.01, 64.0)]:
        steps, now = [], coef
        for kl in [target, 5 * target, 0.0, target * 1.1, target * 0.9, target * 1.2, -target, 1e3]:
            count = random.choice([1, 40, 640])
            error = min(max(kl / target - 1, -0.2), 0.2)
            now = now * (1 + error * count / horizon)
            steps.append({"kl": kl, "samples": count, "coef": now})
        cases.append({"coef": coef, "target": target, "horizon": horizon, "steps": steps})
    return cases


# Policy loss


def policy_loss(case, lp, old, adv, mask, ref):
    o = case["options"]
    kind = o["lossType"]
    x = lp - old
    if kind == "gspo":
        ratio_log = masked_mean(x, mask, -1)[:, None] * mask
    elif kind == "gspo_token":
        ratio_log = masked_mean(x, mask, -1)[:, None].detach() + lp - lp.detach()
    else:
        ratio_log = x
    low = math.log(1 - o["clipRatioLow"]) if o["clipRatioLow"] < 1 else -math.inf
    ratio = ratio_log.clamp(-20, 20).exp()
    clipped = ratio_log.clamp(low, math.log(1 + o["clipRatioHigh"])).exp()
    metrics = {}
    if kind == "cispo":
        loss = -adv * lp * clipped.detach()
    elif kind == "sapo":
        tau = torch.where(adv >= 0, t(o["tauPositive"]), t(o["tauNegative"]))
        loss = -adv * (4 / tau) * torch.sigmoid(tau * (ratio - 1))
    else:
        first, second, third = -adv * ratio, -adv * clipped, -adv * o["clipRatioDual"]
        higher = torch.maximum(first, second)
        loss = torch.where(adv < 0, torch.minimum(higher, third), higher)
        metrics["pg_clipfrac_higher"] = masked_mean((first < second).float(), mask)
        metrics["pg_clipfrac_lower"] = masked_mean(((higher > third) & (adv < 0)).float(), mask)
    mode = o["lossAvgMode"]
    total = policy = average(loss, mask, mode)
    metrics |= {"pg_loss": policy, "ppo_kl": masked_mean(-x, mask), "entropy_loss": average(-lp, mask, mode)}
    if o["useKlLoss"]:
        term = average(kl_of(o["klPenalty"], lp, ref), mask, mode)
        metrics["kl_loss"] = term
        total = total + o["klCoef"] * term
    return total, metrics


def policy_losses():
    cases = []
    clips = [(0.2, 0.3, 3.0), (3e-4, 4e-4, 10.0), (0.0, 4.0, 3.0), (1.0, 0.28, 1.5)]
    for kind in ["default", "gspo", "gspo_token", "cispo", "sapo"]:
        for mode in ["token", "seq"]:
            for n, (low, high, dual) in enumerate(clips):
                lengths, columns = ([3, 6, 1, 4], 6) if n != 2 else ([4, 2], 4)
                mask = mask_of(lengths, columns, [(1, 2)] if n == 1 else [])
                shape = mask.shape
                old = draw(shape, -3, 0)
                change = draw(shape, -1, 1)
                if n == 0:
                    # No change at all, changes past each clamp, and both signs of the advantage beside them.
                    change[0, :3] = t([0.0, 25.0, -25.0])
                    change[1, :6] = t([0.0, 2.0, -2.0, 24.0, -24.0, 1.25])
                lp = (old + change).requires_grad_()
                adv = draw(shape, -2, 2)
                if n == 0:
                    adv[0, :3] = t([1.0, 1.0, 1.0])
                    adv[1, :6] = t([-1.0, -1.0, -1.0, -1.0, -1.0, 0.0])
                ref = draw(shape, -3, 0)
                case = {
                    "options": {
                        "lossType": kind, "lossAvgMode": mode, "clipRatioLow": low, "clipRatioHigh": high,
                        "clipRatioDual": dual, "tauPositive": random.choice([1.0, 2.0]),
                        "tauNegative": random.choice([1.05, 0.5]), "useKlLoss": n % 2 == 1,
                        "klPenalty": random.choice(["kl", "abs", "mse", "low_var_kl"]), "klCoef": 0.05,
                    }
                }  # fmt: skip
                loss, metrics = policy_loss(case, lp, old, adv, mask, ref)
                loss.backward()
                case |= {
                    "mask": numbers(mask), "logProbs": numbers(lp), "oldLogProbs": numbers(old),
                    "advantages": numbers(adv), "refLogProbs": numbers(ref), "loss": loss.item(),
                    "gradient": numbers(lp.grad), "metrics": {k: v.item() for k, v in metrics.items()},
                }  # fmt: skip
                cases.append(case)
    return cases


def exponents_of(value):
    """Float32 numbers whose exponential, rounded once, is `value`: torch and any exact exponential agree on them."""
    near, found = torch.log(t(value)), []
    for direction in [-math.inf, math.inf]:
        at = near
        for _ in range(4):
            if t(math.exp(at.item())) == t(value) and at.exp() == t(value):
                found.append(at)
            at = torch.nextafter(at, t(direction))
    return found


def policy_bounds():
    """Ratios at the clip's bounds, at the dual clip's cap, and a float32 beside each."""
    cases = []
    for low, high, dual in [(0.2, 0.3, 1.7), (0.1, 0.28, 1.3), (0.05, 0.7, 1.9), (3e-4, 4e-4, 1.1)]:
        bounds = [t(math.log(1 - low)), t(math.log(1 + high)), *exponents_of(dual)]
        beside = [torch.nextafter(b, t(away)) for b in bounds for away in [-math.inf, math.inf]]
        lp = torch.stack([*bounds, *beside])[None].requires_grad_()
        old, ref, mask = torch.zeros_like(lp), torch.zeros_like(lp), torch.ones_like(lp)
        for size in [0.7, -0.7, -0.37, -1.9]:
            adv = torch.full_like(old, size)
            case = {
                "options": {
                    "lossType": "default", "lossAvgMode": "token", "clipRatioLow": low, "clipRatioHigh": high,
                    "clipRatioDual": dual, "tauPositive": 1, "tauNegative": 1, "useKlLoss": False, "klPenalty": "kl", "klCoef": 0,
                }
            }  # fmt: skip
            lp.grad = None
            loss, metrics = policy_loss(case, lp, old, adv, mask, ref)
            loss.backward()
            case |= {
                "mask": numbers(mask), "logProbs": numbers(lp), "oldLogProbs": numbers(old), "advantages": numbers(adv),
                "refLogProbs": numbers(ref), "loss": loss.item(), "gradient": numbers(lp.grad),
                "metrics": {k: v.item() for k, v in metrics.items()},
            }  # fmt: skip
            cases.append(case)
    return cases


def value_case(mode, clip, mask, old, values, returns):
    values = values.detach().requires_grad_()
    clipped = torch.clamp(values, old - clip, old + clip)
    first, second = (values - returns) ** 2, (clipped - returns) ** 2
    loss = 0.5 * average(torch.maximum(first, second), mask, mode)
    loss.backward()
    return {
        "lossAvgMode": mode, "cliprangeValue": clip, "mask": numbers(mask), "values": numbers(values),
        "oldValues": numbers(old), "returns": numbers(returns), "loss": loss.item(), "gradient": numbers(values.grad),
        "clipfrac": masked_mean((first < second).float(), mask).item(), "mean": masked_mean(values, mask).item(),
    }  # fmt: skip


def value_bounds():
    """Values that moved by exactly the clip range, and by a float32 more or less."""
    cases = []
    for clip in [0.1, 0.2, 0.3, 0.5, 0.7]:
        old = draw((8,), -1, 1)
        ends = torch.cat([old - clip, old + clip])
        away = t(math.inf)
        values = torch.cat([ends, torch.nextafter(ends, away), torch.nextafter(ends, -away)])[None]
        cases.append(value_case("token", clip, torch.ones_like(values), old.repeat(6)[None], values, draw((1, 48), -2, 2)))
    return cases


def value_losses():
    cases = []
    for mode in ["token", "seq"]:
        for clip in [0.5, 0.05, 2.0]:
            for ties in [False, True]:
                mask = mask_of([3, 6, 1, 4], 6)
                old = draw((4, 6), -1, 1)
                change = draw((4, 6), -1.5, 1.5)
                if ties:
                    # Not moved: both errors are equal. Moved symmetrically about the return, too.
                    change[:2] = 0
                cases.append(value_case(mode, clip, mask, old, old + change, draw((4, 6), -2, 2)))
    return cases


def whitenings():
    cases = []
    for lengths, columns, scale in [([2, 3], 3, 6), ([1], 1, 2), ([1, 0], 2, 2), ([5, 7, 1, 3], 7, 0.01), ([4, 4], 4, 1e4)]:
        mask = mask_of(lengths, columns)
        x = draw(mask.shape, -scale, scale)
        means = {mode: average(x, mask, mode).item() for mode in ["token", "seq"]}
        cases.append(
            {
                "mask": numbers(mask), "x": numbers(x), "mean": masked_mean(x, mask).item(),
                "variance": masked_var(x, mask).item(), "whitened": numbers(whiten(x, mask) * mask), "average": means,
            }
        )  # fmt: skip
    return cases


# Optimizer and schedules


def schedules():
    cases = []
    for kind, warmup, total, ratio in [
        ("constant", 0, 10, 0), ("constant", 3, 10, 0), ("cosine", 0, 10, 0), ("cosine", 2, 10, 0.1),
        ("cosine", 0, 1, 0), ("cosine", 5, 5, 0.5), ("cosine", 10, 100, 1),
    ]:  # fmt: skip
        factors = []
        for s in range(15):
            if s < warmup:
                factors.append(s / max(1, warmup))
            elif kind == "constant":
                factors.append(1.0)
            else:
                p = (s - warmup) / max(1, total - warmup)
                wave = (1 - ratio) / 2 * math.cos(2 * math.pi * 0.5 * p) + (1 + ratio) / 2
                factors.append(max(ratio, wave))
        cases.append({"kind": kind, "warmup": warmup, "total": total, "minRatio": ratio, "factors": factors})
    return cases


def adamws():
    cases = []
    for betas, decay, lr in [((0.9, 0.999), 0.01, 0.01), ((0.9, 0.95), 0.1, 1e-3), ((0.0, 0.0), 0.0, 0.1), ((0.9, 0.999), 0.0, 0.0)]:
        p = torch.nn.Parameter(draw((12,), -2, 2))
        optimizer = torch.optim.AdamW([p], lr=lr, betas=betas, eps=1e-8, weight_decay=decay, foreach=False)
        steps, start = [], numbers(p)
        for i in range(6):
            gradient = draw((12,), -1, 1)
            gradient[:4] = t([0.0, 1e-6, 1e3, 0.5])
            p.grad = gradient.clone()
            optimizer.step()
            steps.append({"gradient": numbers(gradient), "parameters": numbers(p)})
        cases.append({"betas": betas, "weightDecay": decay, "lr": lr, "start": start, "steps": steps})
    return cases


def clips():
    cases = []
    for values, limit in [([3.0, 4.0], 1.0), ([0.3, 0.4], 1.0), ([0.0, 0.0, 0.0], 1.0), (numbers(draw((33,), -5, 5)), 0.1)]:
        p = torch.nn.Parameter(torch.zeros(len(values)))
        p.grad = t(values)
        norm = torch.nn.utils.clip_grad_norm_([p], limit)
        cases.append({"gradient": values, "limit": limit, "norm": norm.item(), "clipped": numbers(p.grad)})
    return cases


# Division of samples


class State:
    """k sets of (row, length), largest first; orders by spread, then by the largest set, the larger before."""

    def __init__(self, sets):
        self.sets = sorted(sets, key=self.order, reverse=True)
        self.key = (self.total(self.sets[0]) - self.total(self.sets[-1]), self.order(self.sets[0]))

    @staticmethod
    def total(items):
        return sum(length for _, length in items)

    @classmethod
    def order(cls, items):
        return (cls.total(items), len(items), items)

    def __lt__(self, other):
        return self.key > other.key


def balance(lengths, k, equal):
    ordered = sorted((length, row) for row, length in enumerate(lengths))
    size = k if equal else 1
    heap = []
    for start in range(0, len(ordered), size):
        sets = [[(row, length)] for length, row in ordered[start : start + size]]
        heapq.heappush(heap, State(sets + [[] for _ in range(k - len(sets))]))
    while len(heap) > 1:
        a, b = heapq.heappop(heap), heapq.heappop(heap)
        heapq.heappush(heap, State([a.sets[j] + b.sets[k - 1 - j] for j in range(k)]))
    return [sorted(row for row, _ in items) for items in heap[0].sets]


def divisions():
    cases = []
    lists = [[4] * 8, [1, 1, 1, 100], [5, 3, 8, 1, 9, 2, 7, 4]]
    lists += [[random.randint(1, top) for _ in range(n)] for top, n in [(5, 12), (50, 12), (4096, 24), (3, 30), (1000, 7)]]
    for lengths in lists:
        for k in [1, 2, 3, 4]:
            for equal in [True, False]:
                if equal and len(lengths) % k or len(lengths) < k:
                    continue
                sets = balance(lengths, k, equal)
                part = len(lengths) // k
                naive = [sum(lengths[j * part : (j + 1) * part]) for j in range(k)]
                sums = [sum(lengths[i] for i in rows) for rows in sets]
                metrics = {
                    "min": min(naive), "max": max(naive), "minmax_diff": max(naive) - min(naive),
                    "balanced_min": min(sums), "balanced_max": max(sums), "mean": sum(lengths) / k,
                }  # fmt: skip
                cases.append({"lengths": lengths, "k": k, "equal": equal, "sets": sets, "metrics": metrics})
    return cases


def dynamic():
    cases = []
    for top, n in [(10, 9), (100, 16), (7, 5), (512, 32)]:
        lengths = [random.randint(1, top) for _ in range(n)]
        for budget in [top, 2 * top, 5 * top]:
            k = min(n, math.ceil(sum(lengths) / budget))
            sets = balance(lengths, k, False)
            sets.sort(key=lambda rows: (sum(lengths[i] ** 2 for i in rows), rows[0]), reverse=True)
            cases.append({"lengths": lengths, "budget": budget, "sets": sets})
    return cases


def main() -> None:
    random.seed(SEED)
    torch.set_num_threads(1)
    cases = {
        "advantages": advantages(), "kls": kls(), "penalties": penalties(), "controllers": controllers(),
        "policyLosses": policy_losses(), "valueLosses": value_losses(), "whitenings": whitenings(),
        "schedules": schedules(), "adamws": adamws(), "clips": clips(), "divisions": divisions(),
        "dynamic": dynamic(), "policyBounds": policy_bounds(),
        "valueBounds": value_bounds(),
    }  # fmt: skip

    def short(value):
        if isinstance(value, float):
            return int(value) if value == int(value) else float(f"{value:.9g}")
        if isinstance(value, dict):
            return {k: short(v) for k, v in value.items()}
        return [short(v) for v in value] if isinstance(value, (list, tuple)) else value

    (HERE / "cases.json").write_text(json.dumps(short(cases), separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
