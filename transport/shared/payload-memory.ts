/** Memory for the tensors of messages, and copies to shared memory. */
import { isShared, sharedBuffer } from '../../src/tensor/memory.ts';

/** Memory for payloads that are not on shared memory yet. */
export interface PayloadMemory {
  /** Puts bytes on shared memory: returns the view itself if it lies there, else one copy. */
  share(bytes: Uint8Array): Uint8Array;
}

/** Puts bytes on shared memory: returns the view itself if it lies there, else one copy. */
export function sharedBytes(bytes: Uint8Array): Uint8Array {
  return isShared(bytes.buffer) ? bytes : sharedCopy(bytes);
}

/** Copies bytes to shared memory of their own. */
export function sharedCopy(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(sharedBuffer(bytes.byteLength));
  copy.set(bytes);
  return copy;
}

/** Memory that is made for each payload, and goes when nobody refers to it. */
export const ownMemory: PayloadMemory = { share: sharedBytes };
