import { nearestOf } from '../config/issues.ts';
import { CxmindError } from '../errors.ts';

/** What the built-in rewards can be set to, through `worker.reward.reward_function_kwargs`. */
export interface ScorerOptions {
  /** `faithful`: the released scorer to the letter; `repaired`: what its authors describe. */
  readonly form: 'faithful' | 'repaired';
  /** Weight of the format in `base_reward`; the rest is the task score's. */
  readonly formatWeight: number;
  /** Size of the step-answer bonus. */
  readonly processWeight: number;
  /** Weight of BLEU-1 in the think bonus; the rest is ROUGE-L's. */
  readonly bleuWeight: number;
  /** `ema`: bonuses only while the batch score is not falling; `always`: no gate. */
  readonly gate: 'ema' | 'always';
  readonly emaAlpha: number;
  readonly emaMargin: number;
}

/** The settings of the released code, but for `processWeight`, which each stage has its own of. */
export const releasedOptions = {
  form: 'faithful',
  formatWeight: 0.1,
  processWeight: 0.5,
  bleuWeight: 0.3,
  gate: 'ema',
  emaAlpha: 0.2,
  emaMargin: 0,
} as const satisfies ScorerOptions;

interface Rule {
  readonly field: keyof ScorerOptions;
  readonly expected: string;
  readonly accepts: (value: unknown) => boolean;
}

function oneOf(field: keyof ScorerOptions, ...values: readonly string[]): Rule {
  return {
    field,
    expected: values.join(' or '),
    accepts: (value) => values.includes(String(value)),
  };
}

function between(field: keyof ScorerOptions, low: number, high: number): Rule {
  return {
    field,
    expected: `a number in [${low}, ${high}]`,
    accepts: (value) => typeof value === 'number' && value >= low && value <= high,
  };
}

const RULES: Readonly<Record<string, Rule>> = {
  form: oneOf('form', 'faithful', 'repaired'),
  format_weight: between('formatWeight', 0, 1),
  process_weight: between('processWeight', 0, 1000),
  bleu_weight: between('bleuWeight', 0, 1),
  gate: oneOf('gate', 'ema', 'always'),
  ema_alpha: between('emaAlpha', 0, 1),
  ema_margin: between('emaMargin', -1000, 1000),
};

/**
 * The options that a config's `reward_function_kwargs` ask for.
 *
 * @param defaults what an absent key means
 * @throws CONFIG_INVALID naming every wrong key or value, with the nearest key
 */
export function scorerOptions(
  kwargs: Readonly<Record<string, unknown>>,
  defaults: ScorerOptions,
): ScorerOptions {
  const path = 'worker.reward.reward_function_kwargs';
  const decoded: Record<string, unknown> = {};
  const issues: string[] = [];
  for (const [key, value] of Object.entries(kwargs)) {
    const rule = Object.hasOwn(RULES, key) ? RULES[key] : undefined;
    if (rule === undefined) {
      issues.push(`${path}.${key}: unknown key, nearest is ${nearestOf(key, Object.keys(RULES))}`);
    } else if (!rule.accepts(value)) {
      issues.push(`${path}.${key}: expected ${rule.expected}, got ${JSON.stringify(value)}`);
    } else {
      decoded[rule.field] = value;
    }
  }
  if (issues.length > 0) {
    throw new CxmindError('CONFIG_INVALID', issues.join('\n'), { detail: { issues } });
  }
  return { ...defaults, ...decoded };
}
