/**
 * The policy loss of a micro-batch, its gradient and its metrics, with the numbers of EasyR1. `policy-losses.ts` has the
 * losses of a token. `f32` stands where EasyR1's tensors round; `primitives.ts` has the rule.
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
  /** Entropies of the distributions that the tokens are of, nats. Without them there is no entropy bonus. */
  readonly entropies?: Float32Array | undefined;
}

/** Options of the policy loss: camelCase twins of `worker.actor` keys. */
export interface PolicyLossOptions extends TokenLossOptions, LossAverageOptions {
  readonly lossType: PolicyLossType;
  readonly useKlLoss: boolean;
  readonly klPenalty: KlKind;
  readonly klCoef: number;
  /** Weight of the entropy bonus; 0 when left out. */
  readonly entropyCoeff?: number;
}

/** Metrics of one micro-batch under EasyR1's names, less the `actor/` prefix. */
export interface PolicyLossMetrics extends Partial<Readonly<Record<LossMeasure, number>>> {
  /** The loss without its KL term and its entropy bonus. */
  readonly pg_loss: number;
  /** Mean of `old - new` log-probability, nats. */
  readonly ppo_kl: number;
  /** Average of `-logProbs`, nats: an estimate of the entropy from the sampled tokens, and a metric only. */
  readonly entropy_loss: number;
  /** Average KL estimate, nats; with `useKlLoss` only. */
  readonly kl_loss?: number;
  /** Entropy bonus in the loss: `entropyCoeff` times the average of `entropies`; where there is one. */
  readonly entropy_bonus?: number;
}

/** A loss, its gradient, and what to log. */
export interface PolicyLoss {
  /** Policy loss, plus KL term, less entropy bonus. */
  readonly loss: number;
  /** dLoss/dLogProbs, f32 `[T]`; 0 at masked tokens. */
  readonly gradient: Float32Array;
  /** dLoss/dEntropies, f32 `[T]`; 0 at masked tokens. Left out where there is no bonus. */
  readonly entropyGradient?: Float32Array;
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
 * `vespo` weighs log-probabilities by a function of the ratio; `clip_cov` leaves out, and `kl_cov` penalizes, tokens of
 * high covariance (`covariance.ts`). Where two branches are equal, each gets half the gradient, as in PyTorch.
 *
 * The gradient is written by hand, not derived from a graph. So only f32 `[T]` crosses to the device, and the numbers
 * equal the originals'. The KL term, the entropy bonus and the metrics are averaged by `lossAvgMode`, whatever average
 * the loss itself is defined by.
 *
 * @throws SHAPE_MISMATCH when the lengths differ
 * @see PPO arXiv:1707.06347; dual clip arXiv:1912.09729; GSPO arXiv:2507.18071; CISPO arXiv:2506.13585; SAPO
 *   arXiv:2511.20347; GPG arXiv:2504.02546; GMPO arXiv:2507.20673; VESPO arXiv:2602.10693; LUSPO arXiv:2602.05261;
 *   Clip-Cov and KL-Cov arXiv:2505.22617
 */
export function policyLoss(input: PolicyLossInput, options: PolicyLossOptions): PolicyLoss {
  const { logProbs, oldLogProbs, advantages, refLogProbs, entropies } = input;
  const { tokenLossOf, logRatiosOf, singleOut, measures, average } = policyLosses[options.lossType];
  const tokenValues = { logProbs, oldLogProbs, advantages, refLogProbs, entropies };
  assertTokenLengths('policyLoss', input, tokenValues);
  const count = tokenCount(input);
  const tokenLoss = tokenLossOf(options);
  const differences = logProbs.map((logProb, t) => logProb - oldLogProbs[t]!);
  const logRatios = logRatiosOf({ ...input, differences }, options);
  const singledOut = singleOut?.({ ...input, differences }, options) ?? null;
  const averaging = average === null ? options : { lossAvgMode: average };
  const weights = lossAverageWeights(input, averaging);
  const losses = new Float32Array(count);
  const gradient = new Float32Array(count);
  const measured = new Map(measures.map((name) => [name, new Float32Array(count)]));
  for (let t = 0; t < count; t++) {
    const term = tokenLoss({
      advantage: advantages[t]!,
      logRatio: logRatios.values[t]!,
      ownLogRatio: differences[t]!,
      logProb: logProbs[t]!,
      isSingledOut: singledOut?.[t] === 1,
    });
    losses[t] = term.loss;
    // A masked token may hold infinities, and 0 times those is not 0.
    gradient[t] = weights[t] === 0 ? 0 : weights[t]! * term.derivative;
    for (const [name, values] of measured) values[t] = term.measured[name]!;
  }
  logRatios.backward(gradient);

  const policyTerm = lossAverage(losses, input, averaging);
  const metrics: PolicyLossMetrics = {
    pg_loss: policyTerm,
    ppo_kl: -maskedMean(differences, input),
    entropy_loss: -lossAverage(logProbs, input, options),
    ...Object.fromEntries(
      [...measured].map(([name, values]) => [
        name,
        lossAverage(values, input, { lossAvgMode: lossMeasures[name] }),
      ]),
    ),
  };
  const kl = addKl(input, options, gradient);
  const bonus = entropyBonus(input, options);
  return {
    loss: f32(f32(policyTerm + kl.term) - bonus.term),
    gradient,
    ...(bonus.gradient !== null && { entropyGradient: bonus.gradient }),
    metrics: { ...metrics, ...kl.metrics, ...bonus.metrics },
  };
}

/** A term of the loss with its weight, f32, and metrics of it. */
interface LossTerm {
  readonly term: number;
  readonly metrics: Partial<PolicyLossMetrics>;
}

/** The KL term: `klCoef` times the average KL estimate. Its derivatives are added to `gradient`, f32 `[T]`. */
function addKl(
  input: PolicyLossInput,
  options: PolicyLossOptions,
  gradient: Float32Array,
): LossTerm {
  const { logProbs, refLogProbs } = input;
  if (!options.useKlLoss || refLogProbs === undefined) return { term: 0, metrics: {} };
  const kl = estimateKl(logProbs, refLogProbs, options.klPenalty);
  const average = lossAverage(kl.values, input, options);
  const klCoef = f32(options.klCoef);
  for (const [t, weight] of lossAverageWeights(input, options).entries()) {
    if (weight !== 0) gradient[t]! += klCoef * weight * kl.derivatives[t]!;
  }
  return { term: f32(klCoef * average), metrics: { kl_loss: average } };
}

/** The entropy bonus: `entropyCoeff` times the average entropy, as in verl, and the derivatives of less the bonus. */
function entropyBonus(
  input: PolicyLossInput,
  options: PolicyLossOptions,
): LossTerm & { readonly gradient: Float32Array | null } {
  const { entropies } = input;
  const coeff = f32(options.entropyCoeff ?? 0);
  if (coeff === 0 || entropies === undefined) return { term: 0, metrics: {}, gradient: null };
  const average = lossAverage(entropies, input, options);
  const gradient = lossAverageWeights(input, options).map((weight) => -coeff * weight);
  const term = f32(coeff * average);
  return { term, metrics: { entropy_bonus: term }, gradient };
}
