/**
 * Rewards of chains, in which each thought is followed by a judgement: what closed and open questions have in common.
 *
 * @see CX-Mind, arXiv:2508.03733, and its released rewards
 */
import { CROSS, TICK } from './grammar.ts';
import { amount, scorerOptions, share, type Form } from './options.ts';
import type { BuiltIn, AnsweredText, RewardParts } from './reward.ts';
import { roundDecimals } from '../round.ts';

/** Options of a question's three rewards. */
export interface ChainOptions {
  readonly form: Form;
  /** Weight of BLEU-1 in the think bonus; ROUGE-L has the rest. */
  readonly alpha: number;
}

/** Verdict on the last answer of a response. */
export interface AnswerGrade {
  readonly format: boolean;
  /** Accuracy of the answer, in [0, 1]. */
  readonly accuracy: number;
}

/** Verdict on a chain of thoughts and judgements. */
export interface ChainGrade extends AnswerGrade {
  /** Similarity of the right thoughts to those of the reference, in [0, 1]. */
  readonly reason: number;
  /** Set if every step judges rightly. */
  readonly isRight: boolean;
}

/** Kind of question, and its rules of grading. */
export interface Question {
  /** Name of the full reward; the others are `NAME_think` and `NAME_plain`. */
  readonly name: string;
  /** Part that holds the accuracy. */
  readonly accuracy: 'acc' | 'f1';
  /** Default size of the step-answer bonus. */
  readonly processWeight: number;
  /** Set if the think reward takes `process_weight` and ignores it, as the released one does. */
  readonly isProcessWeightTaken: boolean;
  readonly gradeAnswer: (input: AnsweredText, form: Form) => AnswerGrade;
  readonly gradeChain: (input: AnsweredText, options: ChainOptions) => ChainGrade;
}

/**
 * Makes the three rewards of a kind of question.
 *
 * All of them have `base_reward = format_weight · format + (1 - format_weight) · accuracy`.
 *
 * - `NAME_plain` pays only that, as `overall`.
 * - `NAME_think` adds the part `reason`, the think bonus.
 * - `NAME` adds the part `process` besides: `process_weight` if every step judges rightly, else 0.
 *
 * The `overall` of the last two is `base_reward` to 6 decimals. Their gate adds the bonuses.
 */
export function chainRewards({
  name,
  accuracy: key,
  processWeight,
  isProcessWeightTaken,
  gradeAnswer,
  gradeChain,
}: Question): Record<string, BuiltIn> {
  const plainOptions = { format_weight: share(0.1) };
  const thinkOptions = { ...plainOptions, alpha: share(0.3) };
  const fullOptions = { ...thinkOptions, process_weight: amount(processWeight) };
  const base = ({ format, accuracy }: AnswerGrade, weight: number): number =>
    weight * Number(format) + (1 - weight) * accuracy;
  const chainParts = (grade: ChainGrade, formatWeight: number, bonus?: number): RewardParts => ({
    overall: roundDecimals(base(grade, formatWeight), 6),
    format: Number(grade.format),
    [key]: grade.accuracy,
    reason: grade.reason,
    ...(bonus !== undefined && { process: grade.isRight ? bonus : 0 }),
    base_reward: base(grade, formatWeight),
  });

  const plain: BuiltIn = {
    configure(kwargs) {
      const { form, values } = scorerOptions(kwargs, plainOptions);
      return (input) => {
        const grade = gradeAnswer(input, form);
        const overall = base(grade, values.format_weight);
        return { overall, format: Number(grade.format), [key]: grade.accuracy };
      };
    },
  };
  const think: BuiltIn = {
    gate: { rule: 'ema', key, bonus: ['reason'] },
    configure(kwargs) {
      const options = isProcessWeightTaken ? fullOptions : thinkOptions;
      const { form, values } = scorerOptions(kwargs, options);
      const { format_weight: formatWeight, alpha } = values;
      return (input) => chainParts(gradeChain(input, { form, alpha }), formatWeight);
    },
  };
  const full: BuiltIn = {
    gate: { rule: 'ema', key, bonus: ['reason', 'process'] },
    configure(kwargs) {
      const { form, values } = scorerOptions(kwargs, fullOptions);
      const { format_weight: formatWeight, alpha, process_weight: bonus } = values;
      return (input) => chainParts(gradeChain(input, { form, alpha }), formatWeight, bonus);
    },
  };
  return { [name]: full, [`${name}_think`]: think, [`${name}_plain`]: plain };
}

/** Tells whether a step affirms a true statement or rejects a false one. */
export function judgesRightly(answer: string, isTrue: boolean): boolean {
  return (answer.includes(TICK) && isTrue) || (answer.includes(CROSS) && !isTrue);
}
