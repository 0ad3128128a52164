import { cTypes } from '../kernel-prelude.ts';
import { launchOf, scalarsOf, type Kernel } from '../kernel.ts';
import { ElementSource } from './element-source.ts';
import { named } from './naming.ts';
import { patternOf, type Region } from './region.ts';
import { sizesIn } from './space.ts';

const BLOCK_THREADS = 256;
const MOST_BLOCKS = 1 << 20;

/** True if a region has no reduction, and each of its values has one element for each place or one in all. */
export function isFlat(region: Region): boolean {
  const source = new ElementSource(region);
  const { space, nodes, inputs } = region;
  const isOneRow = space.slice(0, -1).every((dim) => dim === 1);
  const values = [...inputs, ...nodes.flatMap(({ outputs }) => outputs)];
  return (
    nodes.every((node) => patternOf(node) === 'map') &&
    values.every((value) => {
      const extent = source.extent(value);
      return extent === 'full' || extent === 'scalar' || (extent === 'row' && isOneRow);
    })
  );
}

/** The kernel of a flat region (`isFlat`). A thread computes one pack of elements. */
export function flatKernel(region: Region): Kernel {
  const source = new ElementSource(region);
  const { nodes, inputs, outputs } = region;
  const pack = source.packSize('n');
  const sizes = source.sizes();
  const parameters = [...source.parameters(), ...sizes.map((size) => `i64 ${size}`)].join(', ');
  const given = [...source.arguments(), ...sizes].join(', ');
  const needed = source.needed(outputs);
  const scalars = [
    ...inputs
      .filter((input) => source.isPerRow(input))
      .map((input) => source.read(input, `${source.address(input)}[0]`)),
    ...nodes
      .filter((node) => source.isPerRow(node.outputs[0]!))
      .map((node) => source.compute(node)),
  ];
  const write = (entry: string): string => `
template <int V> __device__ inline void ${entry}_by(${parameters}, i64 at) {
${scalars.join('\n')}
${needed.inputs.map((x) => `const auto p_${source.name(x)} = load<V>(${source.address(x)} + at);`).join('\n')}
${outputs.map(({ dtype }, i) => `Pack<${cTypes[dtype]}, V> y${i};`).join('\n')}
#pragma unroll
for (int j = 0; j < V; j++) {
${needed.inputs.map((x) => source.read(x, `p_${source.name(x)}.at[j]`)).join('\n')}
${needed.nodes.map((node) => source.compute(node)).join('\n')}
${outputs.map((y, i) => `y${i}.at[j] = ${source.stored(y)};`).join('\n')}
}
${outputs.map((_, i) => `store<V>(y${i}_at + at, y${i});`).join('\n')}
}

extern "C" __global__ void ${entry}(${parameters}, i64 n) {
  const i64 packs = ${source.alignments(pack).join(' && ') || 'true'} ? n / ${pack} : 0;
  const i64 places = packs + (n - packs * ${pack});
  for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < places; i += (i64)gridDim.x * blockDim.x) {
    if (i < packs) ${entry}_by<${pack}>(${given}, i * ${pack});
    else ${entry}_by<1>(${given}, packs * ${pack} + (i - packs));
  }
}
`;
  return {
    ...named(region, write),
    launch: (shapes) => {
      const { rows, width } = sizesIn(region, shapes);
      const n = rows * width;
      const blocks = Math.min(MOST_BLOCKS, Math.ceil(n / (BLOCK_THREADS * pack)));
      const scalars = [...source.sizeScalars(shapes), ...scalarsOf('i64', [n])];
      return launchOf([blocks, 1, 1], BLOCK_THREADS, scalars);
    },
  };
}
