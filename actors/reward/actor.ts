import { resolveReward } from '../../src/reward/registry.ts';
import type { Reward } from '../../src/reward/reward.ts';
import { Tokenizer } from '../../src/text/tokenizer.ts';
import { actorFactory, type Actor } from '../runtime/actor.ts';
import { rewardProtocol, type ScoreReply, type ScoreRequest } from './protocol.ts';

/** What a reward actor is made from. */
export interface RewardProps {
  readonly tokenizerPath: string;
  /** A built-in's name or `./file.ts:function`. */
  readonly rewardFunction: string;
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly skipSpecialTokens: boolean;
}

/** Decodes responses and scores them. */
export class RewardActor implements Actor<typeof rewardProtocol> {
  readonly #tokenizer: Tokenizer;
  readonly #reward: Reward;
  readonly #skipSpecialTokens: boolean;

  constructor(tokenizer: Tokenizer, reward: Reward, skipSpecialTokens: boolean) {
    this.#tokenizer = tokenizer;
    this.#reward = reward;
    this.#skipSpecialTokens = skipSpecialTokens;
  }

  async score({ responses }: ScoreRequest): Promise<ScoreReply> {
    const options = { skipSpecialTokens: this.#skipSpecialTokens };
    const texts = responses.map(({ tokenIds }) => this.#tokenizer.decode(tokenIds.data, options));
    const parts = await this.#reward.score(
      responses.map(({ tokenIds, groundTruth }, i) => ({
        response: texts[i]!,
        responseLength: tokenIds.data.length,
        groundTruth,
      })),
    );
    return { scored: texts.map((text, i) => ({ text, parts: parts[i]! })) };
  }
}

/** Makes a reward actor on its thread. */
export const rewardActor = actorFactory(
  rewardProtocol,
  async ({ tokenizerPath, rewardFunction, kwargs, skipSpecialTokens }: RewardProps) =>
    new RewardActor(
      Tokenizer.load(tokenizerPath),
      await resolveReward(rewardFunction, kwargs),
      skipSpecialTokens,
    ),
);
