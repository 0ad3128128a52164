import type { HostMemory, View } from '../../device/device.ts';
import type { Draw, DrawRequest, Sampler } from '../sampler.ts';
import { sampleToken } from './sampling.ts';

/** Draws from distributions that lie in this process's memory. */
export class HostSampler implements Sampler {
  readonly #host: HostMemory;

  constructor(host: HostMemory) {
    this.#host = host;
  }

  draw(distributions: View, requests: readonly DrawRequest[]): Promise<Draw[]> {
    const { data, shape } = this.#host.tensor(distributions);
    const width = shape[1]!;
    const draws = requests.map(({ row, sampling, uniform }) =>
      sampleToken(
        (data as Float32Array).subarray(row * width, (row + 1) * width),
        sampling,
        uniform,
      ),
    );
    return Promise.resolve(draws);
  }

  [Symbol.dispose](): void {}
}
