import { sharedBuffer } from '../../src/tensor/memory.ts';

/** Where payloads go that are not on shared memory yet. */
export interface PayloadMemory {
  /** The same bytes on shared memory: in place where they are there already, else one copy. */
  share(bytes: Uint8Array): Uint8Array;
}

/** The bytes of a view, in place. */
export function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/** The same bytes on a SharedArrayBuffer: the view itself where it is on one already, else one copy. */
export function sharedBytes(bytes: Uint8Array): Uint8Array {
  if (bytes.buffer instanceof SharedArrayBuffer) return bytes;
  const shared = new Uint8Array(sharedBuffer(bytes.byteLength));
  shared.set(bytes);
  return shared;
}

/** Gives each payload memory of its own, which goes when nobody refers to it. */
export const ownMemory: PayloadMemory = { share: sharedBytes };
