import type { Device, Program, View, Views, Workspace } from '../device/device.ts';
import { putAll } from '../device/host-tensors.ts';
import type { Graph } from '../graph/ir.ts';
import { tensorOf, zeros } from '../tensor/tensor.ts';
import { editGraph, scoreGraph } from './edit-graph.ts';
import { MOST_TOP_LOGPROBS, NEVER, type LogitEdit } from './logit-control.ts';
import {
  drawOf,
  inverseTemperatureOf,
  putRows,
  type Draw,
  type DrawRequest,
  type HeadOutputs,
  type Sampler,
} from './sampler.ts';

/** A draw with changes of its logits. */
interface EditedRequest extends DrawRequest {
  readonly edit: LogitEdit;
}

const NO_EDIT: LogitEdit = { changes: new Map(), allowed: null, minP: 0, topLogProbs: 0 };

/**
 * A sampler that changes logits where requests ask for it, before another sampler draws from them.
 *
 * All of it is one graph before the draw and one after it, on the device of the logits. Draws without changes go
 * straight to the other sampler.
 */
export class ControlledSampler implements Disposable {
  readonly #device: Device;
  readonly #vocabulary: number;
  readonly #sampler: Sampler;
  readonly #logitBias: View;
  readonly #workspace: Workspace;
  readonly #programs = new Map<string, Program>();

  /** @param logitBias f32 `[V]`, added to all logits */
  constructor(device: Device, sampler: Sampler, logitBias: View) {
    this.#device = device;
    this.#vocabulary = logitBias.shape[0]!;
    this.#sampler = sampler;
    this.#logitBias = logitBias;
    this.#workspace = device.workspace();
  }

  /**
   * Draws one token for each request. Its log-probability is of the model's own tempered distribution.
   *
   * @throws NUMERIC_NONFINITE when the probabilities are not numbers
   */
  async draw(head: HeadOutputs, requests: readonly DrawRequest[]): Promise<Draw[]> {
    if (requests.every(({ edit }) => edit == null)) {
      return this.#sampler.draw(head.probabilities ?? head.logits, requests);
    }
    const edited = requests.map((request) => ({ ...request, edit: request.edit ?? NO_EDIT }));
    this.#workspace.reset();
    const rows = putRows(this.#workspace, requests);
    const given = { logits: head.logits, rows, logitBias: this.#logitBias };
    const distributions = this.#edited(given, edited, head.probabilities !== undefined);
    const drawn = await this.#sampler.draw(
      distributions,
      requests.map(({ sampling, uniform }, row) => ({ row, sampling, uniform })),
    );
    return this.#scored(given, edited, drawn);
  }

  /** The distributions that the draws are from, one row each. */
  #edited(given: Views, requests: readonly EditedRequest[], isNormal: boolean): View {
    const count = requests.length;
    const hasMask = requests.some(({ edit }) => edit.allowed !== null);
    const most = Math.max(1, ...requests.map(({ edit }) => edit.changes.size));
    const tokens = zeros('i32', [count, most]);
    const factors = zeros('f32', [count, most]);
    const offsets = zeros('f32', [count, most]);
    const logMinP = zeros('f32', [count, 1]);
    factors.data.fill(1);
    for (const [i, { edit, sampling }] of requests.entries()) {
      const inverseTemperature = inverseTemperatureOf(sampling);
      let at = i * most;
      for (const [token, { factor, offset }] of edit.changes) {
        tokens.data[at] = token;
        factors.data[at] = factor;
        offsets.data[at++] = offset * inverseTemperature;
      }
      logMinP.data[i] = edit.minP > 0 ? Math.log(edit.minP) : NEVER;
    }
    const inputs = { ...given, ...putAll(this.#workspace, { tokens, factors, offsets, logMinP }) };
    const masked = hasMask ? { ...inputs, mask: this.#mask(requests) } : inputs;
    const program = this.#program(`edit ${hasMask} ${isNormal}`, () =>
      editGraph(this.#vocabulary, hasMask, isNormal),
    );
    return program.run(masked, this.#workspace)['edited']!;
  }

  /** f32 `[B, V]` */
  #mask(requests: readonly EditedRequest[]): View {
    const vocabulary = this.#vocabulary;
    const mask = zeros('f32', [requests.length, vocabulary]);
    for (const [i, { edit }] of requests.entries()) {
      const { allowed } = edit;
      if (allowed === null) continue;
      for (let token = 0; token < vocabulary; token++) {
        const isAllowed = ((allowed[token >>> 5] ?? 0) >>> (token & 31)) & 1;
        if (isAllowed === 0) mask.data[i * vocabulary + token] = NEVER;
      }
    }
    return this.#workspace.put(mask);
  }

  async #scored(
    given: Views,
    requests: readonly EditedRequest[],
    draws: readonly Draw[],
  ): Promise<Draw[]> {
    const ids = Int32Array.from(draws, ({ token }) => token);
    const drawn = this.#workspace.put(tensorOf('i32', [draws.length, 1], ids));
    const program = this.#program('score', () => scoreGraph(this.#vocabulary, MOST_TOP_LOGPROBS));
    const scores = program.run({ ...given, drawn }, this.#workspace);
    const read = (name: string) => this.#device.download(scores[name] as View<'f32'>);
    const [logProbs, values, places] = await Promise.all(
      ['logProbs', 'values', 'places'].map(read),
    );
    const width = values!.shape[1]!;
    return draws.map(({ token }, i) => {
      const { topLogProbs } = requests[i]!.edit;
      const draw = drawOf(token, logProbs!.data[i]!);
      if (topLogProbs === 0) return draw;
      const likeliest = Array.from({ length: Math.min(topLogProbs, width) }, (_, j) => {
        const at = i * width + j;
        return { token: places!.data[at]!, logProb: values!.data[at]! };
      });
      return { ...draw, likeliest };
    });
  }

  #program(name: string, graphOf: () => Graph): Program {
    const program = this.#programs.get(name) ?? this.#device.compile(graphOf());
    this.#programs.set(name, program);
    return program;
  }

  [Symbol.dispose](): void {
    for (const program of this.#programs.values()) program[Symbol.dispose]();
    this.#sampler[Symbol.dispose]();
    this.#workspace[Symbol.dispose]();
  }
}
