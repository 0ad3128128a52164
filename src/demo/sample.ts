/** Samples of the demo: a drawn picture, and a question that it answers. */
import { keyOf, Rng } from '../rng.ts';
import type { Picture } from '../vision/encode.ts';
import { drawChest } from './draw.ts';
import { findings, type FindingKind } from './findings.ts';
import { closedQuestion, openQuestion, type Question } from './questions.ts';

/** Parameters of a demo sample. Equal recipes give equal samples, different ones different pictures. */
export interface SampleRecipe {
  readonly seed: number;
  readonly split: 'train' | 'val';
  readonly task: 'closed' | 'open';
  /** Index in the split. Seven consecutive samples show each finding once. */
  readonly index: number;
  /** Width and height of the picture in pixels. */
  readonly size: number;
  /** Number of wrong options or candidates that the answer rejects. */
  readonly rejections: number;
}

/** Question about a picture. */
export interface DemoSample extends Question {
  readonly kinds: readonly FindingKind[];
  readonly picture: Picture;
}

const left = new Set<FindingKind>(['left_effusion', 'left_pneumothorax']);
const right = new Set<FindingKind>(['right_effusion', 'right_pneumothorax']);

/** Tells whether two findings stay visible in one picture: not two of one lung, nothing with normal or opacity. */
function areCompatible(a: FindingKind, b: FindingKind): boolean {
  const sameLung = (left.has(a) && left.has(b)) || (right.has(a) && right.has(b));
  return (
    a !== b && a !== 'normal' && b !== 'normal' && !sameLung && a !== 'opacity' && b !== 'opacity'
  );
}

/** Makes the sample of a recipe. An open one shows a second finding in half of the pictures that can. */
export function demoSample(recipe: SampleRecipe): DemoSample {
  const { seed, split, task, index, size, rejections } = recipe;
  const rng = new Rng(keyOf('demo', seed, split, task, index));
  const first = findings[index % findings.length]!.kind;
  const kinds = [first];
  if (task === 'open' && rng.nextBelow(2) === 0) {
    const seconds = findings.map(({ kind }) => kind).filter((kind) => areCompatible(first, kind));
    if (seconds.length > 0) kinds.push(seconds[rng.nextBelow(seconds.length)]!);
  }
  const picture = drawChest(kinds, size, rng);
  const question =
    task === 'closed'
      ? closedQuestion(first, rejections, rng)
      : openQuestion(kinds, rejections, rng);
  return { ...question, kinds, picture };
}
