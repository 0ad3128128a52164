import { oneOf } from '../check/scalars.ts';

/** A number format by the names that the reference takes. */
export const precision = oneOf('fp16', 'float16', 'fp32', 'float32', 'bf16', 'bfloat16');

/** A precision as a dtype; f32, the processor's own, where none is named. */
export function floatDTypeOf(name: string | null): 'f32' | 'f16' | 'bf16' {
  if (name === 'bf16' || name === 'bfloat16') return 'bf16';
  return name === 'fp16' || name === 'float16' ? 'f16' : 'f32';
}
