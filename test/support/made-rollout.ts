/** Prompts, responses to them and rollout actors, as the steps of a run see them. */
import type { Prompt } from '../../actors/messages.ts';
import { RolloutActor, type RolloutProps } from '../../actors/rollout/actor.ts';
import type { Group } from '../../actors/rollout/protocol.ts';
import { planRun } from '../../actors/trainer/plan.ts';
import { defaults } from '../../src/config/schema.ts';
import { tensorOf } from '../../src/tensor/tensor.ts';
import { SharedVersion, VERSION_BYTES } from '../../transport/shared/version.ts';
import { textPrompt, tokens, type GoldenModel } from './golden-model.ts';
import { shortContext } from './reward-input.ts';
import { keepingLogger } from './tiny-run.ts';

/** A prompt of some tokens, without pictures. */
export function madePrompt(promptId: string, ids: readonly number[] = [1, 2]): Prompt {
  const input = { ...textPrompt(ids), grids: [] };
  return { promptId, context: shortContext, groundTruth: '', images: [], input, bitDepth: 16 };
}

type Response = Group['responses'][number];

/** A response of some tokens that ended by itself; its log-probabilities are 0 unless they are given. */
export function madeResponse(ids: readonly number[], given: Partial<Response> = {}): Response {
  const logProbs = tensorOf('f32', [ids.length], new Float32Array(ids.length));
  return { tokenIds: tokens(ids), logProbs, finishReason: 'stop', episode: null, ...given };
}

/** A rollout over a model's weights, which are of version 1, and that version. */
export function rolloutOver(
  { config, arena }: GoldenModel,
  given: Partial<Omit<RolloutProps, 'model' | 'engine'>> = {},
  bannedTokens: readonly number[] = [],
): { actor: RolloutActor; version: SharedVersion } {
  const shared = new SharedArrayBuffer(VERSION_BYTES);
  const version = new SharedVersion(shared);
  version.publish(1);
  const weights = { layout: arena.layout, weights: arena.buffer, version: shared };
  const props = {
    model: { config, ...weights, frozenLength: 0, isVisionFixed: false, threads: 1 },
    engine: { ...planRun(defaults()).rollout.engine, bannedTokens },
    ...{ stopTokens: [], tokenizerPath: '', ...given },
  };
  return { actor: new RolloutActor(props, keepingLogger().logger), version };
}
