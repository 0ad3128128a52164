/**
 * Messages of the actors that train a model together, whichever head it has: joining, checkpoints, and the shape of
 * updates.
 */
import * as t from 'io-ts';
import { whole } from '../../src/check/scalars.ts';
import type { SequenceInput } from '../../src/model/pack.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import type { MiniBatch } from '../../src/training/mini-batches.ts';
import type { RankAddress } from '../../transport/collectives/open.ts';
import { RunKeys } from '../../transport/zmq/keys.ts';
import { tensor } from '../../transport/tensor-codec.ts';
import { MetricLists, Progress } from '../messages.ts';
import { profileCalls } from '../model-actor.ts';
import { call, type Protocol } from '../runtime/protocol.ts';
import { HostInfo } from './host-info.ts';

/** The address to listen at, and the keys that all ranks of the run prove themselves with. */
export const ListenRequest = t.type({ address: t.string, keys: RunKeys });
export interface ListenRequest extends t.TypeOf<typeof ListenRequest> {}

/** The directory to save to or to restore from. */
export const StateRequest = t.type({ directory: t.string, modelOnly: t.boolean });
export interface StateRequest extends t.TypeOf<typeof StateRequest> {}

/** A rank's address as it tells it to the others. */
const Address: t.Type<RankAddress> = t.type({ endpoint: t.string, host: t.string });

/** Calls of every actor that trains a model together with others, whichever head the model has. */
export const jointCalls = {
  ...profileCalls,
  hostInfo: call(t.void, HostInfo),
  /** Listens for the other ranks at an address of this host, and says how it is reached. */
  listen: call(ListenRequest, Address),
  /** Joins the ranks of other processes, given the addresses of all. Ranks that joined already do nothing. */
  join: call(t.array(Address), t.void),
  /** Copies the trained weights to the memory of the first rank's process, where another device has them. */
  collect: call(t.void, t.void),
  /** Saves the model and its state; the first rank writes. */
  save: call(StateRequest, t.void),
  /** Restores the model and its state; the first rank reads. */
  restore: call(StateRequest, t.void),
};

/** The part of their protocols that learners and critics share. */
export type JointProtocol = Protocol<typeof jointCalls>;

/** The response tokens that a loss counts, 1, and those that it does not, 0; null where all count. */
export const TokenMask = t.union([tensor('u8', ['T']), t.null]);

/** A rank's share of the samples of an optimizer step, and the response tokens and samples of all shares together. */
export const miniBatch = <S extends t.Mixed>(sample: S) =>
  t.type({ samples: t.array(sample), responseTokens: whole, sequences: whole });

/** A rank's share of a step's updates. */
export const updateRequest = <S extends t.Mixed>(sample: S) =>
  t.type({
    miniBatches: t.array(miniBatch(sample)),
    learningRate: t.number,
    /** Samples done so far. */
    progress: Progress,
  });

/** A rank's share of updates on samples of any kind, as `updateRequest` decodes it. */
export interface RankUpdate<S extends SequenceInput> {
  readonly miniBatches: MiniBatch<S>[];
  readonly learningRate: number;
  readonly progress: Tensor<'i32'>;
}

/** One value of each metric and one gradient norm per optimizer step. Losses are addends to those of the whole. */
export const UpdateReply = t.type({ losses: MetricLists, gradientNorms: t.array(t.number) });
