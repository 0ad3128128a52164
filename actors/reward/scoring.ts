import type { Answer } from '../../src/data/row.ts';
import { CxmindError } from '../../src/errors.ts';
import type { Outcome } from '../../src/reward/outcome.ts';
import type { RewardInput } from '../../src/reward/reward.ts';
import type { Tokenizer } from '../../src/text/tokenizer.ts';
import type { Actor } from '../runtime/actor.ts';
import { rewardInputs } from './inputs.ts';
import type { rewardProtocol, ScoreReply } from './protocol.ts';

/**
 * Scores a batch: an outcome for each response, and the costs of scoring. An outcome is undefined when an earlier
 * response failed and this one was not scored.
 */
export type Score = (
  batch: readonly RewardInput<Answer>[],
  signal: AbortSignal,
) => Promise<{
  readonly outcomes: readonly (Outcome | undefined)[];
  readonly counts: ScoreReply['counts'];
}>;

/** Options of an actor that scores. */
interface ScoringOptions {
  readonly tokenizer: Tokenizer;
  readonly skipSpecialTokens: boolean;
  /** True where a response that cannot be scored is part of the reply, not an error. */
  readonly skipsInvalid: boolean;
  /** Name of what scores, in errors, under the field that has it in their details. */
  readonly named: readonly [field: string, name: string];
  /** Ends with the actor. */
  readonly owned?: AsyncDisposable;
}

/** A reward actor: it decodes responses and has a function score them. */
export function scoringActor(
  { tokenizer, skipSpecialTokens, skipsInvalid, named, owned }: ScoringOptions,
  score: Score,
): Actor<typeof rewardProtocol> & AsyncDisposable {
  return {
    async score(request, { signal }) {
      const batch = rewardInputs(request, tokenizer, skipSpecialTokens);
      const { outcomes, counts } = await score(batch, signal);
      const scored = outcomes.map((outcome, i) => ({
        text: batch[i]!.response,
        parts: outcome !== undefined && 'parts' in outcome ? outcome.parts : null,
        problem: outcome !== undefined && 'problem' in outcome ? outcome.problem : null,
      }));
      const index = scored.findIndex(({ problem }) => problem !== null);
      if (index < 0 || skipsInvalid) return { scored, counts };
      const [field, name] = named;
      const response = request.responses[index]!.name;
      throw new CxmindError('REWARD_INVALID', `${name}: ${response}: ${scored[index]!.problem}`, {
        detail: { [field]: name, response },
      });
    },
    async [Symbol.asyncDispose]() {
      await owned?.[Symbol.asyncDispose]();
    },
  };
}
