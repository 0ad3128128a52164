import type { View } from '../../device/device.ts';
import { readTensor } from '../../device/host-tensors.ts';
import { distributionGraph } from '../../model/heads.ts';
import type { Draw, DrawRequest, Sampler } from '../sampler.ts';
import { sampleToken } from './sampling.ts';

/** Draws on the CPU, from distributions in this process's memory or a copy of them. */
export class HostSampler implements Sampler {
  readonly headGraph = distributionGraph;

  async draw(distributions: View, requests: readonly DrawRequest[]): Promise<Draw[]> {
    const { data, shape } = await readTensor(distributions);
    const width = shape[1]!;
    return requests.map(({ row, sampling, uniform }) =>
      sampleToken(
        (data as Float32Array).subarray(row * width, (row + 1) * width),
        sampling,
        uniform,
      ),
    );
  }

  /** Does nothing: it holds no memory. */
  [Symbol.dispose](): void {}
}
