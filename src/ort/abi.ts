/** The C interface of ONNX Runtime: the functions that are called here, and their types in C and in TypeScript. */
import koffi from 'koffi';
import { CxmindError } from '../errors.ts';
import { loadForGood, loadLibrary } from '../native.ts';
import { libraryPath } from './library.ts';

/** An address in native memory; null where C has NULL. */
export type Pointer = bigint | null;

/** The JavaScript type of each kind of C value. */
interface Kinds {
  pointer: Pointer;
  /** A typed array, of which C gets the address of the first element. */
  memory: ArrayBufferView;
  /** A pointer or a typed array. */
  place: Pointer | ArrayBufferView;
  text: string;
  /** `ORTCHAR_T *`: wide characters on Windows. */
  path: string;
  texts: readonly string[];
  size: number;
  int: number;
}
type Kind = keyof Kinds;

const cTypes: Readonly<Record<Kind, string>> = {
  pointer: 'void *',
  memory: 'void *',
  place: 'void *',
  text: 'const char *',
  path: process.platform === 'win32' ? 'const char16_t *' : 'const char *',
  texts: 'const char **',
  size: 'size_t',
  int: 'int',
};

/**
 * The entries of `struct OrtApi` that are used here: position in the table, release of ONNX Runtime that added it,
 * result and parameters.
 *
 * The table only grows at its end, so a position holds for every later release. Out parameters are `memory`, one slot of
 * 8 bytes each.
 *
 * @see onnxruntime/core/session/onnxruntime_c_api.h; positions counted from its declarations
 */
// oxfmt-ignore
const table = {
  //                                       at   since   returns    takes
  CreateStatus:                           [0,   '1.0',  'status',  ['int', 'text']],
  GetErrorCode:                           [1,   '1.0',  'int',     ['pointer']],
  GetErrorMessage:                        [2,   '1.0',  'text',    ['pointer']],
  CreateSessionFromArray:                 [8,   '1.0',  'status',  ['pointer', 'memory', 'size', 'pointer', 'memory']],
  CreateSessionOptions:                   [10,  '1.0',  'status',  ['memory']],
  EnableProfiling:                        [14,  '1.0',  'status',  ['pointer', 'path']],
  DisableMemPattern:                      [17,  '1.0',  'status',  ['pointer']],
  SetSessionLogSeverityLevel:             [22,  '1.0',  'status',  ['pointer', 'int']],
  SetSessionGraphOptimizationLevel:       [23,  '1.0',  'status',  ['pointer', 'int']],
  CreateCustomOpDomain:                   [26,  '1.0',  'status',  ['text', 'memory']],
  CustomOpDomain_Add:                     [27,  '1.0',  'status',  ['pointer', 'pointer']],
  AddCustomOpDomain:                      [28,  '1.0',  'status',  ['pointer', 'pointer']],
  SessionGetInputCount:                   [30,  '1.0',  'status',  ['pointer', 'memory']],
  SessionGetOutputCount:                  [31,  '1.0',  'status',  ['pointer', 'memory']],
  SessionGetInputTypeInfo:                [33,  '1.0',  'status',  ['pointer', 'size', 'memory']],
  SessionGetOutputTypeInfo:               [34,  '1.0',  'status',  ['pointer', 'size', 'memory']],
  SessionGetInputName:                    [36,  '1.0',  'status',  ['pointer', 'size', 'pointer', 'memory']],
  SessionGetOutputName:                   [37,  '1.0',  'status',  ['pointer', 'size', 'pointer', 'memory']],
  CreateRunOptions:                       [39,  '1.0',  'status',  ['memory']],
  CreateTensorWithDataAsOrtValue:         [49,  '1.0',  'status',  ['pointer', 'place', 'size', 'memory', 'size', 'int', 'memory']],
  GetTensorMutableData:                   [51,  '1.0',  'status',  ['pointer', 'memory']],
  CastTypeInfoToTensorInfo:               [55,  '1.0',  'status',  ['pointer', 'memory']],
  GetTensorElementType:                   [60,  '1.0',  'status',  ['pointer', 'memory']],
  GetDimensionsCount:                     [61,  '1.0',  'status',  ['pointer', 'memory']],
  GetDimensions:                          [62,  '1.0',  'status',  ['pointer', 'memory', 'size']],
  GetSymbolicDimensions:                  [63,  '1.0',  'status',  ['pointer', 'memory', 'size']],
  CreateMemoryInfo:                       [68,  '1.0',  'status',  ['text', 'int', 'int', 'int', 'memory']],
  CreateCpuMemoryInfo:                    [69,  '1.0',  'status',  ['int', 'int', 'memory']],
  AllocatorAlloc:                         [75,  '1.0',  'status',  ['pointer', 'size', 'memory']],
  AllocatorFree:                          [76,  '1.0',  'status',  ['pointer', 'pointer']],
  GetAllocatorWithDefaultOptions:         [78,  '1.0',  'status',  ['memory']],
  KernelContext_GetInput:                 [90,  '1.0',  'status',  ['pointer', 'size', 'memory']],
  KernelContext_GetOutput:                [91,  '1.0',  'status',  ['pointer', 'size', 'memory', 'size', 'memory']],
  ReleaseEnv:                             [92,  '1.0',  'nothing', ['pointer']],
  ReleaseStatus:                          [93,  '1.0',  'nothing', ['pointer']],
  ReleaseMemoryInfo:                      [94,  '1.0',  'nothing', ['pointer']],
  ReleaseSession:                         [95,  '1.0',  'nothing', ['pointer']],
  ReleaseValue:                           [96,  '1.0',  'nothing', ['pointer']],
  ReleaseRunOptions:                      [97,  '1.0',  'nothing', ['pointer']],
  ReleaseTypeInfo:                        [98,  '1.0',  'nothing', ['pointer']],
  ReleaseSessionOptions:                  [100, '1.0',  'nothing', ['pointer']],
  ReleaseCustomOpDomain:                  [101, '1.0',  'nothing', ['pointer']],
  SessionEndProfiling:                    [110, '1.2',  'status',  ['pointer', 'pointer', 'memory']],
  CreateEnvWithGlobalThreadPools:         [119, '1.3',  'status',  ['int', 'text', 'pointer', 'memory']],
  DisablePerSessionThreads:               [120, '1.3',  'status',  ['pointer']],
  CreateThreadingOptions:                 [121, '1.3',  'status',  ['memory']],
  ReleaseThreadingOptions:                [122, '1.3',  'nothing', ['pointer']],
  AddSessionConfigEntry:                  [130, '1.5',  'status',  ['pointer', 'text', 'text']],
  CreateAllocator:                        [131, '1.5',  'status',  ['pointer', 'pointer', 'memory']],
  ReleaseAllocator:                       [132, '1.5',  'nothing', ['pointer']],
  RunWithBinding:                         [133, '1.5',  'status',  ['pointer', 'pointer', 'pointer']],
  CreateIoBinding:                        [134, '1.5',  'status',  ['pointer', 'memory']],
  ReleaseIoBinding:                       [135, '1.5',  'nothing', ['pointer']],
  BindInput:                              [136, '1.5',  'status',  ['pointer', 'pointer', 'pointer']],
  BindOutput:                             [137, '1.5',  'status',  ['pointer', 'pointer', 'pointer']],
  CreateAndRegisterAllocator:             [144, '1.5',  'status',  ['pointer', 'pointer', 'pointer']],
  SetGlobalIntraOpNumThreads:             [147, '1.5',  'status',  ['pointer', 'int']],
  SetGlobalInterOpNumThreads:             [148, '1.5',  'status',  ['pointer', 'int']],
  SetGlobalSpinControl:                   [149, '1.5',  'status',  ['pointer', 'int']],
  AddRunConfigEntry:                      [165, '1.8',  'status',  ['pointer', 'text', 'text']],
  SessionOptionsAppendExecutionProvider_CUDA_V2:
                                          [204, '1.11', 'status',  ['pointer', 'pointer']],
  CreateCUDAProviderOptions:              [205, '1.11', 'status',  ['memory']],
  UpdateCUDAProviderOptions:              [206, '1.11', 'status',  ['pointer', 'texts', 'texts', 'size']],
  ReleaseCUDAProviderOptions:             [208, '1.11', 'nothing', ['pointer']],
  SessionOptionsAppendExecutionProvider:  [216, '1.12', 'status',  ['pointer', 'text', 'texts', 'texts', 'size']],
} as const;

/** The release whose table holds every entry above. */
const API_VERSION = 12;

type Table = typeof table;
type Returns = { status: Pointer; text: string; int: number; nothing: undefined };
type Takes<Ks extends readonly Kind[]> = { -readonly [I in keyof Ks]: Kinds[Ks[I]] };

/** ONNX Runtime's C functions by name. */
export type Functions = {
  readonly [K in keyof Table]: (...args: Takes<Table[K][3]>) => Returns[Table[K][2]];
};

/**
 * Loads the library into this thread and looks up its functions.
 *
 * @throws DEVICE_MISSING when there is no build for this machine, RUNTIME_FAILED when it is too old
 */
export function loadFunctions(): Functions {
  const path = libraryPath();
  keepSilent();
  const base = loadForGood(path).func('OrtGetApiBase', 'void *', [])() as bigint;
  const [getApi, getVersion] = addresses(base, 2);
  const version = koffi.call(getVersion, koffi.proto('const char *', [])) as string;
  const api = koffi.call(getApi, koffi.proto('void *', ['uint32_t']), API_VERSION) as Pointer;
  if (api === null) {
    throw new CxmindError(
      'RUNTIME_FAILED',
      `ONNX Runtime ${version} is too old: expected 1.${API_VERSION} or later (${path})`,
    );
  }
  const entries = Object.entries(table);
  const all = addresses(api, 1 + Math.max(...entries.map(([, [at]]) => at)));
  const functions = Object.fromEntries(
    entries.map(([name, [at, , returns, takes]]) => [
      name,
      koffi.decode(all[at], koffi.proto(returned[returns], [...takes.map((kind) => cTypes[kind])])),
    ]),
  );
  // The cast is right because `Functions` derives from the same table.
  return functions as Functions;
}

const returned: Readonly<Record<keyof Returns, string>> = {
  status: 'void *',
  text: 'const char *',
  int: 'int',
  nothing: 'void',
};

function addresses(at: bigint, count: number): bigint[] {
  return koffi.decode(at, 'void *', count) as bigint[];
}

/**
 * Turns off telemetry, unless the user has set its variable.
 *
 * Microsoft's builds for Linux and macOS report to Microsoft from 1.29 on. The variable must be set before the library
 * loads. `process.env` of a worker thread is a copy that native code does not see, hence `setenv`.
 *
 * @see onnxruntime's docs/Privacy.md
 */
function keepSilent(): void {
  if (process.platform === 'win32') return;
  const setenv = loadLibrary(null).func('setenv', 'int', ['const char *', 'const char *', 'int']);
  setenv('ORT_DISABLE_TELEMETRY', '1', 0);
}
