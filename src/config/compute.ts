/** Devices and number formats as a config names them. */
import { guarded, oneOf } from '../check/scalars.ts';

/** Device that a user asks for: one by name, all cards, or the best that there is. */
export type DeviceChoice = 'auto' | 'cpu' | 'webgpu' | 'cuda' | `cuda:${number}`;

/** Codec of `trainer.device`. */
export const deviceChoice = guarded(
  'auto, cpu, cuda, cuda:N or webgpu',
  (value): value is DeviceChoice =>
    typeof value === 'string' && /^(auto|cpu|webgpu|cuda(:\d+)?)$/.test(value),
);

/** A number format by the names that the reference takes. */
export const precision = oneOf('fp16', 'float16', 'fp32', 'float32', 'bf16', 'bfloat16');

/** A precision as a dtype; f32, the processor's own, where none is named. */
export function floatDTypeOf(name: string | null): 'f32' | 'f16' | 'bf16' {
  if (name === 'bf16' || name === 'bfloat16') return 'bf16';
  return name === 'fp16' || name === 'float16' ? 'f16' : 'f32';
}
