import { CxmindError } from '../../src/errors.ts';
import { keyOf } from '../../src/rng.ts';
import { zeros } from '../../src/tensor/tensor.ts';
import type { Sampling } from '../../src/config/worker-schema.ts';
import type { Prompt } from '../messages.ts';
import type { Group } from '../rollout/protocol.ts';
import { askAny } from '../runtime/pool.ts';
import type { RunActors } from './context.ts';
import type { Reporter } from './reporter.ts';

/** A prompt with its responses. */
export interface PromptGroup {
  /** Unique in a batch: the prompt's, unless that may come several times. */
  readonly id: string;
  readonly prompt: Prompt;
  readonly responses: Group['responses'];
}

/** How a batch of prompts is to be answered. */
export interface RolloutRequest {
  readonly sampling: Sampling;
  readonly maxTokens: number;
  /** What names the random streams besides prompt and sample: purpose and step. */
  readonly stream: readonly (string | number)[];
  /** The version of the weights that answer. */
  readonly policyVersion: number;
  readonly signal: AbortSignal;
}

/** Long enough for any generation; a lost actor is noticed at once, without it. */
const TIMEOUT_MS = 24 * 3600_000;
const RETRIES = 5;

/**
 * Responses to every prompt, spread over the rollout actors.
 *
 * Every response has a random stream of its own, named by seed, step, prompt and sample, so it does not
 * matter which actor makes it, nor how often it is tried: of a prompt that was answered twice, one group counts.
 */
export async function generateGroups(
  rollouts: RunActors['rollouts'],
  prompts: readonly Prompt[],
  { sampling, maxTokens, stream, policyVersion, signal }: RolloutRequest,
  reporter: Reporter,
): Promise<PromptGroup[]> {
  const { n, seed, temperature, topP, topK, ignoreEos } = sampling;
  const shares = divide(prompts, rollouts.length);
  const counters = shares.map(() => zeros('i32', [2]));
  using _ = reporter.phase({
    name: 'rollout',
    total: prompts.length * n,
    done: () => counters.reduce((sum, { data }) => sum + data[1]!, 0),
  });
  const replies = await Promise.all(
    shares.map((share, i) =>
      askAny(
        rollouts,
        'generate',
        {
          prompts: share.map(({ promptId, input }) => ({
            promptId,
            input,
            keys: Array.from({ length: n }, (_, sample) =>
              keyOf(...stream, seed, promptId, sample),
            ),
          })),
          sampling: { temperature, topP, topK },
          maxTokens,
          ignoreEos,
          policyVersion,
          progress: counters[i]!,
        },
        { timeoutMs: TIMEOUT_MS, signal, retries: RETRIES },
      ),
    ),
  );
  const groups = new Map(
    replies.flatMap((reply) => reply.groups.map((group) => [group.promptId, group] as const)),
  );
  return prompts.map((prompt) => {
    const group = groups.get(prompt.promptId);
    if (group?.responses.length !== n) {
      const made = group === undefined ? 'no group' : `${group.responses.length} responses`;
      throw new CxmindError('WIRE_INVALID', `prompt ${prompt.promptId} got ${made} for ${n}`);
    }
    return { id: prompt.promptId, prompt, responses: group.responses };
  });
}

/** Items in at most `count` consecutive shares of nearly equal size, none empty. */
export function divide<T>(items: readonly T[], count: number): T[][] {
  const size = Math.max(1, Math.ceil(items.length / count));
  const shares: T[][] = [];
  for (let start = 0; start < items.length; start += size) {
    shares.push(items.slice(start, start + size));
  }
  return shares;
}
