import { CxmindError } from '../errors.ts';

/** When the bonuses of a batch are paid, and what they are. */
export interface GateSpec {
  /** `ema`: only while the batch mean is not falling; `always`: in every batch. */
  readonly rule: 'ema' | 'always';
  /** The part whose batch mean decides, `acc` or `f1`. */
  readonly key: string;
  /** The parts that are added to `base_reward`. */
  readonly bonus: readonly string[];
  /** Weight of the new mean in the running mean, in (0, 1]. */
  readonly emaAlpha: number;
  /** How far above the running mean a batch must lie to be stable. */
  readonly emaMargin: number;
}

/** A gate, or how one follows from the parts of a batch's first score. */
export type GateChoice =
  GateSpec | ((parts: Readonly<Record<string, number>>) => GateSpec | undefined);

/** The gate over a batch whose first score has these parts. */
export function gateOver(
  choice: GateChoice | undefined,
  parts: Readonly<Record<string, number>>,
): GateSpec | undefined {
  return typeof choice === 'function' ? choice(parts) : choice;
}

/** The running mean of batch means; null before the first batch. Plain data: a checkpoint keeps it. */
export interface GateState {
  readonly ema: number | null;
}

/** The gate of a run that has seen no batch. */
export const initialGateState: GateState = { ema: null };

/** What the gate decides for one rollout batch. */
export interface GateStep {
  readonly state: GateState;
  readonly stable: boolean;
  /** Mean of the gate's key over the batch; 0 for an empty batch. */
  readonly mean: number;
  /** The rewards `[B]`: `base_reward`, plus the bonuses when stable. */
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
 * One decision for a whole rollout batch: bonuses are paid while the batch mean does not fall.
 *
 * A batch is stable when it is the first, or its mean is at least the old running mean plus the margin;
 * then the running mean moves. Training and validation keep a state each.
 *
 * @param batch scores of all responses of the rollout batch, `[B]`
 * @throws REWARD_INVALID when a score lacks the gate's key, `base_reward` or a bonus
 * @see CX-Mind, arXiv:2508.03733; the idea is interleaved reasoning's, arXiv:2505.19640
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
  // alpha * mean + (1 - alpha) * old, in the form that leaves equal means exactly equal.
  const ema = old + spec.emaAlpha * (mean - old);
  return { state: { ema }, stable, mean, overall };
}
