import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { demoModelSize, writeDemoCheckpoint } from '../../src/demo/checkpoint.ts';
import { drawDigits, solution, writeRows, type DrawnDigit } from '../support/handwritten.ts';
import { callOf, quarterOf } from '../support/quarter-environment.ts';

/** Policies see a picture, or a quarter of it, at half the picture's side. */
const SCALE = 4;
const counts = { warm: 200, train: 2_400, validation: 512 };

/** Questions by the way in which a warm policy answers them: at once, or after a look at a quarter. */
export const prompts = {
  atOnce: '<image>Which digit is it? Think, then answer.',
  looking: '<image>Which digit is it? Look closer, then answer.',
};

/** Writes pictures, rows and a model of random weights. */
export async function writeDigitsData(folder: string): Promise<void> {
  const parts = await drawDigits(folder, counts, SCALE);
  for (const [asked, prompt] of Object.entries(prompts)) {
    for (const part of ['train', 'validation'] as const) {
      const rows = parts[part].map(({ digit, image }) => ({
        prompt,
        answer: String(digit),
        images: [image],
      }));
      await writeRows(join(folder, `${asked}-${part}.jsonl`), rows);
    }
  }
  const shown = parts.warm.map((drawn, row) => demonstrations(folder, drawn, row % 4));
  await writeRows(join(folder, 'warm.jsonl'), (await Promise.all(shown)).flat());
  await writeDemoCheckpoint(join(folder, 'model'), {
    seed: 1,
    size: { ...demoModelSize, bpeSize: 512 },
    texts: Array.from({ length: 10 }, (_, digit) =>
      [
        ...['system\nYou are a helpful assistant.', 'user', ...Object.values(prompts)],
        ...['assistant', solution(digit), callOf(digit % 4)],
      ].join('\n'),
    ),
  });
}

/** Conversations that answer at once, look at a quarter, and answer after that. */
async function demonstrations(folder: string, { digit, image }: DrawnDigit, part: number) {
  const quarter = image.replace('.png', `-${part}.png`);
  await writeFile(join(folder, quarter), await quarterOf(join(folder, image), part));
  const answer = { role: 'assistant', content: solution(digit) };
  const look = [
    { role: 'user', content: prompts.looking },
    { role: 'assistant', content: callOf(part) },
  ];
  return [
    { messages: [{ role: 'user', content: prompts.atOnce }, answer], images: [image] },
    { messages: look, images: [image] },
    { messages: [...look, { role: 'user', content: '<image>' }, answer], images: [image, quarter] },
  ];
}
