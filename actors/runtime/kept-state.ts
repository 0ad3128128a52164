import { encodeBody } from '../../transport/codec.ts';
import type { Body } from '../../transport/frame.ts';
import { sharedCopy } from '../../transport/shared/bytes.ts';

/** A body with memory of its own: what its tensors stood on may be written from now on. */
export function copyOf({ bytes, frames }: Body): Body {
  return { bytes: new Uint8Array(bytes), frames: frames.map(sharedCopy) };
}

/** State to be kept, as it is now. @throws WIRE_INVALID for what is not plain data */
export function encodeState(state: unknown): Body {
  return copyOf(encodeBody(state));
}
