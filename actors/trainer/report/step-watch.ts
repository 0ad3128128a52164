/** Watches over the metrics of steps: for gradients that are not finite, and for training that learns nothing. */
import { CxmindError } from '../../../src/errors.ts';
import type { Metrics } from '../../../src/metrics.ts';
import type { StepContext } from '../context.ts';

/** Steps in a row without one finite gradient, after which a run gives up. */
const MAX_NONFINITE_STEPS = 3;
/** Steps in a row that teach nothing, after which the user is warned. */
const IDLE_STEPS = 5;
/** Largest advantage that rounding leaves of zero. */
const NO_ADVANTAGE = 1e-7;

/** Watches for gradients that are not finite, whose updates the learners skip. */
export class GradientWatch {
  readonly #context: Pick<StepContext, 'reporter' | 'logger'>;
  #inARow = 0;
  #lastFinite = 0;

  constructor(context: Pick<StepContext, 'reporter' | 'logger'>) {
    this.#context = context;
  }

  /** The last step of this process with a finite gradient; 0 before there is one. */
  get lastFinite(): number {
    return this.#lastFinite;
  }

  /** Observes the metrics of a step. @throws NUMERIC_NONFINITE when too many steps in a row had no finite gradient */
  observe(metrics: Metrics, step: number): void {
    const norms = [metrics['actor/grad_norm'], metrics['critic/grad_norm']];
    if (norms.every((norm) => norm === undefined || Number.isFinite(norm))) {
      this.#inARow = 0;
      this.#lastFinite = step;
      return;
    }
    this.#inARow++;
    const { reporter, logger } = this.#context;
    logger.warn({ step }, 'gradient is not finite, update skipped');
    reporter.note(`step ${step}: the gradient is not finite, its update was skipped`);
    if (this.#inARow < MAX_NONFINITE_STEPS) return;
    throw new CxmindError(
      'NUMERIC_NONFINITE',
      `the gradient was not finite in ${MAX_NONFINITE_STEPS} steps in a row, the last being ${step}; ` +
        'lower worker.actor.optim.lr and resume from the newest checkpoint',
      { detail: { step } },
    );
  }
}

/**
 * Watches for training on nothing: zero advantages, a zero gradient, or no right answer in several steps in a row.
 *
 * Such a run looks as busy as any other, and a step or two of that kind are usual.
 */
export class IdleWatch {
  readonly #inARow = { advantage: 0, gradient: 0, right: 0 };
  #hasWarned = false;

  /** Observes the metrics of a step and its accuracy. @returns a warning, once in a run, or null */
  observe(metrics: Metrics, accuracy: number): string | null {
    const of = (name: string): number => metrics[name] ?? NaN;
    const advantage = Math.max(
      Math.abs(of('critic/advantages/max')),
      Math.abs(of('critic/advantages/min')),
    );
    this.#count('advantage', advantage < NO_ADVANTAGE);
    this.#count('gradient', of('actor/grad_norm') === 0);
    this.#count('right', accuracy === 0);
    if (this.#hasWarned) return null;
    const warning = this.#warning(metrics);
    this.#hasWarned = warning !== null;
    return warning;
  }

  #count(what: 'advantage' | 'gradient' | 'right', isIdle: boolean): void {
    this.#inARow[what] = isIdle ? this.#inARow[what] + 1 : 0;
  }

  #warning(metrics: Metrics): string | null {
    const { advantage, gradient, right } = this.#inARow;
    const says = (what: string, reasons: readonly string[]): string =>
      `warning: ${what} in the last ${IDLE_STEPS} steps: ${reasons.join('; ')}`;
    if (advantage >= IDLE_STEPS) {
      return says('there was nothing to learn from', [
        `every response got the same reward as the others to its prompt, ${rewardText(metrics)}`,
        ...(right >= IDLE_STEPS ? ['none was right', ...unrightReasons(metrics)] : sameReasons),
      ]);
    }
    if (gradient >= IDLE_STEPS) {
      return says('the gradient was zero', [
        'rewards differ, and nothing that is trained follows them: see ' +
          'worker.actor.model.freeze_vision_tower, lora, and the clip ratios',
      ]);
    }
    if (right >= IDLE_STEPS) return says('no response was right', unrightReasons(metrics));
    return null;
  }
}

const sameReasons = [
  'the prompts may be too easy or too hard for the policy, worker.rollout.n too small, the temperature too low, or the ' +
    'reward function constant',
];

function rewardText(metrics: Metrics): string {
  const [mean, max, min] = ['mean', 'max', 'min'].map((name) => metrics[`critic/score/${name}`]!);
  return max === min ? `always ${mean!.toFixed(3)}` : `${mean!.toFixed(3)} on average`;
}

function unrightReasons(metrics: Metrics): string[] {
  const cut = Math.round(100 * (metrics['response_length/clip_ratio'] ?? 0));
  return [
    ...(cut > 0 ? [`${cut}% of responses end at data.max_response_length`] : []),
    'see in generations.jsonl (trainer.val_generations_to_log) whether they have the form that the reward reads, and ' +
      'whether data.answer_key and data.format_prompt fit; a warm start (sft) teaches the form',
  ];
}
