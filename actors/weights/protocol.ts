/** Messages of the keeper of a process's weights. */
import * as t from 'io-ts';
import { whole } from '../../src/check/scalars.ts';
import { tensor } from '../../transport/tensor-codec.ts';
import { call, protocol } from '../runtime/protocol.ts';

/** A version of the weights, counted from 1. */
export const WeightVersion = t.type({ version: whole });
export interface WeightVersion extends t.TypeOf<typeof WeightVersion> {}

/** Consecutive elements of the arena, from `offset`. */
export const WeightChunk = t.type({ offset: whole, values: tensor('f32', ['elements']) });
export interface WeightChunk extends t.TypeOf<typeof WeightChunk> {}

/** Calls of the keeper of a process's weights. A version exists once all of it was written. */
export const weightsProtocol = protocol('weights', {
  /** Withdraws the weights: nobody may read them until the next version. */
  revise: call(t.void, t.void),
  write: call(WeightChunk, t.void),
  /** Publishes a version that was written whole: actors that wait for it may read. */
  publish: call(WeightVersion, t.void),
});
