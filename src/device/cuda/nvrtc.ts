import { CxmindError } from '../../errors.ts';
import { kernelPrelude } from '../../graph/kernel-prelude.ts';
import type { Kernel } from '../../graph/kernel.ts';
import type { NativeFunction } from '../../native.ts';
import { define, openLibrary, type Code, type Library, type Out } from './library.ts';

/** `NVRTC_ERROR_INVALID_OPTION` */
const INVALID_OPTION = 5;
const wayOut =
  "install CUDA 13's NVRTC, as in `pip install nvidia-cuda-nvrtc`, and put its folder on LD_LIBRARY_PATH";

/**
 * Loads NVRTC.
 *
 * @throws DEVICE_MISSING
 */
export function openNvrtc(): Library {
  return openLibrary(
    "CUDA's compiler of kernels",
    ['libnvrtc.so.13', 'libnvrtc.so.12', 'libnvrtc.so'],
    wayOut,
  );
}

/** Machine code, and the names of the kernels in it. */
export interface CompiledKernels {
  readonly cubin: Uint8Array;
  readonly entries: readonly string[];
}

/** CUDA's compiler of kernels (NVRTC). It needs no card. */
export class Nvrtc {
  readonly #out = new BigUint64Array(new SharedArrayBuffer(8));
  readonly #create: Code<[Out, string, string, number, null, null]>;
  readonly #compile: Code<[bigint, number, readonly string[]]>;
  readonly #destroy: Code<[Out]>;
  readonly #errorText: NativeFunction<(code: number) => string>;
  readonly #sized: Readonly<
    Record<'CUBIN' | 'ProgramLog', { size: Code<[bigint, Out]>; get: Code<[bigint, Uint8Array]> }>
  >;

  /** @throws DEVICE_MISSING without the library */
  constructor() {
    const library = openNvrtc();
    this.#create = define(library, 'nvrtcCreateProgram', [
      ...['void *', 'const char *', 'const char *', 'int', 'void *', 'void *'],
    ]);
    this.#compile = define(library, 'nvrtcCompileProgram', ['void *', 'int', 'const char **']);
    this.#destroy = define(library, 'nvrtcDestroyProgram', ['void *']);
    this.#errorText = library.func('nvrtcGetErrorString', 'const char *', ['int']) as never;
    const sized = (what: string) => ({
      size: define<[bigint, Out]>(library, `nvrtcGet${what}Size`, ['void *', 'void *']),
      get: define<[bigint, Uint8Array]>(library, `nvrtcGet${what}`, ['void *', 'void *']),
    });
    this.#sized = { CUBIN: sized('CUBIN'), ProgramLog: sized('ProgramLog') };
  }

  /**
   * Compiles kernels, all in one program.
   *
   * @param architecture the card's, such as `sm_90a`
   * @throws INTERNAL with the compiler's log; DEVICE_MISSING where the compiler is older than the card
   */
  compile(kernels: readonly Kernel[], architecture: string): CompiledKernels {
    const entries = kernels.map(({ entry }) => entry);
    const source = [kernelPrelude, ...kernels.map(({ source }) => source)].join('\n');
    const [name] = entries;
    this.#check(this.#create(this.#out, source, `${name}.cu`, 0, null, null), 'nvrtcCreateProgram');
    const program = this.#out[0]!;
    try {
      const options = [`--gpu-architecture=${architecture}`, '--std=c++17'];
      const code = this.#compile(program, options.length, options);
      if (code === INVALID_OPTION) {
        throw new CxmindError(
          'DEVICE_MISSING',
          `device cuda: CUDA's compiler of kernels does not know ${architecture}, this card; ${wayOut}`,
        );
      }
      if (code !== 0) {
        const log = Buffer.from(this.#read(program, 'ProgramLog')).toString().replace(/\0+$/, '');
        throw new CxmindError('INTERNAL', `kernels ${entries.join(', ')} do not compile: ${log}`, {
          detail: { entries, log },
        });
      }
      return { cubin: this.#read(program, 'CUBIN'), entries };
    } finally {
      this.#out[0] = program;
      this.#destroy(this.#out);
    }
  }

  #read(program: bigint, what: 'CUBIN' | 'ProgramLog'): Uint8Array {
    const { size, get } = this.#sized[what];
    this.#check(size(program, this.#out), `nvrtcGet${what}Size`);
    const bytes = new Uint8Array(Number(this.#out[0]));
    this.#check(get(program, bytes), `nvrtcGet${what}`);
    return bytes;
  }

  #check(code: number, call: string): void {
    if (code === 0) return;
    throw new CxmindError('RUNTIME_FAILED', `${call}: ${this.#errorText(code)}`);
  }
}
