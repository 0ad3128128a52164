import {
  CROSS,
  diseaseList,
  finalAnswerOf,
  formatChecks,
  pairsOf,
  setF1,
  stripMarks,
  TICK,
  type Pair,
} from './grammar.ts';
import { amount, scorerOptions, share, type Form } from './options.ts';
import type { BuiltIn, RewardInput, RewardParts } from './reward.ts';
import { roundTo, similarity } from './text-metrics.ts';
import { trimSpace } from '../text/whitespace.ts';

interface PlainOptions {
  readonly form: Form;
  /** Weight of the format in `base_reward`; the rest is the F1's. */
  readonly formatWeight: number;
}

interface ChainOptions extends PlainOptions {
  /** Size of the step-answer bonus. */
  readonly processWeight: number;
  /** Weight of BLEU-1 in the think bonus; the rest is ROUGE-L's. */
  readonly alpha: number;
}

/** The diseases an answer names. Faithful: marks stay, so `Edema ✅` is another disease than `Edema`. */
function diseasesOf(answer: string, form: Form): string[] {
  return diseaseList(form === 'faithful' ? answer : stripMarks(answer));
}

/**
 * Score of a free list of diseases without bonuses: `format_weight * format + (1 - format_weight) * f1`.
 *
 * Faithful: marks stay in the list, so `Edema ✅` misses `Edema`. Repaired: the strict format, and marks
 * are stripped on both sides.
 *
 * @returns `overall`, `format`, `f1`
 */
function scorePlain(input: RewardInput, options: PlainOptions): RewardParts {
  const check = options.form === 'faithful' ? formatChecks.counted : formatChecks.strict;
  const format = Number(check(input.response));
  const f1 = finalF1(input, options.form);
  return { overall: options.formatWeight * format + (1 - options.formatWeight) * f1, format, f1 };
}

function finalF1({ response, groundTruth }: RewardInput, form: Form): number {
  return setF1(
    diseasesOf(finalAnswerOf(response), form),
    diseasesOf(finalAnswerOf(groundTruth), form),
  );
}

/** Mean similarity of the thoughts that rightly affirm a disease to the reference's first on it. */
function reasonOf(
  steps: readonly (Pair & { disease: string })[],
  truths: ReadonlySet<string>,
  reference: readonly Pair[],
  options: ChainOptions,
): number {
  // Repaired, the reference's own middle steps are asked first: its opening list names every candidate.
  const sources =
    options.form === 'faithful' ? reference : [...reference.slice(1, -1), ...reference];
  const how = { bleuWeight: options.alpha, splitting: 'runs' } as const;
  const values: number[] = [];
  for (const { think, answer, disease } of steps) {
    if (!answer.includes(TICK) || !truths.has(disease)) continue;
    const model = sources.find((pair) => diseasesOf(pair.answer, options.form).includes(disease));
    const modelThought = trimSpace(model?.think ?? '');
    // A thought that is missing counts as unlike; only one that nothing can be compared with does not count.
    if (modelThought !== '') values.push(similarity(trimSpace(think), modelThought, how));
  }
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/**
 * Score of a chain that lists candidate diseases, judges each, and sums up with a list.
 *
 * The first pair (the candidates) and the last (the summary) are not judged; those between are.
 *
 * - `format`: the chain's layout. Faithful: spaces inside tags and junk between pairs pass. Repaired:
 *   neither does.
 * - `f1`: of the sets that the final answers list. Faithful: `Edema ✅` misses `Edema`. Repaired: marks
 *   are stripped on both sides.
 * - `process`: `process_weight` when there are at least three pairs and every inner pair affirms a true
 *   disease or rejects a false one.
 * - `reason`: mean similarity of the inner thoughts that affirm a true disease to the reference's
 *   thought on it. Faithful: marks stay in the reference, so with `Edema ✅` as its inner step the
 *   comparison falls on its candidate list or summary. Repaired: it falls on that step.
 * - `base_reward`: `format_weight * format + (1 - format_weight) * f1`.
 * - `overall`: the same to 6 decimals; the gate replaces it.
 *
 * @see CX-Mind, arXiv:2508.03733, and its released open-ended reward
 */
function scoreChain(input: RewardInput, options: ChainOptions): RewardParts {
  const check = options.form === 'faithful' ? formatChecks.cleaned : formatChecks.strict;
  const format = Number(check(input.response));
  const f1 = finalF1(input, options.form);

  const truths = new Set(diseasesOf(finalAnswerOf(input.groundTruth), options.form));
  const pairs = pairsOf(input.response);
  const steps = pairs
    .slice(1, -1)
    .map((pair) => ({ ...pair, disease: trimSpace(stripMarks(pair.answer)).toLowerCase() }));
  const isRight =
    steps.length > 0 &&
    steps.every(
      ({ answer, disease }) =>
        (answer.includes(TICK) && truths.has(disease)) ||
        (answer.includes(CROSS) && !truths.has(disease)),
    );

  const base = options.formatWeight * format + (1 - options.formatWeight) * f1;
  return {
    overall: roundTo(base, 6),
    format,
    f1,
    reason: reasonOf(steps, truths, pairsOf(input.groundTruth), options),
    process: isRight ? options.processWeight : 0,
    base_reward: base,
  };
}

const plainOptions = { format_weight: share(0.1) };
const thinkOptions = { ...plainOptions, alpha: share(0.3) };

/** openQA: no bonuses. */
export const openPlain: BuiltIn = {
  configure(kwargs) {
    const { form, values } = scorerOptions(kwargs, plainOptions);
    return (input) => scorePlain(input, { form, formatWeight: values.format_weight });
  },
};

/** openQA with the think bonus, gated by F1. Its `process_weight` is read and not used, as in the original. */
export const openThink: BuiltIn = {
  gate: { rule: 'ema', key: 'f1', bonus: ['reason'] },
  configure(kwargs) {
    const { form, values } = scorerOptions(kwargs, {
      ...thinkOptions,
      process_weight: amount(0.5),
    });
    const { format_weight: formatWeight, alpha } = values;
    return (input) => {
      const { process: _, ...parts } = scoreChain(input, {
        form,
        formatWeight,
        alpha,
        processWeight: 0,
      });
      return parts;
    };
  },
};

/** openQA with the think and the step-answer bonus, gated by F1: CX-Mind's open stage. */
export const open: BuiltIn = {
  gate: { rule: 'ema', key: 'f1', bonus: ['reason', 'process'] },
  configure(kwargs) {
    const { form, values } = scorerOptions(kwargs, {
      ...thinkOptions,
      process_weight: amount(0.2),
    });
    const { format_weight: formatWeight, alpha, process_weight: processWeight } = values;
    return (input) => scoreChain(input, { form, formatWeight, alpha, processWeight });
  },
};
