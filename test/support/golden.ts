/** The files below `test/golden`, which the references computed: cases, tensors and pictures. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';

/** One case of `cases.json`: a prompt, a response, and what transformers makes of them. */
export interface GoldenCase {
  readonly id: number;
  readonly messages: readonly {
    readonly role: string;
    readonly content: readonly { readonly type: string; readonly text?: string }[];
  }[];
  /** Paths below the reference folder. */
  readonly images: readonly string[];
  readonly chat_text: string;
  readonly response_text: string;
  readonly prompt_ids: readonly number[];
  readonly response_ids: readonly number[];
  readonly weights: readonly number[];
  readonly image_grid_thw: readonly (readonly [number, number, number])[];
  readonly rope_delta: number;
  /** `[3][T]` over prompt and response. */
  readonly position_ids: readonly (readonly number[])[];
  readonly logprobs: readonly number[];
  readonly entropies: readonly number[];
  readonly loss: number;
  readonly greedy: {
    readonly ids: readonly number[];
    readonly text: string;
    readonly logprobs: readonly number[];
  };
}

/** A tensor of a golden safetensors file; all of them are f32. */
export interface GoldenTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Absolute path of a file or folder below `test/golden`. */
export function goldenPath(relative: string): string {
  return fileURLToPath(new URL(`../golden/${relative}`, import.meta.url));
}

/** The bytes of a golden file, unzipped where its name says that it is gzipped. */
function goldenBytes(relative: string): Buffer {
  const file = readFileSync(goldenPath(relative));
  return relative.endsWith('.gz') ? gunzipSync(file) : file;
}

/** A golden JSON file; the caller says what it holds. */
export function goldenJson(relative: string): unknown {
  return JSON.parse(goldenBytes(relative).toString());
}

/** A golden picture's file, by its name in `pictures/cases.json`. */
export function goldenPicture(name: string): Buffer {
  const { cases } = goldenJson('pictures/cases.json') as {
    cases: Record<string, { file: string }>;
  };
  return Buffer.from(cases[name]!.file, 'base64');
}

/** All cases of the micro checkpoint's reference. */
export function goldenCases(): readonly GoldenCase[] {
  return goldenJson('micro-vl-reference/cases.json') as GoldenCase[];
}

/** All tensors of a golden safetensors file, gzipped where its name says so, read without the project's own reader. */
export function goldenTensors(relative: string): Map<string, GoldenTensor> {
  const bytes = goldenBytes(relative);
  const headerLength = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerLength)) as Record<
    string,
    { shape: number[]; data_offsets: [number, number] }
  >;
  const tensors = new Map<string, GoldenTensor>();
  for (const [name, { shape, data_offsets }] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const [start, end] = data_offsets;
    const data = new Float32Array((end - start) / 4);
    const from = 8 + headerLength + start;
    new Uint8Array(data.buffer).set(bytes.subarray(from, from + end - start));
    tensors.set(name, { shape, data });
  }
  return tensors;
}

/**
 * The reference's pixel values of a case, `f32 [N, 1176]`; no rows for a case without images.
 *
 * The file keeps one frame of each patch; a still image's second frame is equal to it.
 */
export function goldenPixelValues(
  tensors: ReadonlyMap<string, GoldenTensor>,
  id: number,
): GoldenTensor {
  const frames = tensors.get(`case_${String(id).padStart(3, '0')}.pixel_frames`);
  if (frames === undefined) return { shape: [0, 1176], data: new Float32Array(0) };
  const data = new Float32Array(frames.data.length * 2);
  for (let plane = 0; plane * 196 < frames.data.length; plane++) {
    const frame = frames.data.subarray(plane * 196, (plane + 1) * 196);
    data.set(frame, plane * 392);
    data.set(frame, plane * 392 + 196);
  }
  return { shape: [frames.shape[0]!, 1176], data };
}
