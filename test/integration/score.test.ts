import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packSequences } from '../../src/model/pack.ts';
import { Policy } from '../../src/model/policy.ts';
import { readSafetensors } from '../../src/model/checkpoint/safetensors.ts';
import { openDevice } from '../../src/device/open.ts';
import { assertClose } from '../support/assert-close.ts';
import { runHere, type Told } from '../support/cxmind-process.ts';
import { goldenCases, goldenPath } from '../support/golden.ts';
import { goldenSequences, loadGoldenModel, relativeError } from '../support/golden-model.ts';
import { directoryForEach } from '../support/temporary-directory.ts';

interface ScoreLine {
  readonly index: number;
  readonly token_ids: number[];
  readonly log_probs: number[];
}

describe('cxmind score', () => {
  // A row is one user turn, so of the golden cases those with one message can be written as rows.
  const cases = goldenCases().filter(({ messages }) => messages.length === 1);
  const folder = directoryForEach();
  const at = (name: string): string => join(folder.path, name);
  const score = (...args: readonly string[]): Promise<Told> =>
    runHere(['score', '--model', goldenPath('micro-vl'), '--data', at('rows.jsonl'), ...args]);
  const writeRows = (rows: readonly object[]): void =>
    writeFileSync(at('rows.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const lines = (): ScoreLine[] =>
    readFileSync(at('out.jsonl'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as ScoreLine);
  const rowOf = (golden: (typeof cases)[number]): object => ({
    prompt: golden.messages[0]!.content.map((part) =>
      part.type === 'image' ? '<image>' : part.text,
    ).join(''),
    images: golden.images.map((image) => goldenPath(`micro-vl-reference/${image}`)),
    answer: golden.response_text,
    weights: golden.weights,
  });

  it('writes the reference’s tokens and log-probabilities, one line a row', async () => {
    writeRows(cases.map(rowOf));
    const { exitCode, stderr } = await score('--out', at('out.jsonl'));
    assert.equal(exitCode, 0, stderr);
    const scored = lines();
    assert.equal(scored.length, cases.length);
    for (const [i, golden] of cases.entries()) {
      assert.equal(scored[i]!.index, i);
      assert.deepEqual(scored[i]!.token_ids, golden.response_ids);
      // Pictures are resized here, at most one grey level from the reference's.
      const atol = golden.images.length === 0 ? 1e-4 : 0.02;
      assertClose(scored[i]!.log_probs, golden.logprobs, { atol }, `case ${golden.id}`);
    }
  });

  it('writes the weighted gradient of every parameter, and the same scores', async () => {
    writeRows(cases.map(rowOf));
    const gradsPath = at('grads.safetensors');
    assert.equal((await score('--out', at('out.jsonl'), '--grads', gradsPath)).exitCode, 0);
    const gradients = await readSafetensors(gradsPath);
    const expected = lines().flatMap(({ log_probs }) => log_probs);
    assert.equal((await score('--out', at('out.jsonl'))).exitCode, 0);
    assertClose(
      lines().flatMap(({ log_probs }) => log_probs),
      expected,
      { atol: 1e-5 },
    );
    // The same rows with the reference's own pixels; the golden tests hold their gradients to it.
    const { config, arena } = await loadGoldenModel('micro-vl');
    const all = goldenCases();
    const sequences = goldenSequences().filter((_, i) => all[i]!.messages.length === 1);
    const weights = Float32Array.from(cases.flatMap((golden) => golden.weights));
    using device = openDevice();
    using policy = new Policy(device, config, arena, { gradientCheckpointing: false });
    const expectedGradients = arena.twin();
    await policy.accumulateGradients(packSequences(sequences), 1, () => weights, expectedGradients);
    assert.equal(gradients.size, arena.layout.entries.length);
    for (const { name } of arena.layout.entries) {
      const got = gradients.get(name)!.data as Float32Array;
      const error = relativeError(got, expectedGradients.tensor(name).data);
      assert.ok(error < 0.02, `${name}: ${error}`);
    }
  });

  it('names file, line and field of a row that it cannot score, and writes nothing', async () => {
    writeRows([rowOf(cases[0]!), { ...rowOf(cases[0]!), weights: [1] }]);
    const { exitCode, stderr } = await score('--out', at('out.jsonl'));
    assert.equal(exitCode, 2);
    assert.match(stderr, /rows\.jsonl:2: weights: expected \d+, .*, got 1/);
    assert.throws(() => lines());
  });
});
