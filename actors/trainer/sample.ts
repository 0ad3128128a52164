/** Responses to a batch of prompts: shares of it are asked of the rollout actors, and put together by prompt. */
import { CxmindError } from '../../src/errors.ts';
import { keyOf } from '../../src/rng.ts';
import { zeros } from '../../src/tensor/tensor.ts';
import type { Sampling, ValidationSampling } from '../../src/config/rollout-schema.ts';
import { likeliest } from '../../src/generation/n-best.ts';
import { cutEvery } from '../../src/training/micro-batches.ts';
import { isNeutral, type ResponseControls } from '../../src/generation/response-controls.ts';
import type { Prompt } from '../messages.ts';
import type { GenerateRequest, Group } from '../rollout/protocol.ts';
import { askAny } from '../runtime/pool.ts';
import type { RunActors } from './context.ts';
import { ANY_WORK_MS, RETRIES } from './patience.ts';
import type { Reporter } from './report/reporter.ts';

/** A prompt with the responses to it. */
export interface PromptGroup {
  /** Id of the group: that of the prompt, which another may share; a step makes it unique in its batch. */
  readonly id: string;
  readonly prompt: Prompt;
  /** Version of the weights that sampled its oldest token. */
  readonly policyVersion: number;
  readonly responses: Group['responses'];
}

/** Sampling of the responses to a batch of prompts. */
export interface RolloutRequest {
  readonly sampling: Sampling & Partial<ValidationSampling>;
  readonly maxTokens: number;
  /** Purpose and step, which name the random streams besides prompt and sample. */
  readonly stream: readonly (string | number)[];
  /** Version of the weights to sample with. */
  readonly policyVersion: number;
  readonly signal: AbortSignal;
}

/** Asks a rollout actor for responses to some prompts. */
export type AskShare = (request: GenerateRequest) => Promise<{ readonly groups: Group[] }>;

/**
 * Samples `n` responses to every prompt, or the best `n` of more, spread over the rollout actors.
 *
 * Every response has its own random stream, named by seed, step, prompt and sample. So the actor does not matter, and a
 * call that failed is retried elsewhere with the same result. Responses belong to prompts by place, since prompts of two
 * data sets may share an id.
 *
 * @param ask asks one of the actors for a share
 */
export async function generateGroups(
  rollouts: RunActors['rollouts'],
  prompts: readonly Prompt[],
  { sampling, maxTokens, stream, policyVersion, signal }: RolloutRequest,
  reporter: Reporter,
  ask: AskShare = (request) =>
    askAny(rollouts, 'generate', request, { timeoutMs: ANY_WORK_MS, signal, retries: RETRIES }),
): Promise<PromptGroup[]> {
  const { n, seed, temperature, topP, topK, ignoreEos } = sampling;
  const sampled = sampling.bestOf ?? n;
  const shares = divide(prompts, rollouts.length);
  const counters = shares.map(() => zeros('i32', [2]));
  using _ = reporter.phase({
    name: 'rollout',
    total: prompts.length * sampled,
    done: () => counters.reduce((sum, { data }) => sum + data[1]!, 0),
  });
  const replies = await Promise.all(
    shares.map((share, i) =>
      ask({
        prompts: share.map(({ promptId, input, context, images, groundTruth, bitDepth }) => ({
          promptId,
          input,
          bitDepth,
          task: { prompt: context.text, images, groundTruth, columns: context.columns },
          seeds: Array.from({ length: sampled }, (_, sample) =>
            keyOf(...stream, seed, promptId, sample),
          ),
        })),
        sampling: { temperature, topP, topK },
        controls: controlsOf(sampling),
        maxTokens,
        ignoreEos,
        policyVersion,
        progress: counters[i]!,
      }),
    ),
  );
  const groups = shares.flatMap((share, i) => share.map((_, j) => replies[i]!.groups[j]));
  return prompts.map((prompt, i) => {
    const group = groups[i];
    const isOther = group?.promptId !== prompt.promptId;
    if (isOther || group.responses.length !== sampled) {
      const made = isOther ? 'no group' : `${group.responses.length} responses`;
      throw new CxmindError('WIRE_INVALID', `prompt ${prompt.promptId} got ${made} for ${sampled}`);
    }
    const responses = likeliest(group.responses, n, ({ logProbs }) => logProbs.data);
    const oldest = Math.min(
      ...responses.map((one) => one.policyVersions?.data[0] ?? policyVersion),
    );
    return { id: prompt.promptId, prompt, policyVersion: oldest, responses };
  });
}

/** The controls among the keys of a sampling; null where all are neutral. */
function controlsOf(sampling: Sampling): ResponseControls | null {
  const { minP, repetitionPenalty, presencePenalty, frequencyPenalty } = sampling;
  const { badWords, structuredOutputs } = sampling;
  const controls = {
    ...{ minP, repetitionPenalty, presencePenalty, frequencyPenalty },
    ...{ badWords, structuredOutputs },
  };
  return isNeutral(controls) ? null : controls;
}

/** Divides items into at most `count` consecutive shares of nearly equal size, none empty. */
export function divide<T>(items: readonly T[], count: number): T[][] {
  return cutEvery(items, Math.max(1, Math.ceil(items.length / count)));
}
