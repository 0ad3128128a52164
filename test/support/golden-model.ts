/** Models, prompts and gradients of the golden files, in the forms that models take. */
import type { Device } from '../../src/device/device.ts';
import { openDevice } from '../../src/device/open.ts';
import { loadCheckpoint } from '../../src/model/checkpoint/checkpoint.ts';
import type { Arena } from '../../src/model/weights/arena.ts';
import type { PromptInput, SequenceInput } from '../../src/model/pack.ts';
import type { ModelConfig } from '../../src/model/model-config.ts';
import { tensorOf, type Tensor } from '../../src/tensor/tensor.ts';
import {
  goldenCases,
  goldenJson,
  goldenPath,
  goldenPixelValues,
  goldenTensors,
  type GoldenTensor,
} from './golden.ts';

/** A golden checkpoint as the model takes it; every load has weights of its own. */
export interface GoldenModel {
  readonly config: ModelConfig;
  readonly arena: Arena;
}

/** Loads a checkpoint below `test/golden`. */
export async function loadGoldenModel(name: string): Promise<GoldenModel> {
  return loadCheckpoint(goldenPath(name));
}

/** A device on the processor and a golden model, for all tests of a suite. */
export interface GoldenSuite {
  readonly device: Device;
  readonly model: GoldenModel;
  /** Things that are disposed of after the tests, before the device. */
  readonly owned: DisposableStack;
}

/** Opens a device and loads a golden model before the tests of a suite, and closes the device after them. */
export function goldenSuite(load: string | (() => Promise<GoldenModel>)): GoldenSuite {
  const suite = { owned: new DisposableStack() } as {
    -readonly [K in keyof GoldenSuite]: GoldenSuite[K];
  };
  before(async () => {
    suite.device = suite.owned.use(openDevice({ threads: 1 }));
    suite.model = await (typeof load === 'string' ? loadGoldenModel(load) : load());
  });
  after(() => suite.owned.dispose());
  return suite;
}

/** Tokens as the model takes them. */
export function tokens(ids: readonly number[]): Tensor<'i32'> {
  return tensorOf('i32', [ids.length], ids);
}

/** A prompt of text alone: its three positions count up from 0. */
export function textPrompt(ids: readonly number[]): PromptInput {
  const row = [...ids.keys()];
  return {
    tokenIds: tokens(ids),
    positions: tensorOf('i32', [3, ids.length], [...row, ...row, ...row]),
    pixelValues: null,
    grids: [],
  };
}

interface TextCase {
  readonly prompt_ids: readonly number[];
  readonly response_ids: readonly number[];
  readonly weights: readonly number[];
  readonly logprobs: readonly number[];
  readonly greedy: { readonly ids: readonly number[]; readonly logprobs: readonly number[] };
}

/** The golden cases of `micro-text`, each with its sequence. */
export function goldenTexts(): (TextCase & { readonly sequence: SequenceInput })[] {
  const cases = goldenJson('micro-text/reference.json') as TextCase[];
  return cases.map((one) => ({
    ...one,
    sequence: { prompt: textPrompt(one.prompt_ids), response: tokens(one.response_ids) },
  }));
}

/** The golden cases as sequences, with the reference's own positions and pixel values. */
export function goldenSequences(): SequenceInput[] {
  const tensors = goldenTensors('micro-vl-reference/tensors.safetensors');
  return goldenCases().map((golden) => {
    const count = golden.prompt_ids.length;
    const positions = golden.position_ids.flatMap((row) => row.slice(0, count));
    const { shape, data } = goldenPixelValues(tensors, golden.id);
    return {
      prompt: {
        tokenIds: tokens(golden.prompt_ids),
        positions: tensorOf('i32', [3, count], positions),
        pixelValues: golden.images.length === 0 ? null : tensorOf('f32', shape, data),
        grids: golden.image_grid_thw,
      },
      response: tokens(golden.response_ids),
    };
  });
}

/** Parameters whose gradient is further from the expected one than `bound`, as `‖got - want‖ / ‖want‖`. */
export function wrongGradients(
  gradients: Arena,
  expected: ReadonlyMap<string, GoldenTensor>,
  bound: number,
): string[] {
  return gradients.layout.entries.flatMap(({ name }) => {
    const want = expected.get(name);
    if (want === undefined) return [`${name}: the reference has none`];
    const error = relativeError(gradients.tensor(name).data, want.data);
    return error <= bound ? [] : [`${name}: relative error ${error}`];
  });
}

/** `‖got - want‖ / ‖want‖`. */
export function relativeError(got: ArrayLike<number>, want: ArrayLike<number>): number {
  if (got.length !== want.length) return Infinity;
  let difference = 0;
  let size = 0;
  for (let i = 0; i < want.length; i++) {
    difference += (got[i]! - want[i]!) ** 2;
    size += want[i]! ** 2;
  }
  return Math.sqrt(difference / size);
}
