// Which ops the CUDA provider has no kernel for in f16 and bf16: what `cuda` in src/graph/target.ts has to say.
import { encode } from '../../src/graph/encode.ts';
import type { OpName } from '../../src/graph/ops/table.ts';
import type { Target } from '../../src/graph/target.ts';
import { Runtime } from '../../src/ort/runtime.ts';
import { graphOf, namedCases } from '../conformance/ops.ts';

const everything: Target = { name: 'everything', hasKernel: () => true };
using runtime = new Runtime({ threads: 4 });
for (const dtype of ['f16', 'bf16'] as const) {
  const missing = new Map<OpName, string>();
  for (const named of namedCases) {
    if (named.floats.length === 0) continue;
    const graph = graphOf(named, dtype, (dim) => dim);
    try {
      const model = encode(graph, everything);
      runtime.compile(model, { name: named.name, provider: 'cuda' })[Symbol.dispose]();
    } catch (error) {
      const op = named.name.split('.')[0] as OpName;
      missing.set(op, (error as Error).message.slice(-90));
    }
  }
  console.log(dtype, [...missing.keys()].join(' '));
  for (const [op, why] of missing) console.log('  ', op, why);
}
