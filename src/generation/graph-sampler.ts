import type { Device, Program, View, Workspace } from '../device/device.ts';
import { tensorOf } from '../tensor/tensor.ts';
import { drawGraph, type DrawBound } from './draw-graph.ts';
import { drawBounds, drawOf, putDraws } from './sampler.ts';
import type { Draw, DrawRequest, Sampler } from './sampler.ts';

/** Draws with a graph on the device of the distributions. A token and its probability come back for each draw. */
export class GraphSampler implements Sampler {
  readonly #device: Device;
  readonly #vocabulary: number;
  readonly #workspace: Workspace;
  readonly #programs = new Map<DrawBound, Program>();

  constructor(device: Device, vocabulary: number) {
    this.#device = device;
    this.#vocabulary = vocabulary;
    this.#workspace = device.workspace();
  }

  async draw(distributions: View, requests: readonly DrawRequest[]): Promise<Draw[]> {
    const bounds = requests.map(({ sampling }) => drawBounds(sampling, this.#vocabulary));
    const most = bounds.reduce((largest, { topK }) => Math.max(largest, topK), 0);
    const bound = bounds.some(({ topP }) => topP < 1) ? 'topP' : most > 0 ? 'topK' : 'none';
    const ranks = bound === 'topP' ? this.#vocabulary : most;
    this.#workspace.reset();
    const inputs = {
      probabilities: distributions,
      ...putDraws(this.#workspace, requests, bounds),
      ranks: this.#workspace.put(tensorOf('f32', [ranks], [...Array(ranks).keys()])),
    };
    const { drawn } = this.#program(bound).run(inputs, this.#workspace);
    const { data } = await this.#device.download(drawn as View<'f32'>);
    return requests.map((_, i) => drawOf(data[2 * i]!, Math.log(data[2 * i + 1]!)));
  }

  #program(bound: DrawBound): Program {
    const known = this.#programs.get(bound);
    const program = known ?? this.#device.compile(drawGraph(this.#vocabulary, bound));
    this.#programs.set(bound, program);
    return program;
  }

  [Symbol.dispose](): void {
    for (const program of this.#programs.values()) program[Symbol.dispose]();
    this.#workspace[Symbol.dispose]();
  }
}
