// What `test/gpu/grpo.yaml` trains on, as TRL is measured: prompts of some 128 tokens with a picture of 112 x 140 pixels.
//
//   node test/gpu/grpo.ts runs/grpo
//   cxmind train config=test/gpu/grpo.yaml worker.actor.model.model_path=MODEL
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Rng } from '../../src/rng.ts';
import { encodePng } from '../../src/vision/encode.ts';

const [width, height] = [112, 140];
const words =
  'the left lung base is clear and heart size normal with no effusion or nodule seen'.split(' ');
const folder = process.argv[2] ?? 'runs/grpo';
const rng = new Rng([6, 1]);
await mkdir(join(folder, 'images'), { recursive: true });
const lines: string[] = [];
for (let i = 0; i < 64; i++) {
  const data = Uint8Array.from({ length: width * height * 3 }, () => rng.nextBelow(256));
  const image = `images/${i}.png`;
  await writeFile(join(folder, image), await encodePng({ width, height, data }));
  const history = Array.from({ length: 60 }, () => words[rng.nextBelow(words.length)]).join(' ');
  const prompt = `<image>History: ${history}. Is there a pleural effusion?`;
  lines.push(`${JSON.stringify({ prompt, answer: 'no', images: [image] })}\n`);
}
await writeFile(join(folder, 'train.jsonl'), lines.join(''));
