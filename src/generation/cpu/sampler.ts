import type { View } from '../../device/device.ts';
import { readTensor } from '../../device/host-tensors.ts';
import { distributionOfRows } from '../../model/heads.ts';
import type { Draw, DrawRequest, Sampler } from '../sampler.ts';
import { sampleToken } from './sampling.ts';

/** Draws on the host: where distributions lie in this process's memory, or from a copy of them. */
export class HostSampler implements Sampler {
  readonly headGraph = distributionOfRows;

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

  /** Nothing to do: it holds no memory. */
  [Symbol.dispose](): void {}
}
