import {
  policyLoss,
  type PolicyLossMetrics,
  type PolicyLossOptions,
} from '../algorithms/policy-loss.ts';
import { tokenRows } from '../algorithms/primitives.ts';
import { packSequences } from '../model/pack.ts';
import type { Policy } from '../model/policy.ts';
import { concatenate, type Experience } from './experience.ts';
import type { MiniBatch } from './mini-batches.ts';
import { updateByMiniBatches, type PassOptions, type UpdateReport } from './mini-batch-updates.ts';
import type { Optimization } from './optimization.ts';

/** What an update needs to know besides the experiences. */
export interface UpdateOptions extends PassOptions {
  readonly loss: PolicyLossOptions;
  /** Divides the logits, as it did when the responses were sampled. */
  readonly temperature: number;
}

/** One training step's updates of the policy, metrics under `actor/…` names; as `updateByMiniBatches`. */
export function updatePolicy(
  policy: Policy,
  optimization: Optimization,
  miniBatches: readonly MiniBatch<Experience>[],
  options: UpdateOptions,
  onProgress?: (done: number) => void,
): Promise<UpdateReport> {
  const accumulateNext = async (samples: readonly Experience[], scale: number) => {
    const metrics = await accumulate(policy, optimization, samples, options, scale);
    return Object.fromEntries(
      Object.entries<number>({ ...metrics }).map(([name, value]) => [`actor/${name}`, value]),
    );
  };
  return updateByMiniBatches(optimization, miniBatches, options, accumulateNext, onProgress);
}

async function accumulate(
  policy: Policy,
  optimization: Optimization,
  samples: readonly Experience[],
  { loss, temperature }: UpdateOptions,
  scale: number,
): Promise<PolicyLossMetrics> {
  const refLogProbs = samples.flatMap((sample) => sample.refLogProbs ?? []);
  let metrics: PolicyLossMetrics | undefined;
  await policy.accumulateGradients(
    packSequences(samples),
    temperature,
    (logProbs) => {
      const result = policyLoss(
        {
          ...tokenRows(samples.map(({ response }) => response.data.length)),
          logProbs,
          oldLogProbs: concatenate(samples.map((sample) => sample.oldLogProbs)),
          advantages: concatenate(samples.map((sample) => sample.advantages)),
          ...(loss.useKlLoss ? { refLogProbs: concatenate(refLogProbs) } : {}),
        },
        loss,
      );
      metrics = result.metrics;
      return result.gradient.map((value) => value * scale);
    },
    optimization.gradients,
  );
  return metrics!;
}
