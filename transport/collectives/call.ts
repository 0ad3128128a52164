import { CxmindError } from '../../src/errors.ts';
import { sizeOf, type Tensor } from '../../src/tensor/tensor.ts';

/** The element types that collectives carry, in the order of their numbers on the wire. */
const dtypes = ['f32', 'f16', 'bf16', 'i32', 'i64'] as const;
export type Element = (typeof dtypes)[number];

const operations = [
  'barrier',
  'broadcast',
  'reduceScatter',
  'allGather',
  'gather',
  'scatter',
] as const;
/** The operations that every rank takes part in. */
export type Operation = (typeof operations)[number];

const faults = ['none', 'SHAPE_MISMATCH', 'DTYPE_MISMATCH'] as const;

/** What one rank asks for: plain numbers, the same on every rank, so that all can be compared. */
export interface Call {
  readonly operation: Operation;
  readonly dtype: Element;
  /** -1 where the operation has none. */
  readonly root: number;
  /** Elements of the smallest tensor of the operation: of a part, where it deals in parts. */
  readonly count: number;
  /** What is wrong with this rank's own tensors; the others must hear of it, or they would wait. */
  readonly fault: (typeof faults)[number];
}

/** 32-bit words that an encoded call takes. */
export const CALL_WORDS = 6;

/** The words of a call, as ranks tell each other. */
export function encodeCall(call: Call): Int32Array {
  return Int32Array.of(
    operations.indexOf(call.operation),
    dtypes.indexOf(call.dtype),
    call.root,
    call.count | 0,
    Math.floor(call.count / 2 ** 32),
    faults.indexOf(call.fault),
  );
}

/**
 * Why the calls of all ranks do not fit together, the same on every rank; nothing where they do.
 *
 * @param words all ranks' encoded calls, one after the other
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
  const count = (call[3]! >>> 0) + call[4]! * 2 ** 32;
  const root = call[2] === -1 ? '' : `, root ${call[2]}`;
  return `${nameOf(call)}(${count} x ${dtypes[call[1]!]}${root})`;
}

/** What a call is about; `parts` is how many of the smaller tensor make the larger one. */
interface Terms {
  readonly operation: Operation;
  readonly small: Tensor | null;
  readonly large?: Tensor | null;
  /** This rank has to give or take the larger tensor. */
  readonly needsLarge?: boolean;
  readonly parts: number;
  readonly root?: number;
}

/** The call that describes these tensors, with what is wrong with them. */
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
  // Sums are of gradients, which are f32; the other types only move.
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
