import * as t from 'io-ts';
import type { Device } from '../device/device.ts';
import { downloadFloats } from '../device/float-transfer.ts';
import { decodeField } from '../data/decode-row.ts';
import { rowError, type DatasetRow } from '../data/row.ts';
import { promptInputOf, type SampleBuilder } from '../data/sample.ts';
import { CxmindError } from '../errors.ts';
import type { Arena } from '../model/weights/arena.ts';
import type { LoadedCheckpoint } from '../model/checkpoint/checkpoint.ts';
import { DeviceArena, type AnyArena } from '../model/weights/device-arena.ts';
import { packSequences, type SequenceInput } from '../model/pack.ts';
import { Policy } from '../model/policy.ts';
import { tensorOf } from '../tensor/tensor.ts';
import { sequenceLength, splitBy } from './experience.ts';

/** Tokens of a row's answer and their log-probabilities, `[T]` each, the end-of-turn token last. */
interface AnswerLogProbs {
  readonly tokenIds: Int32Array;
  readonly logProbs: Float32Array;
}

/** Scores in the order of the rows, and the gradients if requested. */
export interface AnswerScores {
  readonly scores: readonly AnswerLogProbs[];
  /** Gradient of Σ weight · log-probability over all rows, by every parameter. */
  readonly gradients: Arena | null;
}

/** Most tokens of one pass; a longer row runs alone. */
const PASS_TOKENS = 4096;

const Weights = t.array(t.number, 'a list of numbers');

/** A row's answer with the weight of each of its tokens in the gradient. */
interface WeightedAnswer {
  readonly sequence: SequenceInput;
  readonly weights: readonly number[];
}

/**
 * Log-probabilities, at temperature 1, of the answers of dataset rows.
 *
 * A row's `weights` weigh its gradient: one for each token of its answer and one for the end of turn. A row without
 * them has ones.
 *
 * @param onProgress called with the number of rows so far after each pass
 * @throws DATA_INVALID naming file, line and field; NUMERIC_NONFINITE naming the row
 */
export async function scoreAnswers(
  model: {
    readonly checkpoint: LoadedCheckpoint;
    readonly device: Device;
    readonly arena: AnyArena;
    readonly builder: SampleBuilder;
  },
  rows: readonly DatasetRow[],
  withGradients: boolean,
  onProgress: (rows: number) => void = () => undefined,
): Promise<AnswerScores> {
  const { device, checkpoint, arena } = model;
  const { config } = checkpoint;
  using policy = new Policy(device, config, arena, { gradientCheckpointing: true });
  using added = device.allocate('f32', [withGradients ? arena.layout.length : 0]);
  const gradients = withGradients ? new DeviceArena(arena.layout, added) : null;
  const scores: AnswerLogProbs[] = [];

  const run = async (pass: readonly WeightedAnswer[]): Promise<void> => {
    const responses = pass.map(({ sequence }) => sequence.response.data);
    const lengths = responses.map(({ length }) => length);
    const parts = splitBy(await passLogProbs(policy, pass, gradients), lengths);
    for (const [i, tokenIds] of responses.entries()) {
      scores.push({ tokenIds, logProbs: checked(parts[i]!, rows[scores.length]!) });
    }
    onProgress(scores.length);
  };
  let pass: WeightedAnswer[] = [];
  let tokens = 0;
  for (const row of rows) {
    const answer = await answerOf(row, model.builder);
    const length = sequenceLength(answer.sequence);
    if (pass.length > 0 && tokens + length > PASS_TOKENS) {
      await run(pass);
      [pass, tokens] = [[], 0];
    }
    pass.push(answer);
    tokens += length;
  }
  if (pass.length > 0) await run(pass);
  if (gradients === null) return { scores, gradients };
  const total = checkpoint.arena.twin();
  await downloadFloats(device, added, total.flat);
  return { scores, gradients: total };
}

/** Log-probabilities of a pass's answers; adds their weighted gradient to `gradients`. */
async function passLogProbs(
  policy: Policy,
  pass: readonly WeightedAnswer[],
  gradients: DeviceArena<'f32'> | null,
): Promise<Float32Array> {
  const batch = packSequences(pass.map(({ sequence }) => sequence));
  if (gradients === null) return policy.logProbs(batch, 1);
  const weights = Float32Array.from(pass.flatMap((answer) => answer.weights));
  const logProbs = new Float32Array(weights.length);
  const keep = (values: Float32Array): Float32Array => {
    logProbs.set(values);
    return weights;
  };
  await policy.accumulateGradients(batch, 1, keep, gradients);
  return logProbs;
}

async function answerOf(row: DatasetRow, builder: SampleBuilder): Promise<WeightedAnswer> {
  const prompt = promptInputOf(await builder.build(row));
  const response = builder.encodeAnswer(row);
  const weights =
    'weights' in row.fields
      ? decodeField(Weights, row.fields, 'weights', row)
      : new Array<number>(response.length).fill(1);
  if (weights.length !== response.length) {
    throw rowError(
      row,
      'weights',
      `expected ${response.length}, one for each token of the answer and the end of turn, ` +
        `got ${weights.length}`,
    );
  }
  return {
    sequence: { prompt, response: tensorOf('i32', [response.length], response) },
    weights,
  };
}

function checked(logProbs: Float32Array, { file, line }: DatasetRow): Float32Array {
  const wrong = logProbs.findIndex((value) => !Number.isFinite(value));
  if (wrong < 0) return logProbs;
  throw new CxmindError(
    'NUMERIC_NONFINITE',
    `${file}:${line}: the log-probability of answer token ${wrong} is ${String(logProbs[wrong])}`,
    { detail: { file, line, token: wrong } },
  );
}
