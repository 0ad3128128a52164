/**
 * Batch gate of CX-Mind (arXiv:2508.03733): bonuses count while the batch mean of a part does not fall.
 *
 * The idea is that of interleaved reasoning (arXiv:2505.19640). The mean is compared with a running one, whose state
 * checkpoints keep.
 */
import { CxmindError } from '../errors.ts';

/** Rule by which a batch gets its bonuses. */
export interface GateSpec {
  /** `ema` pays while the batch mean is not falling, `always` in every batch. */
  readonly rule: 'ema' | 'always';
  /** Part whose batch mean decides, for instance `acc` or `f1`. */
  readonly key: string;
  /** Parts that are added to `base_reward`. */
  readonly bonus: readonly string[];
  /** Weight of the new mean in the running mean, in (0, 1]. */
  readonly emaAlpha: number;
  /** Least distance of a stable batch's mean above the running mean. */
  readonly emaMargin: number;
}

/** Gate, or the rule by which it follows from the parts of a batch's first score. */
export type GateChoice =
  | GateSpec
  | ((parts: Readonly<Record<string, number>>) => GateSpec | undefined);

/** Gate over a batch whose first score has the given parts. */
export function gateOver(
  choice: GateChoice | undefined,
  parts: Readonly<Record<string, number>>,
): GateSpec | undefined {
  return typeof choice === 'function' ? choice(parts) : choice;
}

/** State of a gate, kept in checkpoints. */
export interface GateState {
  /** Running mean of batch means; null before the first batch. */
  readonly ema: number | null;
}

/** State of a gate that has seen no batch. */
export const initialGateState: GateState = { ema: null };

/** Decision of the gate for one rollout batch. */
export interface GateStep {
  readonly state: GateState;
  /** Set if the bonuses are paid. */
  readonly stable: boolean;
  /** Batch mean of the gate's key; 0 for an empty batch. */
  readonly mean: number;
  /** Rewards `[B]`: `base_reward`, plus the bonuses if stable. */
  readonly overall: number[];
}

function part(parts: Readonly<Record<string, number>>, key: string, index: number): number {
  const value = parts[key];
  if (value !== undefined) return value;
  throw new CxmindError(
    'REWARD_INVALID',
    `gate: response ${index} has no part '${key}' among ${Object.keys(parts).join(', ')}`,
    { detail: { key, index } },
  );
}

/**
 * Decides for a whole rollout batch whether its bonuses are paid: they are while the batch mean does not fall.
 *
 * A batch is stable if it is the first, or if its mean is at least the running mean plus the margin. Stable or not,
 * the running mean then moves. Training and validation keep a state each.
 *
 * @param batch scores of all responses of the rollout batch, `[B]`
 * @throws REWARD_INVALID if a score lacks the gate's key, `base_reward` or a bonus
 */
export function gateStep(
  state: GateState,
  batch: readonly Readonly<Record<string, number>>[],
  spec: GateSpec,
): GateStep {
  const total = batch.reduce((sum, parts, i) => sum + part(parts, spec.key, i), 0);
  const mean = batch.length === 0 ? 0 : total / batch.length;
  const old = state.ema ?? mean;
  const stable = spec.rule === 'always' || state.ema === null || mean >= old + spec.emaMargin;
  const overall = batch.map((parts, i) => {
    const bonus = spec.bonus.reduce((sum, key) => sum + part(parts, key, i), 0);
    return part(parts, 'base_reward', i) + (stable ? bonus : 0);
  });
  // alpha * mean + (1 - alpha) * old, in a form that leaves equal means exactly equal.
  const ema = old + spec.emaAlpha * (mean - old);
  return { state: { ema }, stable, mean, overall };
}
