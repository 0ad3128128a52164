/** Responses to the prompts of a batch that is sampled ahead, in the form that a checkpoint keeps. */
import * as t from 'io-ts';
import { whole } from '../../../src/check/scalars.ts';
import type { Prompt } from '../../messages.ts';
import { Group } from '../../rollout/protocol.ts';
import type { GroupSampler } from '../batch.ts';
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

  /**
   * Answers prompts as before, the others by `ask`.
   *
   * The calls of one stream are those of its rounds, in order. Prompts of two data sets may share an id; these have
   * their answers in order too.
   */
  async answer(
    prompts: readonly Prompt[],
    request: Parameters<GroupSampler>[1],
    ask: GroupSampler,
  ): Promise<PromptGroup[]> {
    const stream = request.stream.join('/');
    const isOfStream = (call: SampledCall): boolean => call.stream === stream;
    const round = this.calls.filter(isOfStream).length;
    const earlier = this.#earlier.filter(isOfStream)[round]?.groups ?? [];
    const byId = Map.groupBy(earlier, ({ promptId }) => promptId);
    const known = prompts.map((prompt): PromptGroup | null => {
      const { promptId: id } = prompt;
      const group = byId.get(id)?.shift();
      if (group?.responses.length !== request.sampling.n) return null;
      const { policyVersion, responses } = group;
      if (policyVersion >= this.#oldest) return { id, prompt, policyVersion, responses };
      this.#stale++;
      return null;
    });
    const others = prompts.filter((_, i) => known[i] === null);
    const asked = others.length === 0 ? [] : await ask(others, request);
    const rest = asked.values();
    const groups = known.map((group) => group ?? rest.next().value!);
    const sampled = groups.map(({ prompt, policyVersion, responses }) => ({
      promptId: prompt.promptId,
      policyVersion,
      responses,
    }));
    this.calls.push({ stream, groups: sampled });
    return groups;
  }
}
