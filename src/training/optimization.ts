import type { Arena } from '../model/arena.ts';
import { AdamW } from '../optim/adamw.ts';
import { clipFactor, globalNorm } from '../optim/clip.ts';
import type { Runtime } from '../ort/runtime.ts';

/** AdamW with clipping, as `worker.actor.optim` and `max_grad_norm` have it. */
export interface OptimizationOptions {
  readonly betas: readonly [number, number];
  readonly weightDecay: number;
  readonly maxGradNorm: number;
}

/** What one optimizer step did. */
export interface OptimizationStep {
  /** Global L2 norm before clipping. */
  readonly gradientNorm: number;
  /** False when the norm was not finite: the weights were left alone. */
  readonly applied: boolean;
}

/** The gradients of an arena of weights and the optimizer that applies them, both flat. */
export class Optimization implements Disposable {
  readonly gradients: Arena;
  readonly #adamW: AdamW;
  readonly #maxGradNorm: number;

  constructor(runtime: Runtime, weights: Arena, options: OptimizationOptions) {
    this.gradients = weights.twin();
    this.#maxGradNorm = options.maxGradNorm;
    this.#adamW = new AdamW(runtime, {
      parameters: weights.data,
      gradients: this.gradients.data,
      betas: options.betas,
      weightDecay: options.weightDecay,
      eps: 1e-8,
    });
  }

  /** First and second moments and the number of steps taken: what a checkpoint keeps. */
  get adamW(): AdamW {
    return this.#adamW;
  }

  clearGradients(): void {
    this.gradients.data.fill(0);
  }

  /** Clips the gradients to the global norm and steps the weights in place. */
  step(learningRate: number): OptimizationStep {
    const gradientNorm = globalNorm(this.gradients.data);
    if (!Number.isFinite(gradientNorm)) return { gradientNorm, applied: false };
    this.#adamW.step(learningRate, clipFactor(gradientNorm, this.#maxGradNorm));
    return { gradientNorm, applied: true };
  }

  [Symbol.dispose](): void {
    this.#adamW[Symbol.dispose]();
  }
}
