/**
 * Calls of collective operations: how tensors make one, its form in words for the other ranks, and the errors of calls
 * that do not fit together.
 */
import { CxmindError } from '../../src/errors.ts';
import { sizeOf, type Tensor } from '../../src/tensor/tensor.ts';
import { u53Of, upperWord } from '../bytes.ts';

/** Element types that collectives carry, in the order of their numbers on the wire. */
const dtypes = ['f32', 'f16', 'bf16', 'i32', 'i64'] as const;
/** Element type that collectives carry. */
export type Element = (typeof dtypes)[number];

const operations = [
  'barrier',
  'broadcast',
  'reduceScatter',
  'allGather',
  'gather',
  'scatter',
] as const;
/** Operation in which every rank takes part. */
type Operation = (typeof operations)[number];

const faults = ['none', 'SHAPE_MISMATCH', 'DTYPE_MISMATCH'] as const;

/** One rank's call of an operation, in plain numbers that are the same on every rank, so that they can be compared. */
export interface Call {
  readonly operation: Operation;
  readonly dtype: Element;
  /** Rank of the root; -1 for an operation without one. */
  readonly root: number;
  /** Elements of the operation's smaller tensor, which is one part of the larger one. */
  readonly count: number;
  /** Fault of this rank's tensors. The others must hear of it, or they would wait. */
  readonly fault: (typeof faults)[number];
}

/** Number of 32-bit words in an encoded call. */
export const CALL_WORDS = 6;

/** Encodes a call as the words that ranks exchange. */
export function encodeCall(call: Call): Int32Array {
  return Int32Array.of(
    operations.indexOf(call.operation),
    dtypes.indexOf(call.dtype),
    call.root,
    call.count | 0,
    upperWord(call.count),
    faults.indexOf(call.fault),
  );
}

/**
 * Finds why the calls of all ranks do not fit together: the same error on every rank, undefined when they fit.
 *
 * @param words the encoded calls of all ranks, one after the other
 */
export function disagreement(words: Int32Array): CxmindError | undefined {
  const calls = Array.from({ length: words.length / CALL_WORDS }, (_, rank) =>
    words.subarray(rank * CALL_WORDS, (rank + 1) * CALL_WORDS),
  );
  const faulty = calls.findIndex((call) => call[5] !== 0);
  if (faulty !== -1) {
    const code =
      faults[calls[faulty]![5]!] === 'DTYPE_MISMATCH' ? 'DTYPE_MISMATCH' : 'SHAPE_MISMATCH';
    return new CxmindError(
      code,
      `rank ${faulty} called ${nameOf(calls[faulty]!)} with tensors that do not fit it`,
    );
  }
  const first = calls[0]!;
  const odd = calls.findIndex((call) => call.some((word, i) => word !== first[i]));
  if (odd === -1) return undefined;
  const sameButDtype = calls[odd]!.every((word, i) => i === 1 || word === first[i]);
  return new CxmindError(
    sameButDtype ? 'DTYPE_MISMATCH' : 'SHAPE_MISMATCH',
    `ranks disagree: rank 0 called ${textOf(first)}, rank ${odd} ${textOf(calls[odd]!)}`,
  );
}

function nameOf(call: Int32Array): string {
  return operations[call[0]!] ?? 'an unknown operation';
}

function textOf(call: Int32Array): string {
  const count = u53Of(call[3]!, call[4]!);
  const root = call[2] === -1 ? '' : `, root ${call[2]}`;
  return `${nameOf(call)}(${count} x ${dtypes[call[1]!]}${root})`;
}

/** The error of a rank that is gone, for the others. */
export function lostError(rank: number, cause?: CxmindError): CxmindError {
  const detail = { rank };
  return new CxmindError('PEER_LOST', `rank ${rank} of the group is gone`, { detail, cause });
}

/** Terms of a call. The larger tensor has `parts` times the elements of the smaller one. */
interface Terms {
  readonly operation: Operation;
  readonly small: Tensor | null;
  readonly large?: Tensor | null;
  /** True when this rank has to give or take the larger tensor. */
  readonly needsLarge?: boolean;
  readonly parts: number;
  readonly root?: number;
}

/** Describes tensors as a call, with the fault that they have. */
export function callOf(terms: Terms): Call {
  const { operation, small, large, parts, root } = terms;
  const tensors = [small, large].filter((tensor) => tensor !== null && tensor !== undefined);
  const [first] = tensors;
  const dtype = (first?.dtype ?? 'f32') as Element;
  const count = small?.data.length ?? 0;
  const isSound =
    tensors.every(({ shape, data }) => sizeOf(shape) === data.length) &&
    (large?.data.length ?? count * parts) === count * parts &&
    !(terms.needsLarge === true && (large === null || large === undefined)) &&
    (root === undefined || (Number.isInteger(root) && root >= 0 && root < parts));
  // Sums are of gradients, which are f32. The other types only move.
  const allowed: readonly Element[] = operation === 'reduceScatter' ? ['f32'] : dtypes;
  const isTyped = tensors.every((tensor) => tensor.dtype === dtype) && allowed.includes(dtype);
  return {
    operation,
    dtype: isTyped ? dtype : 'f32',
    root: root ?? -1,
    count: isSound ? count : 0,
    fault: !isTyped ? 'DTYPE_MISMATCH' : isSound ? 'none' : 'SHAPE_MISMATCH',
  };
}
