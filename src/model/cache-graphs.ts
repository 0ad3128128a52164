/**
 * Graphs that write a prompt into a decoder's cache and move sequences between its slots, on devices without kernels.
 */
import { GraphBuilder } from '../graph/builder.ts';
import type { Graph, Value } from '../graph/ir.ts';
import type { FloatDType } from '../tensor/dtype.ts';
import { tensorOf } from '../tensor/tensor.ts';
import type { TextConfig } from './model-config.ts';

/**
 * Writes a prefilled prompt's keys or values into a slot of a layer's cache.
 *
 * Inputs: `rows [T, K, d]`, keys or values of a pass; `cache [S, K, C, d]`; f32 scalars `slot`, `start`, the prompt's
 * first row, and `tokens`. Output: `next`, the new cache.
 */
export function cacheWriteGraph(
  { kvHeads, headDim }: TextConfig,
  { slots, capacity }: { readonly slots: number; readonly capacity: number },
  dtype: FloatDType = 'f32',
): Graph {
  const g = new GraphBuilder('cache-write');
  const rows = g.input('rows', dtype, ['T', kvHeads, headDim]);
  const cache = g.input('cache', dtype, [slots, kvHeads, capacity, headDim]);
  const [slot, start, tokens] = ['slot', 'start', 'tokens'].map((name) =>
    g.input(name, 'f32', []),
  ) as [Value, Value, Value];
  const places = arange(g, capacity);
  const isPrompt = g.less(places, tokens);
  // A place after the prompt reads its first row, which the mask then drops.
  const from = g.add(start, g.where(isPrompt, places, g.scalar(0)));
  const prompt = g.transpose(g.gather(rows, g.cast(from, 'i32')), [1, 0, 2]); // [K, C, d]
  const isSlot = g.reshape(isPlace(g, slots, slot), [slots, 1, 1, 1]);
  const isWritten = g.and(isSlot, g.reshape(isPrompt, [1, 1, capacity, 1]));
  g.output('next', g.where(isWritten, g.unsqueeze(prompt, [0]), cache));
  return g.build();
}

/** Copies slot `from` of a layer's cache to slot `to`, f32 scalars. Inputs: `cache`; output: `next`. */
export function cacheMoveGraph(
  { kvHeads, headDim }: TextConfig,
  { slots, capacity }: { readonly slots: number; readonly capacity: number },
  dtype: FloatDType = 'f32',
): Graph {
  const g = new GraphBuilder('cache-move');
  const cache = g.input('cache', dtype, [slots, kvHeads, capacity, headDim]);
  const from = g.input('from', 'f32', [1]);
  const to = g.input('to', 'f32', []);
  const moved = g.gather(cache, g.cast(from, 'i32')); // [1, K, C, d]
  const isTarget = g.reshape(isPlace(g, slots, to), [slots, 1, 1, 1]);
  g.output('next', g.where(isTarget, moved, cache));
  return g.build();
}

/** The numbers 0, 1, … as f32 `[count]`. */
export function arange(g: GraphBuilder, count: number): Value {
  return g.constant(
    tensorOf(
      'f32',
      [count],
      Array.from({ length: count }, (_, i) => i),
    ),
  );
}

/** Mask `[count]` that is true at one place. */
function isPlace(g: GraphBuilder, count: number, place: Value): Value {
  const places = arange(g, count);
  return g.not(g.or(g.less(places, place), g.greater(places, place)));
}
