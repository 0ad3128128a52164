/** Options that built-in rewards declare, and the check of those that a config gives. */
import { nearestOf } from '../check/nearest.ts';
import { CxmindError } from '../errors.ts';

/** Form of a built-in reward: as it was released, errors included, or as its authors describe it. */
export type Form = 'faithful' | 'repaired';

/** Numeric option of a built-in reward, a key of `worker.reward.reward_function_kwargs`. */
export interface Option {
  readonly expected: string;
  readonly accepts: (value: number) => boolean;
  /** Default; an option without one must be given. */
  readonly value?: number;
}

/** Option that takes a number in [0, 1]. */
export function share(value: number): Option {
  return { expected: 'a number in [0, 1]', accepts: (given) => given >= 0 && given <= 1, value };
}

/** Option that takes a finite number of at least 0. */
export function amount(value?: number): Option {
  return {
    expected: 'a number >= 0',
    accepts: (given) => given >= 0 && given < Infinity,
    ...(value !== undefined && { value }),
  };
}

/** Options of a gate: weight of a new batch in its running mean, and least distance of a stable batch above it. */
export const gateOptions = {
  ema_alpha: share(0.2),
  ema_margin: { expected: 'a finite number', accepts: Number.isFinite, value: 0 },
} as const satisfies Record<string, Option>;

const KWARGS = 'worker.reward.reward_function_kwargs';

/**
 * Checks a config's `reward_function_kwargs` and fills in the defaults.
 *
 * @throws CONFIG_INVALID naming every wrong key or value, with the nearest key
 */
export function scorerOptions<K extends string>(
  kwargs: Readonly<Record<string, unknown>>,
  options: Readonly<Record<K, Option>>,
): { readonly form: Form; readonly values: Readonly<Record<K, number>> } {
  const known = Object.keys(options) as K[];
  const { form = 'repaired', ...rest } = kwargs;
  const issues = Object.keys(rest)
    .filter((key) => !(known as string[]).includes(key))
    .map((key) => {
      const nearest = nearestOf(key, [...known, 'form']);
      const meant = nearest === undefined ? '' : `, nearest is ${nearest}`;
      return `${KWARGS}.${key}: unknown key${meant}; it takes ${[...known, 'form'].join(', ')}`;
    });
  if (form !== 'faithful' && form !== 'repaired') {
    issues.push(`${KWARGS}.form: expected faithful or repaired, got ${JSON.stringify(form)}`);
  }
  const values = {} as Record<K, number>;
  for (const key of known) {
    const { value, expected, accepts } = options[key];
    const given = rest[key] ?? value;
    if (typeof given === 'number' && accepts(given)) values[key] = given;
    else issues.push(`${KWARGS}.${key}: expected ${expected}, got ${JSON.stringify(given)}`);
  }
  if (issues.length > 0) {
    throw new CxmindError('CONFIG_INVALID', issues.join('\n'), { detail: { issues } });
  }
  return { form: form as Form, values };
}
