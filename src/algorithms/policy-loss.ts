/**
 * The policy loss of a micro-batch, its gradient and its metrics, with the numbers of EasyR1. `policy-losses.ts` has what
 * the losses make of a token. `f32` stands where EasyR1's tensors round; `primitives.ts` has the rule.
 */
import { estimateKl, type KlKind } from './kl.ts';
import {
  lossAverage,
  lossAverageWeights,
  type LossAverageOptions,
  type LossRows,
} from './loss-average.ts';
import {
  lossMeasures,
  policyLosses,
  type LossMeasure,
  type PolicyLossType,
  type TokenLossOptions,
} from './policy-losses.ts';
import { assertTokenLengths, f32, maskedMean, tokenCount } from './primitives.ts';

/** One micro-batch of sampled tokens. Every array is f32 `[T]`; log-probabilities are in nats. */
export interface PolicyLossInput extends LossRows {
  /** Log-probabilities under the policy being trained. */
  readonly logProbs: Float32Array;
  /** Log-probabilities under the policy before the step's first update. */
  readonly oldLogProbs: Float32Array;
  readonly advantages: Float32Array;
  /** Log-probabilities under the reference policy. Without them there is no KL term. */
  readonly refLogProbs?: Float32Array | undefined;
}

/** Options of the policy loss: camelCase twins of `worker.actor` keys. */
export interface PolicyLossOptions extends TokenLossOptions, LossAverageOptions {
  readonly lossType: PolicyLossType;
  readonly useKlLoss: boolean;
  readonly klPenalty: KlKind;
  readonly klCoef: number;
}

/** Metrics of one micro-batch under EasyR1's names, less the `actor/` prefix. */
export interface PolicyLossMetrics extends Partial<Readonly<Record<LossMeasure, number>>> {
  /** The loss without its KL term. */
  readonly pg_loss: number;
  /** Mean of `old - new` log-probability, nats. */
  readonly ppo_kl: number;
  /** Average of `-logProbs`, nats; a metric only, there is no entropy bonus. */
  readonly entropy_loss: number;
  /** Average KL estimate, nats; with `useKlLoss` only. */
  readonly kl_loss?: number;
}

/** A loss, its gradient, and what to log. */
export interface PolicyLoss {
  /** Policy loss plus KL term. */
  readonly loss: number;
  /** dLoss/dLogProbs, f32 `[T]`; 0 at masked tokens. */
  readonly gradient: Float32Array;
  readonly metrics: PolicyLossMetrics;
}

/**
 * The policy loss of a micro-batch and its gradient with respect to the log-probabilities.
 *
 * The importance ratio is `ρ = e^ℓ`. The log ratio ℓ is `logProbs - oldLogProbs` at each token, or of its response for
 * `gspo`, `gspo_token`, `luspo`, `geo_mean` and `vespo` (`log-ratios.ts`). The clipped ratio ρc is `e^ℓ` with ℓ clamped
 * to the logarithms of the bounds. `default`, `gspo` and `gspo_token` are PPO's clipped surrogate with dual clipping;
 * `luspo` is `gspo` with each response's loss times its length; `cispo` weighs log-probabilities by the clipped ratio,
 * held constant; `sapo` has a sigmoid gate in place of the clip; `gpg` has no ratio; `geo_mean` clips the log ratios;
 * `vespo` weighs log-probabilities by a function of the ratio. Where two branches are equal, each gets half the
 * gradient, as in PyTorch.
 *
 * The gradient is written by hand, not derived from a graph: so only f32 `[T]` crosses to the device, and the numbers
 * equal the originals'. The KL term and the metrics are averaged by `lossAvgMode`, whatever average the loss itself is
 * defined by.
 *
 * @throws SHAPE_MISMATCH when the lengths differ
 * @see PPO arXiv:1707.06347; dual clip arXiv:1912.09729; GSPO arXiv:2507.18071; CISPO arXiv:2506.13585; SAPO
 *   arXiv:2511.20347; GPG arXiv:2504.02546; GMPO arXiv:2507.20673; VESPO arXiv:2602.10693; LUSPO arXiv:2602.05261
 */
export function policyLoss(input: PolicyLossInput, options: PolicyLossOptions): PolicyLoss {
  const { logProbs, oldLogProbs, advantages, refLogProbs } = input;
  const { tokenLossOf, logRatiosOf, measures, average } = policyLosses[options.lossType];
  assertTokenLengths('policyLoss', input, { logProbs, oldLogProbs, advantages, refLogProbs });
  const count = tokenCount(input);
  const tokenLoss = tokenLossOf(options);
  const differences = logProbs.map((logProb, t) => logProb - oldLogProbs[t]!);
  const logRatios = logRatiosOf({ ...input, differences }, options);
  const averaging = average === null ? options : { lossAvgMode: average };
  const weights = lossAverageWeights(input, averaging);
  const losses = new Float32Array(count);
  const gradient = new Float32Array(count);
  const measured = measures.map(() => new Float32Array(count));
  for (let t = 0; t < count; t++) {
    const term = tokenLoss(advantages[t]!, logRatios.values[t]!, logProbs[t]!, differences[t]!);
    losses[t] = term.loss;
    // A masked token may hold infinities, and 0 times those is not 0.
    gradient[t] = weights[t] === 0 ? 0 : weights[t]! * term.derivative;
    for (const [i, values] of measured.entries()) values[t] = term.measured[i]!;
  }
  logRatios.backward(gradient);

  const policyTerm = lossAverage(losses, input, averaging);
  const metrics: PolicyLossMetrics = {
    pg_loss: policyTerm,
    ppo_kl: -maskedMean(differences, input),
    entropy_loss: -lossAverage(logProbs, input, options),
    ...Object.fromEntries(
      measures.map((name, i) => [
        name,
        lossAverage(measured[i]!, input, { lossAvgMode: lossMeasures[name] }),
      ]),
    ),
  };
  if (!options.useKlLoss || refLogProbs === undefined) {
    return { loss: policyTerm, gradient, metrics };
  }
  const kl = estimateKl(logProbs, refLogProbs, options.klPenalty);
  const klTerm = lossAverage(kl.values, input, options);
  const klCoef = f32(options.klCoef);
  const klWeights = averaging === options ? weights : lossAverageWeights(input, options);
  for (let t = 0; t < count; t++) {
    if (klWeights[t] !== 0) gradient[t]! += klCoef * klWeights[t]! * kl.derivatives[t]!;
  }
  return {
    loss: f32(policyTerm + f32(klCoef * klTerm)),
    gradient,
    metrics: { ...metrics, kl_loss: klTerm },
  };
}
