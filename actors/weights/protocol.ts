import * as t from 'io-ts';
import { tensor } from '../../transport/tensor-codec.ts';
import { whole } from '../messages.ts';
import { call, protocol } from '../runtime/protocol.ts';

/** Which weights are meant; versions count from 1. */
export const WeightVersion = t.type({ version: whole });
export interface WeightVersion extends t.TypeOf<typeof WeightVersion> {}

/** Consecutive elements of the arena, from `offset`. */
export const WeightChunk = t.type({ offset: whole, values: tensor('f32', ['elements']) });
export interface WeightChunk extends t.TypeOf<typeof WeightChunk> {}

/** What the keeper of a process's weights can be asked. A version is there once all of it was written. */
export const weightsProtocol = protocol('weights', {
  /** Nobody may read the weights from here on. */
  revise: call(t.void, t.void),
  write: call(WeightChunk, t.void),
  /** All of this version was written: whoever waits for it may read. */
  publish: call(WeightVersion, t.void),
});
