/**
 * Lines of files of samples, in their three forms.
 *
 * - `record`: a line of a run's own files of rollouts or validations, with verl's names `input`, `output`, `gts`, `score`
 *   and `step`, small fields first.
 * - `generation`: a line of `generations.jsonl`, an answer of a validation that loggers show.
 * - `prediction`: a line of `predictions.jsonl`, a row of the data set with the fields that `cxmind eval` adds.
 */
import { hash } from 'node:crypto';
import * as t from 'io-ts';
import { orNull } from '../../check/codec.ts';
import { answerText, Answer } from '../../data/row.ts';
import { FinishReason } from '../../finish-reason.ts';
import { objectOf } from './line-tail.ts';

/** A sample, read from a line of any form. */
export interface SampleRecord {
  /** Step of the run; 0 for an evaluation. */
  readonly step: number;
  readonly promptId: string;
  readonly sample: number;
  readonly score: number | null;
  /** Parts of the reward, `overall` not among them. */
  readonly parts: Readonly<Record<string, number | null>>;
  readonly tokens: number | null;
  readonly finishReason: FinishReason | null;
  readonly policyVersion: number | null;
  /** Paths of pictures, absolute or relative to the folder of the file. */
  readonly pictures: readonly string[];
  readonly prompt: string;
  readonly output: string;
  /** Turns of the response, of the policy and its environment in alternation; empty for a response of one turn. */
  readonly turns: readonly string[];
  readonly groundTruth: string;
}

/** Form of the lines of a file. */
export type LineForm = 'record' | 'generation' | 'prediction';

/** Part of a line that the index keeps. */
export type LineHead = Pick<SampleRecord, 'step' | 'promptId' | 'score'>;

const HEAD_BYTES = 1024;
const recordHead =
  /^\{"step":(\d+),"prompt_id":("(?:[^"\\]|\\.)*"),"sample":\d+,"score":([-+\d.e]+|null)[,}]/i;

const parts = t.record(t.string, orNull(t.number));
const Line = t.intersection([
  t.type({
    step: t.number,
    prompt_id: t.string,
    sample: t.number,
    score: orNull(t.number),
    tokens: t.number,
    finish_reason: FinishReason,
    policy_version: t.number,
    parts,
    images: t.array(t.string),
    input: t.string,
    output: t.string,
    gts: t.string,
  }),
  t.partial({ turns: t.array(t.string) }),
]);
/** A line of a run's own records. */
export interface SampleLine extends t.TypeOf<typeof Line> {}

const Generation = t.type({
  step: t.number,
  prompt: t.string,
  output: t.string,
  ground_truth: t.string,
  score: orNull(t.number),
});

const Prediction = t.intersection([
  t.type({
    predict: orNull(t.string),
    scores: t.type({ sample: t.number, tokens: t.number, right: t.number, reward: parts }),
  }),
  t.partial({
    prompt: t.string,
    answer: Answer,
    messages: t.array(t.type({ role: t.string, content: t.string })),
    images: orNull(t.array(t.unknown)),
  }),
]);

/** Reads a line; null for one that is not of the form, such as one that a crash cut off. */
export function recordOf(form: LineForm, text: Buffer): SampleRecord | null {
  const line = objectOf(text);
  if (form === 'record') return Line.is(line) ? ofRecord(line) : null;
  if (form === 'generation') return Generation.is(line) ? ofGeneration(line) : null;
  return Prediction.is(line) ? ofPrediction(line) : null;
}

/** Reads the part of a line that the index keeps. Of a run's own records only the beginning is read. */
export function headOf(form: LineForm, line: Buffer): LineHead | null {
  const text = form === 'record' ? line.toString('utf8', 0, HEAD_BYTES) : '';
  const [, step, promptId, score] = recordHead.exec(text) ?? [];
  if (step === undefined) return recordOf(form, line);
  return {
    step: Number(step),
    promptId: JSON.parse(promptId!) as string,
    score: score === 'null' ? null : Number(score),
  };
}

function ofRecord(line: SampleLine): SampleRecord {
  return {
    ...{ step: line.step, promptId: line.prompt_id },
    ...{ sample: line.sample, score: line.score, parts: line.parts, tokens: line.tokens },
    finishReason: line.finish_reason,
    policyVersion: line.policy_version,
    pictures: line.images,
    ...{ prompt: line.input, output: line.output, groundTruth: line.gts },
    turns: line.turns ?? [],
  };
}

const unrecorded = { finishReason: null, policyVersion: null, turns: [] } as const;

function ofGeneration(line: t.TypeOf<typeof Generation>): SampleRecord {
  const { step, prompt, output, ground_truth: groundTruth, score } = line;
  return {
    ...{ step, promptId: idOf(prompt), sample: 0, score, parts: {}, tokens: null },
    ...unrecorded,
    ...{ pictures: [], prompt, output, groundTruth },
  };
}

function ofPrediction(line: t.TypeOf<typeof Prediction>): SampleRecord {
  const { predict, scores, messages = [], images } = line;
  const turn = (role: string): string =>
    messages.findLast((one) => one.role === role)?.content ?? '';
  const prompt = line.prompt ?? turn('user');
  const { overall = scores.right, ...others } = scores.reward;
  return {
    step: 0,
    promptId: idOf(`${prompt}\n${JSON.stringify(images ?? [])}`),
    ...{ sample: scores.sample, score: overall, parts: others, tokens: scores.tokens },
    ...unrecorded,
    pictures: (images ?? []).filter((image) => typeof image === 'string'),
    prompt,
    output: predict ?? '',
    groundTruth: line.answer === undefined ? turn('assistant') : answerText(line.answer),
  };
}

/** An id for a prompt that has none, made from its text. */
function idOf(text: string): string {
  return hash('sha256', text).slice(0, 16);
}
