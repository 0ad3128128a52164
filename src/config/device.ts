import type * as t from 'io-ts';
import { matching } from '../check/scalars.ts';

/** Device that a user asks for: one by name, all cards, or the best that there is. */
export type DeviceChoice = 'auto' | 'cpu' | 'webgpu' | 'cuda' | `cuda:${number}`;

/** Codec of `trainer.device`. */
export const deviceChoice = matching(
  'auto, cpu, cuda, cuda:N or webgpu',
  /^(auto|cpu|webgpu|cuda(:\d+)?)$/,
) as unknown as t.Type<DeviceChoice, DeviceChoice>;
