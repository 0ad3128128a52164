/**
 * The formulas of AdamW as graphs over a slice of the parameters, by strategy.
 *
 * `adamw` computes in f32, in the order of PyTorch. `adamw_bf16` follows AnyPrecisionAdamW of torchdistx: its moments
 * are bf16, and Kahan summation keeps what the parameters lose by rounding. Factors that change from step to step are
 * inputs, so each graph is compiled once.
 */
import { GraphBuilder } from '../graph/builder.ts';
import type { Graph, Value } from '../graph/ir.ts';
import { nearestIn, type FloatDType } from '../tensor/dtype.ts';
import type { OptimizerName } from '../config/model-schema.ts';

interface UpdateConstants {
  readonly betas: readonly [number, number];
  readonly eps: number;
  /** Dtype that gradients and new parameters are rounded to. */
  readonly storage: FloatDType;
  /** Dtype of the parameters as input and output. */
  readonly parameters: 'f32' | 'bf16';
  /** Compute dtype of the output `working`, a copy of the new parameters; no such output when left out. */
  readonly working?: FloatDType | undefined;
}

/** Factors that change from step to step, each a scalar input of an update's graph. */
export const factorNames = ['gradientScale', 'decay', 'stepSize', 'root', 'inverseRoot'] as const;
export type FactorName = (typeof factorNames)[number];

/** Names of an optimizer's arrays: first and second moment, and a compensation. */
export type StateName = 'm' | 'v' | 'c';

/** An optimizer, chosen by `worker.actor.optim.strategy`. */
export interface Strategy {
  /** The arrays it keeps. */
  readonly states: readonly StateName[];
  /** Dtype of these arrays. */
  readonly stateDType: 'f32' | 'bf16';
  /** The update of a slice: `p`, `g`, the states and the factors give `nextP` and the next states, `nextM` for `m`. */
  readonly graph: (constants: UpdateConstants) => Graph;
}

/** The optimizers by their config names. */
export const strategies = {
  adamw: { states: ['m', 'v'], stateDType: 'f32', graph: adamWGraph },
  adamw_bf16: { states: ['m', 'v', 'c'], stateDType: 'bf16', graph: adamWBf16Graph },
} as const satisfies Record<OptimizerName, Strategy>;

/** Name of the output with a state's new values. */
export const nextOf = (state: StateName): string => `next${state.toUpperCase()}`;

const slice = (b: GraphBuilder, name: string, dtype: FloatDType = 'f32'): Value =>
  b.cast(b.input(name, dtype, ['n']), 'f32');
const factor = (b: GraphBuilder, name: FactorName): Value => b.input(name, 'f32', []);

/** The nearest value of a narrower dtype, as f32. */
function rounded(b: GraphBuilder, x: Value, storage: FloatDType): Value {
  return b.cast(b.cast(x, storage), 'f32');
}

/** Declares the new parameters as an output, and their copy in the compute dtype if there is one. */
function outputParameters(
  b: GraphBuilder,
  next: Value,
  { parameters, working }: UpdateConstants,
): void {
  b.output('nextP', b.cast(next, parameters));
  if (working !== undefined) b.output('working', b.cast(next, working));
}

/**
 * The update of one slice in float32.
 *
 * A single operator reads each of p, m and v, and the new value depends on it. So old and new may share memory.
 */
function adamWGraph(constants: UpdateConstants): Graph {
  const { eps, storage } = constants;
  const [beta1, beta2] = constants.betas;
  const b = new GraphBuilder('adamw');
  const given = rounded(b, slice(b, 'g'), storage);
  const gradient = rounded(b, b.mul(given, factor(b, 'gradientScale')), storage);
  const m = b.mul(slice(b, 'm'), b.scalar(beta1));
  const nextM = b.add(m, b.mul(gradient, b.scalar(1 - beta1)));
  const square = b.mul(gradient, gradient);
  const nextV = b.add(b.mul(slice(b, 'v'), b.scalar(beta2)), b.mul(square, b.scalar(1 - beta2)));
  const denominator = b.add(b.mul(b.sqrt(nextV), factor(b, 'inverseRoot')), b.scalar(eps));
  const update = b.mul(b.div(nextM, denominator), factor(b, 'stepSize'));
  const nextP = b.sub(b.mul(slice(b, 'p', constants.parameters), factor(b, 'decay')), update);
  outputParameters(b, rounded(b, nextP, storage), constants);
  b.output('nextM', nextM);
  b.output('nextV', nextV);
  return b.build();
}

/**
 * The update of one slice with moments in bf16 and Kahan summation.
 *
 * The part of a step that is lost when it is added to the parameters stays in `c`, in bf16, and joins the next step.
 * Every result that the reference writes to a bf16 tensor is rounded here.
 */
function adamWBf16Graph(constants: UpdateConstants): Graph {
  const { eps, storage } = constants;
  const [beta1, beta2] = constants.betas;
  const b = new GraphBuilder('adamw-bf16');
  const stored = (x: Value): Value => rounded(b, x, storage);
  const bf16 = (x: Value): Value => rounded(b, x, 'bf16');
  const state = (name: StateName): Value => slice(b, name, 'bf16');
  const keep = (name: StateName, value: Value): Value => {
    const next = b.cast(value, 'bf16');
    b.output(nextOf(name), next);
    return b.cast(next, 'f32');
  };
  const gradient = stored(b.mul(stored(slice(b, 'g')), factor(b, 'gradientScale')));
  const p = stored(b.mul(slice(b, 'p', constants.parameters), factor(b, 'decay')));
  const decayedM = bf16(b.mul(state('m'), b.scalar(beta1)));
  // The factor of a gradient in an addition has the gradient's own type in PyTorch.
  const share = storage === 'bf16' ? nearestIn('bf16', 1 - beta1) : 1 - beta1;
  const m = keep('m', b.add(decayedM, b.mul(gradient, b.scalar(share))));
  const decayedV = bf16(b.mul(state('v'), b.scalar(beta2)));
  const square = b.mul(b.mul(gradient, b.scalar(1 - beta2)), gradient);
  const v = keep('v', b.add(decayedV, square));
  const deviation = bf16(b.div(bf16(b.sqrt(v)), factor(b, 'root')));
  const denominator = bf16(b.add(deviation, b.scalar(eps)));
  const step = b.div(b.mul(m, factor(b, 'stepSize')), denominator);
  const compensation = bf16(b.sub(state('c'), step));
  const nextP = stored(b.add(p, compensation));
  outputParameters(b, nextP, constants);
  keep('c', b.add(compensation, stored(b.sub(p, nextP))));
  return b.build();
}
