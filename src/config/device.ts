import type * as t from 'io-ts';
import { matching } from './codec.ts';

/** Where a user wants to compute: a device, any card, or the best that there is. */
export type DeviceChoice = 'auto' | 'cpu' | 'webgpu' | 'cuda' | `cuda:${number}`;

/** `trainer.device` */
export const deviceChoice = matching(
  'auto, cpu, cuda, cuda:N or webgpu',
  /^(auto|cpu|webgpu|cuda(:\d+)?)$/,
) as unknown as t.Type<DeviceChoice, DeviceChoice>;
