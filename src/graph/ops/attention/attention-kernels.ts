import type { DType } from '../../../tensor/dtype.ts';
import { launchByItem, scalarsOf, type Kernel } from '../../kernel.ts';
import { cTypes } from '../../kernel-prelude.ts';

const THREADS = 256;

/** Sizes and dtypes of a rotation's kernel: `x [T, heads, width]`, of which the first `turning` heads turn. */
interface RotaryForm {
  readonly dtype: DType;
  readonly tableDType: DType;
  readonly heads: number;
  readonly turning: number;
  readonly width: number;
  readonly inverse: boolean;
}

/** The kernel of rotary positions. A thread turns a few neighbouring pairs of one head. */
export function rotaryKernel(form: RotaryForm): Kernel {
  const { dtype, tableDType, heads, turning, width, inverse } = form;
  const half = width / 2;
  const pairs = [8, 4, 2, 1].find((count) => half % count === 0)!;
  const way = inverse ? 'back' : 'on';
  const entry = `rotary_${way}_${dtype}_${tableDType}_${heads}_${turning}_${width}`;
  const [element, table] = [cTypes[dtype], cTypes[tableDType]];
  const source = `
extern "C" __global__ void __launch_bounds__(${THREADS}) ${entry}(
    const ${element}* x, const ${table}* cosines, const ${table}* sines, ${element}* y, i64 count) {
  const i64 at = blockIdx.x * (i64)${THREADS} + threadIdx.x;
  if (at >= count) return;
  const i64 head = at / ${half / pairs};
  const int j = at % ${half / pairs} * ${pairs};
  typedef Pack<${element}, ${pairs}> Elements;
  typedef Pack<${table}, ${pairs}> Angles;
  Elements a = *(const Elements*)(x + head * ${width} + j), b = *(const Elements*)(x + head * ${width} + ${half} + j);
  if (head % ${heads} < ${turning}) {
    const i64 angle = head / ${heads} * ${half} + j;
    const Angles c = *(const Angles*)(cosines + angle), s = *(const Angles*)(sines + angle);
    for (int i = 0; i < ${pairs}; i++) {
      const float p = toFloat(a.at[i]), q = toFloat(b.at[i]);
      const float cosine = toFloat(c.at[i]), sine = ${inverse ? '-' : ''}toFloat(s.at[i]);
      a.at[i] = fromFloat<${element}>(p * cosine - q * sine);
      b.at[i] = fromFloat<${element}>(q * cosine + p * sine);
    }
  }
  *(Elements*)(y + head * ${width} + j) = a;
  *(Elements*)(y + head * ${width} + ${half} + j) = b;
}`;
  return {
    entry,
    source,
    launch: ([x]) => {
      const count = (x![0]! * heads * half) / pairs;
      return launchByItem(count, THREADS, scalarsOf('i64', [count]));
    },
  };
}
