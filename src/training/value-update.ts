import { tokenRows } from '../algorithms/primitives.ts';
import { valueLoss, type ValueLossOptions } from '../algorithms/value-loss.ts';
import { packSequences } from '../model/pack.ts';
import type { ValueModel } from '../model/value-model.ts';
import { concatenate, type ValueExperience } from './experience.ts';
import type { MiniBatch } from './mini-batches.ts';
import { updateByMiniBatches, type PassOptions, type UpdateReport } from './mini-batch-updates.ts';
import type { Optimization } from './optimization.ts';

/** What an update of the critic needs to know besides the experiences. */
export interface ValueUpdateOptions extends PassOptions {
  readonly loss: ValueLossOptions;
}

/** One training step's updates of a critic, metrics under `critic/…` names; as `updateByMiniBatches`. */
export function updateValues(
  model: ValueModel,
  optimization: Optimization,
  miniBatches: readonly MiniBatch<ValueExperience>[],
  options: ValueUpdateOptions,
  onProgress?: (done: number) => void,
): Promise<UpdateReport> {
  const accumulate = async (samples: readonly ValueExperience[], scale: number) => {
    let metrics: Record<string, number> = {};
    await model.accumulateGradients(
      packSequences(samples),
      (values) => {
        const result = valueLoss(
          {
            ...tokenRows(samples.map(({ response }) => response.data.length)),
            values,
            oldValues: concatenate(samples.map(({ oldValues }) => oldValues)),
            returns: concatenate(samples.map(({ returns }) => returns)),
          },
          options.loss,
        );
        const { vf_loss, vf_clipfrac, vpred_mean } = result.metrics;
        metrics = {
          'critic/vf_loss': vf_loss,
          'critic/vf_clipfrac': vf_clipfrac,
          'critic/vpred_mean': vpred_mean,
        };
        return result.gradient.map((value) => value * scale);
      },
      optimization.gradients,
    );
    return metrics;
  };
  return updateByMiniBatches(optimization, miniBatches, options, accumulate, onProgress);
}
