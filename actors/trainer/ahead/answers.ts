import * as t from 'io-ts';
import { whole } from '../../../src/check/scalars.ts';
import type { Prompt } from '../../messages.ts';
import { Group } from '../../rollout/protocol.ts';
import type { Answer } from '../batch.ts';
import type { PromptGroup } from '../sample.ts';

const SampledGroup = t.intersection([Group, t.type({ policyVersion: whole })]);

/** The responses of one call for responses to prompts, and the random streams it named. */
export const SampledCall = t.type({ stream: t.string, groups: t.array(SampledGroup) });
export interface SampledCall extends t.TypeOf<typeof SampledCall> {}

/**
 * The answers to the prompts of one batch, kept for a checkpoint.
 *
 * Answers of an earlier process, from the checkpoint that a run resumes from, are given again. Those too stale are
 * dropped and counted, and their prompts are answered anew.
 */
export class Answers {
  /** Calls so far, with their answers. */
  readonly calls: SampledCall[] = [];
  readonly #earlier: readonly SampledCall[];
  readonly #oldest: number;
  #stale = 0;

  /** @param oldest version of the weights whose responses may still be trained on */
  constructor(earlier: readonly SampledCall[], oldest: number) {
    this.#earlier = earlier;
    this.#oldest = oldest;
  }

  /** Groups that were dropped because they were too stale. */
  get stale(): number {
    return this.#stale;
  }

  /** Answers prompts as before, the others by `ask`. */
  async answer(
    prompts: readonly Prompt[],
    request: Parameters<Answer>[1],
    ask: Answer,
  ): Promise<PromptGroup[]> {
    const stream = request.stream.join('/');
    const earlier = this.#earlier.find((call) => call.stream === stream)?.groups ?? [];
    const known = new Map<string, PromptGroup>();
    for (const { promptId, policyVersion, responses } of earlier) {
      const prompt = prompts.find((one) => one.promptId === promptId);
      if (prompt === undefined || responses.length !== request.sampling.n) continue;
      if (policyVersion < this.#oldest) this.#stale++;
      else known.set(promptId, { id: promptId, prompt, policyVersion, responses });
    }
    const others = prompts.filter(({ promptId }) => !known.has(promptId));
    const asked = others.length === 0 ? [] : await ask(others, request);
    for (const group of asked) known.set(group.id, group);
    const groups = prompts.map(({ promptId }) => known.get(promptId)!);
    const sampled = groups.map(({ prompt, policyVersion, responses }) => ({
      promptId: prompt.promptId,
      policyVersion,
      responses,
    }));
    this.calls.push({ stream, groups: sampled });
    return groups;
  }
}
