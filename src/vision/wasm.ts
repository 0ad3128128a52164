/**
 * Assembler of the part of WebAssembly that loops over bytes need. JavaScript has no vectors, and a resampler keeps up
 * with a decoder only if it takes four or sixteen samples at a time. `resample.ts`, `png.ts` and `patch-kernels.ts`
 * say how long libraries and plain JavaScript take. An expression is an array of its bytes.
 */

/** Memory of WebAssembly code. It has a new `buffer` after it grew. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  /** @param pages number of pages of 64 KiB */
  grow(pages: number): void;
}

/** Used part of the global WebAssembly. The types of Node lack it; those of browsers have it. */
interface WebAssemblyGlobal {
  readonly Memory: new (size: { initial: number }) => WasmMemory;
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  readonly Instance: new (
    module: object,
    imports: { env: { memory: WasmMemory } },
  ) => { readonly exports: object };
}

const { WebAssembly } = globalThis as unknown as { WebAssembly: WebAssemblyGlobal };

/** Bytes of WebAssembly code: an expression, or consecutive statements. */
export type Code = readonly number[];

/** Codes of value types. */
const I32 = 0x7f;
const V128 = 0x7b;
const NOTHING = 0x40;

/** Signed LEB128, seven bits a byte. */
function leb(value: number): Code {
  const bytes: number[] = [];
  for (let rest = value; ;) {
    const low = rest & 0x7f;
    rest >>= 7;
    const isLast = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0);
    bytes.push(isLast ? low : low | 0x80);
    if (isLast) return bytes;
  }
}

/** Unsigned LEB128, for lengths and indices. */
function unsigned(value: number): Code {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

function sized(parts: readonly Code[]): Code {
  return [...unsigned(parts.length), ...parts.flat()];
}

function prefixed(content: Code): Code {
  return [...unsigned(content.length), ...content];
}

function vector(op: number, ...operands: Code[]): Code {
  return [...operands.flat(), 0xfd, ...unsigned(op)];
}

/** Unaligned access of memory at an address. */
function access(op: number, ...operands: Code[]): Code {
  return [...vector(op, ...operands), 0, 0];
}

/** Local variable or parameter of a function. */
export interface Local {
  readonly get: Code;
  set(value: Code): Code;
  /** Adds to a 32-bit number. */
  add(value: Code): Code;
}

/** Operations on 32-bit numbers. */
export const i32 = {
  const: (value: number): Code => [0x41, ...leb(value)],
  add: (a: Code, b: Code): Code => [...a, ...b, 0x6a],
  mul: (a: Code, b: Code): Code => [...a, ...b, 0x6c],
  load: (address: Code): Code => [...address, 0x28, 0, 0],
};

/** Operations on vectors of 128 bits. `U8`, `I16` and `I32` in a name are the types of the lanes. */
export const v128 = {
  /** @param offset bytes behind the address */
  load: (address: Code, offset = 0): Code => [...vector(0x00, address), 0, ...unsigned(offset)],
  /** Four bytes at an address, then zeros. */
  load4Bytes: (address: Code): Code => access(0x5c, address),
  /** One 32-bit number at an address, in every lane. */
  loadSplat: (address: Code): Code => access(0x09, address),
  splat: (value: Code): Code => vector(0x11, value),
  const: (bytes: Code): Code => [...vector(0x0c), ...bytes],
  store: (address: Code, value: Code): Code => access(0x0b, address, value),
  /** Stores the first byte. */
  storeByte: (address: Code, value: Code): Code => [...access(0x58, address, value), 0],
  /** Stores the first four bytes. */
  store4Bytes: (address: Code, value: Code): Code => [...access(0x5a, address, value), 0],
  // Widening of the lower or the upper half of the lanes.
  lowU8ToI16: (value: Code): Code => vector(0x89, value),
  highU8ToI16: (value: Code): Code => vector(0x8a, value),
  lowI16ToI32: (value: Code): Code => vector(0xa7, value),
  highI16ToI32: (value: Code): Code => vector(0xa8, value),
  // Arithmetic on lanes of 16 bits.
  addI16: (a: Code, b: Code): Code => vector(0x8e, a, b),
  subI16: (a: Code, b: Code): Code => vector(0x91, a, b),
  minI16: (a: Code, b: Code): Code => vector(0x96, a, b),
  absI16: (value: Code): Code => vector(0x80, value),
  shiftRightI16: (value: Code, bits: number): Code => vector(0x8c, value, i32.const(bits)),
  /** All ones in lanes that are equal, zeros in the others. */
  equalI16: (a: Code, b: Code): Code => vector(0x2d, a, b),
  and: (a: Code, b: Code): Code => vector(0x4e, a, b),
  or: (a: Code, b: Code): Code => vector(0x50, a, b),
  /** Bits of `a` for ones in `mask`, bits of `b` for zeros. */
  select: (a: Code, b: Code, mask: Code): Code => vector(0x52, a, b, mask),
  /** Bytes of a vector by index; zero for an index from 16 on. */
  swizzle: (value: Code, places: Code): Code => vector(0x0e, value, places),
  // Narrowing of two vectors to one of half as wide lanes, saturated.
  i32ToI16: (low: Code, high: Code): Code => vector(0x85, low, high),
  i16ToU8: (low: Code, high: Code): Code => vector(0x66, low, high),
  /** One of four 32-bit lanes. */
  lane: (value: Code, lane: number): Code => [...vector(0x1b, value), lane],
  addI32: (a: Code, b: Code): Code => vector(0xae, a, b),
  mulI32: (a: Code, b: Code): Code => vector(0xb5, a, b),
  shiftRightI32: (value: Code, bits: number): Code => vector(0xac, value, i32.const(bits)),
};

/** Loop `for (counter = 0; counter < limit; counter += step) body`. */
export function loop(counter: Local, limit: Code, step: number, body: readonly Code[]): Code {
  const block = [0x02, NOTHING, 0x03, NOTHING];
  const leaveAtLimit = [...counter.get, ...limit, 0x4e, 0x0d, 1];
  const again = [0x0c, 0, 0x0b, 0x0b];
  const round = [...body.flat(), ...counter.add(i32.const(step))];
  return [...counter.set(i32.const(0)), ...block, ...leaveAtLimit, ...round, ...again];
}

/** Function of 32-bit numbers that returns nothing. */
export interface WasmFunction {
  readonly name: string;
  readonly parameters: number;
  /** Number of further locals that are 32-bit numbers. */
  readonly numbers: number;
  /** Number of further locals that are vectors. */
  readonly vectors: number;
  /** @param locals parameters, numbers, then vectors */
  readonly body: (...locals: Local[]) => readonly Code[];
}

/** New memory of one page. */
export function newMemory(): WasmMemory {
  return new WebAssembly.Memory({ initial: 1 });
}

/** Compiles functions on a memory. Returns them by name. */
export function compile(functions: readonly WasmFunction[], memory: WasmMemory): object {
  const module = new WebAssembly.Module(wasmModule(functions));
  return new WebAssembly.Instance(module, { env: { memory } }).exports;
}

/** Bytes of a module that exports the functions and imports its memory as `env.memory`. */
function wasmModule(functions: readonly WasmFunction[]): Uint8Array<ArrayBuffer> {
  const section = (id: number, content: Code): Code => [id, ...prefixed(content)];
  const text = (value: string): Code => prefixed([...Buffer.from(value)]);
  const types = functions.map(({ parameters }) => {
    return [0x60, ...sized(Array<Code>(parameters).fill([I32])), 0];
  });
  const memory = [...text('env'), ...text('memory'), 0x02, 0, 0];
  const exported = functions.map(({ name }, i) => [...text(name), 0, ...unsigned(i)]);
  const indices = functions.map((_, i) => unsigned(i));
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, sized(types)),
    ...section(2, sized([memory])),
    ...section(3, sized(indices)),
    ...section(7, sized(exported)),
    ...section(10, sized(functions.map(codeOf))),
  ]);
}

function codeOf({ parameters, numbers, vectors, body }: WasmFunction): Code {
  const locals = Array.from({ length: parameters + numbers + vectors }, (_, i) => localAt(i));
  const kinds = sized([
    [...unsigned(numbers), I32],
    [...unsigned(vectors), V128],
  ]);
  return prefixed([...kinds, ...body(...locals).flat(), 0x0b]);
}

function localAt(index: number): Local {
  const get = [0x20, ...unsigned(index)];
  const set = (value: Code): Code => [...value, 0x21, ...unsigned(index)];
  return { get, set, add: (value) => set(i32.add(get, value)) };
}
