import assert from 'node:assert/strict';
import type { Device, View } from '../../src/device/device.ts';
import { readTensor } from '../../src/device/host-tensors.ts';
import { openDevice } from '../../src/device/open.ts';
import { ControlledSampler } from '../../src/generation/controlled-sampler.ts';
import {
  LogitHistory,
  NO_CONTROLS,
  type LogitControls,
  type LogitEdit,
} from '../../src/generation/logit-control.ts';
import type { Draw, Sampler } from '../../src/generation/sampler.ts';
import { tensorOf } from '../../src/tensor/tensor.ts';
import { assertClose } from '../support/assert-close.ts';
import { goldenJson } from '../support/golden.ts';

interface Case {
  readonly repetition_penalty: number;
  readonly presence_penalty: number;
  readonly frequency_penalty: number;
  readonly bad_words: readonly (readonly number[])[];
  readonly min_p: number;
  readonly temperature: number;
  readonly logits: readonly number[];
  readonly probabilities: readonly number[];
  readonly log_probs: readonly number[];
}
const { prompt, response, cases } = goldenJson('logit-control/cases.json') as {
  readonly prompt: readonly number[];
  readonly response: readonly number[];
  readonly cases: readonly Case[];
};

/** A sampler that draws token 2 and keeps what it was to draw from. */
class Probe implements Sampler {
  seen: readonly number[] = [];

  async draw(distributions: View, requests: readonly unknown[]): Promise<Draw[]> {
    this.seen = [...(await readTensor(distributions)).data] as number[];
    return requests.map(() => ({ token: 2, logProb: 0 }));
  }

  [Symbol.dispose](): void {
    this.seen = [];
  }
}

function controlsOf(golden: Case): LogitControls {
  return {
    ...NO_CONTROLS,
    repetitionPenalty: golden.repetition_penalty,
    presencePenalty: golden.presence_penalty,
    frequencyPenalty: golden.frequency_penalty,
    badWords: golden.bad_words,
    minP: golden.min_p,
  };
}

/** The changes behind the golden prompt and response. */
function editOf(controls: LogitControls): LogitEdit {
  const history = new LogitHistory(controls, Int32Array.from(prompt));
  for (const token of response) history.add(token);
  return history.next();
}

describe('ControlledSampler', () => {
  const vocabulary = cases[0]!.logits.length;
  let device: Device;
  before(() => (device = openDevice({ threads: 1 })));
  after(() => device[Symbol.dispose]());

  /** Draws one token for each case. The rows of logits stand in the opposite order. */
  async function draws(edits: readonly LogitEdit[]): Promise<{ probe: number[]; drawn: Draw[] }> {
    const probe = new Probe();
    using logitBias = device.allocate('f32', [vocabulary]);
    using sampler = new ControlledSampler(device, probe, logitBias);
    using workspace = device.workspace();
    const tempered = cases
      .toReversed()
      .flatMap(({ logits, temperature }) => logits.map((logit) => logit / temperature));
    const logits = workspace.put(tensorOf('f32', [cases.length, vocabulary], tempered));
    const drawn = await sampler.draw(
      { logits, probabilities: logits },
      cases.map(({ temperature }, i) => ({
        row: cases.length - 1 - i,
        sampling: { temperature, topK: -1, topP: 1 },
        uniform: 0,
        edit: edits[i]!,
      })),
    );
    return { probe: [...probe.seen], drawn };
  }

  it("draws from the distributions of transformers' processors", async () => {
    const { probe } = await draws(cases.map((golden) => editOf(controlsOf(golden))));
    for (const [i, { probabilities }] of cases.entries()) {
      const got = probe.slice(i * vocabulary, (i + 1) * vocabulary);
      assertClose(Float32Array.from(got), probabilities, { atol: 1e-6 }, `case ${i}`);
    }
  });

  it("tells the model's own log-probabilities, those of the likeliest tokens among them", async () => {
    const edits = cases.map((golden) => editOf({ ...controlsOf(golden), topLogProbs: 4 }));
    const { drawn } = await draws(edits);
    for (const [i, { log_probs: logProbs }] of cases.entries()) {
      const { token, logProb, likeliest } = drawn[i]!;
      const order = [...logProbs.keys()].sort((a, b) => logProbs[b]! - logProbs[a]!);
      assert.deepEqual(
        likeliest!.map((each) => each.token),
        order.slice(0, 4),
      );
      const got = Float32Array.from([logProb, ...likeliest!.map((each) => each.logProb)]);
      assertClose(got, [token, ...order.slice(0, 4)].map((at) => logProbs[at]!), { atol: 1e-5 });
    }
  });

  it('adds a bias, and draws no token that a grammar forbids', async () => {
    const allowed = Uint32Array.of((1 << 5) | (1 << 9), 1 << 8);
    const constraint = { allowed: () => allowed, endTokens: [], accept: () => undefined };
    const logitBias = new Map([[9, 2]]);
    const controls = { ...NO_CONTROLS, logitBias, constraint: () => constraint };
    const { probe } = await draws(cases.map(() => editOf(controls)));
    const { logits } = cases[0]!;
    const weights = logits.map((logit, token) => {
      if (![5, 9, 40].includes(token)) return 0;
      return Math.exp(logit + (token === 9 ? 2 : 0));
    });
    const sum = weights.reduce((a, b) => a + b, 0);
    const expected = weights.map((weight) => weight / sum);
    assertClose(Float32Array.from(probe.slice(0, vocabulary)), expected, { atol: 1e-6 });
  });
});
