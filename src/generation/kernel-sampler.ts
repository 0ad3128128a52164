import type { Device, Program, View, Workspace } from '../device/device.ts';
import { GraphBuilder } from '../graph/builder.ts';
import type { Graph } from '../graph/ir.ts';
import { tensorOf } from '../tensor/tensor.ts';
import { drawBounds, drawOf, putDraws } from './sampler.ts';
import type { Draw, DrawInputs, DrawRequest, Sampler } from './sampler.ts';

/** Draws with one kernel, from logits, on a device with kernels. */
export class KernelSampler implements Sampler {
  readonly #device: Device;
  readonly #vocabulary: number;
  readonly #program: Program;
  readonly #banned: View & Disposable;
  readonly #workspace: Workspace;

  /** @param banned tokens that are never drawn */
  constructor(device: Device, vocabulary: number, banned: readonly number[]) {
    this.#device = device;
    this.#vocabulary = vocabulary;
    this.#program = device.compile(drawTokensGraph(vocabulary));
    this.#banned = device.allocate('i32', [banned.length]);
    device.upload(tensorOf('i32', [banned.length], banned), this.#banned);
    this.#workspace = device.workspace();
  }

  async draw(logits: View, requests: readonly DrawRequest[]): Promise<Draw[]> {
    const bounds = requests.map(({ sampling }) => drawBounds(sampling, this.#vocabulary));
    this.#workspace.reset();
    const inputs = putDraws(this.#workspace, requests, bounds);
    const drawn = this.#workspace.take('f32', [requests.length, 2]);
    this.queue({ logits, ...inputs }, this.#workspace, drawn);
    return this.read(drawn, requests.length);
  }

  /** Queues draws from `logits`, f32 `[R, V]`; `drawn`, f32 `[B, 2]`, gets tokens and log-probabilities. */
  queue(inputs: DrawInputs & { readonly logits: View }, workspace: Workspace, drawn: View): void {
    this.#program.run({ ...inputs, banned: this.#banned }, workspace, { drawn });
  }

  /**
   * Reads the first `count` of the queued draws.
   *
   * @throws NUMERIC_NONFINITE
   */
  async read(drawn: View<'f32'>, count: number): Promise<Draw[]> {
    const { data } = await this.#device.download(drawn);
    return Array.from({ length: count }, (_, i) => drawOf(data[2 * i]!, data[2 * i + 1]!));
  }

  [Symbol.dispose](): void {
    this.#program[Symbol.dispose]();
    this.#banned[Symbol.dispose]();
    this.#workspace[Symbol.dispose]();
  }
}

function drawTokensGraph(vocabulary: number): Graph {
  const g = new GraphBuilder('draw-tokens');
  const logits = g.input('logits', 'f32', ['R', vocabulary]);
  const rows = g.input('rows', 'i32', ['B']);
  const banned = g.input('banned', 'i32', ['N']);
  const [uniform, topK, topP] = ['uniform', 'topK', 'topP'].map((name) =>
    g.input(name, 'f32', ['B', 1]),
  );
  const by = { uniform: uniform!, topK: topK!, topP: topP! };
  g.output('drawn', g.drawTokens(logits, rows, banned, by));
  return g.build();
}
