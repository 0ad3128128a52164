import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { numbersOf, trainedOf } from '../support/tiny-run.ts';

/** Results of a run, read from its files alone. */
export interface RunResult {
  /** Lines of metrics, without what a clock says. */
  readonly numbers: ReturnType<typeof numbersOf>;
  /** Prompts that each step trained on, with their numbers of responses. */
  readonly trained: ReturnType<typeof trainedOf>;
  readonly weights: string;
}

/** The newest step whose checkpoint is whole; 0 without one. */
export function savedStep(run: string): number {
  const file = join(run, 'checkpoint_tracker.json');
  if (!existsSync(file)) return 0;
  return (JSON.parse(readFileSync(file, 'utf8')) as { last_global_step: number }).last_global_step;
}

/** The last step that the metrics tell of; 0 for none. */
export function lastStep(run: string): number {
  const file = join(run, 'metrics.jsonl');
  if (!existsSync(file)) return 0;
  // a line without its end was never written
  return readFileSync(file, 'utf8').split('\n').length - 1;
}

export function resultOf(run: string, steps: number): RunResult {
  const weights = join(run, `global_step_${steps}/actor/huggingface/model.safetensors`);
  return {
    numbers: numbersOf(run),
    trained: trainedOf(run),
    weights: createHash('sha256').update(readFileSync(weights)).digest('hex'),
  };
}

/** Rows and steps that a run was to train on. */
export interface Expected {
  /** Rows of the training file, each of which has a turn in every epoch. */
  readonly prompts: number;
  readonly steps: number;
  readonly stepsPerEpoch: number;
  readonly responsesPerPrompt: number;
}

/** Every step once and in order, in every epoch every prompt once, every response of it once. */
export function assertTrainedOnce(
  { trained }: Pick<RunResult, 'trained'>,
  { prompts, steps, stepsPerEpoch, responsesPerPrompt }: Expected,
): void {
  assert.deepEqual(
    trained.map(({ step }) => step),
    Array.from({ length: steps }, (_, i) => i + 1),
    'steps trained',
  );
  for (let first = 0; first < steps; first += stepsPerEpoch) {
    const epoch = trained
      .slice(first, first + stepsPerEpoch)
      .flatMap(({ groups }) => Object.entries(groups));
    assert.equal(
      new Set(epoch.map(([id]) => id)).size,
      epoch.length,
      'a prompt had two turns in an epoch',
    );
    assert.equal(epoch.length, prompts, 'prompts trained on in an epoch');
    for (const [id, responses] of epoch)
      assert.equal(responses, responsesPerPrompt, `responses to ${id}`);
  }
}

/** The same run, to the last bit of its weights. */
export function assertSameRun(run: RunResult, undisturbed: RunResult): void {
  assert.deepEqual(run.trained, undisturbed.trained);
  assert.deepEqual(run.numbers, undisturbed.numbers);
  assert.equal(run.weights, undisturbed.weights, 'the weights differ');
}

/** Neither half of a checkpoint nor an invitation is left. */
export function assertTidy(run: string): void {
  const left = readdirSync(run).filter((name) => /^\.|partial|replaced|ticket/.test(name));
  assert.deepEqual(left, [], 'left in the folder of the run');
}
