type F32 = Float32Array;

/** Elements of a block. It is small enough that a pass finds in the cache what the pass before it wrote. */
const BLOCK = 4096;

/**
 * Sets `out[i]` to the sum of `sources[k][i]` over all `k`, in the order of `k`, so that equal inputs give equal bits.
 *
 * All have one length. `out` may be one of the sources.
 */
export function sumInto(out: F32, sources: readonly F32[]): void {
  const [a, b, c, d] = sources;
  for (let start = 0; start < out.length; start += BLOCK) {
    const end = Math.min(start + BLOCK, out.length);
    if (sources.length === 2) addTwo(out, a!, b!, start, end);
    else if (sources.length === 3) addThree(out, a!, b!, c!, start, end);
    else if (sources.length === 4) addFour(out, a!, b!, c!, d!, start, end);
    else addAll(out, sources, start, end);
  }
}

/** Adds two sources, four elements at a time: the loop alone costs as much as an addition. */
function addTwo(out: F32, a: F32, b: F32, start: number, end: number): void {
  let i = start;
  for (; i + 3 < end; i += 4) {
    out[i] = a[i]! + b[i]!;
    out[i + 1] = a[i + 1]! + b[i + 1]!;
    out[i + 2] = a[i + 2]! + b[i + 2]!;
    out[i + 3] = a[i + 3]! + b[i + 3]!;
  }
  for (; i < end; i++) out[i] = a[i]! + b[i]!;
}

function addThree(out: F32, a: F32, b: F32, c: F32, start: number, end: number): void {
  for (let i = start; i < end; i++) out[i] = a[i]! + b[i]! + c[i]!;
}

function addFour(out: F32, a: F32, b: F32, c: F32, d: F32, start: number, end: number): void {
  for (let i = start; i < end; i++) out[i] = a[i]! + b[i]! + c[i]! + d[i]!;
}

/** Adds one source after the other. The sum of a block is kept apart, since `out` may be any of the sources. */
function addAll(out: F32, [first, ...others]: readonly F32[], start: number, end: number): void {
  const sum = first!.slice(start, end);
  for (const source of others) {
    for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + source[start + i]!;
  }
  out.set(sum, start);
}
