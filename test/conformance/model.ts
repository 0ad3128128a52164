import type { Device } from '../../src/device/device.ts';
import { packSequences } from '../../src/model/pack.ts';
import { Policy } from '../../src/model/policy.ts';
import { assertClose } from '../support/assert-close.ts';
import { goldenCases } from '../support/golden.ts';
import { goldenSequences, loadGoldenModel } from '../support/golden-model.ts';
import { assertContinues } from '../support/greedy.ts';

/** The golden model on a device against transformers: log-probabilities, and tokens taken greedily. */
export function agreesWithTransformers(
  name: string,
  open: () => Device,
  {
    chosen,
    maxTokens,
    atol,
  }: {
    /** Cases by number. */
    readonly chosen: readonly number[];
    readonly maxTokens: number;
    /** Tolerance of log-probabilities, in nats. */
    readonly atol: number;
  },
): void {
  describe(`the model on ${name} against transformers`, function () {
    // A card in software compiles a shader for every shape.
    this.timeout(300_000);
    const cases = chosen.map((i) => goldenCases()[i]!);
    const sequences = chosen.map((i) => goldenSequences()[i]!);
    let device: Device;
    before(() => (device = open()));
    after(() => device[Symbol.dispose]());

    it('gives the same log-probabilities, with and without images', async () => {
      const { config, arena } = await loadGoldenModel('micro-vl');
      using policy = new Policy(device, config, arena, { gradientCheckpointing: false });
      const expected = cases.flatMap(({ logprobs }) => logprobs);
      assertClose(await policy.logProbs(packSequences(sequences), 1), expected, { atol });
    });

    it('continues greedily with the same tokens, in fewer slots than sequences', async () => {
      const greedy = cases.map(({ greedy: { ids, logprobs } }) => ({
        ids: ids.slice(0, maxTokens),
        logprobs: logprobs.slice(0, maxTokens),
      }));
      const how = { maxSequences: 2, maxPrefillTokens: 256, maxTokens, atol, stop: 620 };
      await assertContinues(device, await loadGoldenModel('micro-vl'), sequences, greedy, how);
    });
  });
}
