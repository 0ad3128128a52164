/**
 * Thinking with images: a policy that may look closer. One quarter of a picture has stripes too fine for the size at
 * which the policy sees it; it asks for a quarter, sees that at full size, and says which way they run. A warm start shows
 * the words of a call, to a quarter drawn at random, and answers to stripes that are seen. Reinforcement learning rewards
 * the right answer, which takes a look at the right quarter. Run it: `npx node look-closer.ts FOLDER`, in this repository
 * `npx node --conditions=cxmind-source examples/look-closer.ts FOLDER`.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { configFrom, createLogger, keyOf, Rng, writeDemo } from 'cxmind';
import type { Environment, RewardInput, RewardParts } from 'cxmind';
import { silentReporter, trainPolicy, trainSupervised, type Reporter } from 'cxmind/actors';

const SIDE = 112;
const ASK = '<image>Which way?';
const callOf = (part: number): string =>
  `<tool_call>{"name": "look", "arguments": {"part": ${part}}}</tool_call>`;

/** A quarter of a picture, by its number in reading order. */
const quarter = (image: string | Uint8Array, part: number): Promise<Buffer> => {
  const half = SIDE / 2;
  const [left, top] = [half * (part % 2), half * Math.floor(part / 2)];
  return sharp(image).extract({ left, top, width: half, height: half }).png().toBuffer();
};

/** The environment of an episode: a call shows its quarter, and a turn without one is the answer. */
export function looking(): Environment {
  let image: string | Uint8Array;
  return {
    reset: ({ images }) => void (image = images[0]!),
    step: async (messages) => {
      const turn = messages.at(-1)!;
      const part = 'toolCalls' in turn ? Number(turn.toolCalls[0]?.arguments['part']) : NaN;
      if (![0, 1, 2, 3].includes(part)) return { messages: [], done: true };
      const shown = { type: 'image', image: await quarter(image, part) } as const;
      return { messages: [{ role: 'user', content: [shown] }], done: false };
    },
  };
}

/** One point for the right answer; `looked` is the share of responses that asked for a quarter. */
export function right(inputs: readonly RewardInput[]): RewardParts[] {
  return inputs.map(({ response, groundTruth }) => {
    const accuracy = Number(response.endsWith(`<answer>${groundTruth}</answer>`));
    return { overall: accuracy, accuracy, looked: Number(response.includes('</tool_call>')) };
  });
}

/** Draws a picture with stripes in one quarter; returns which one it is, and the answer. */
async function draw(file: string, rng: Rng) {
  const [part, isAcross] = [rng.nextBelow(4), rng.nextBelow(2) === 0];
  const data = Uint8Array.from({ length: SIDE * SIDE }, (_, i) => {
    const [x, y] = [i % SIDE, Math.floor(i / SIDE)];
    const isStriped = Math.floor((2 * x) / SIDE) + 2 * Math.floor((2 * y) / SIDE) === part;
    return isStriped ? 255 * ((isAcross ? y : x) % 2) : 30 + rng.nextBelow(20);
  });
  await sharp(data, { raw: { width: SIDE, height: SIDE, channels: 1 } })
    .png()
    .toFile(file);
  return { part, answer: isAcross ? 'A' : 'B' };
}

/** Writes rows to train on, and conversations for the warm start: a call to learn, and an answer to a quarter seen. */
async function writeRows(folder: string, rows: number): Promise<void> {
  const rng = new Rng(keyOf('look closer'));
  const [questions, conversations]: [string[], string[]] = [[], []];
  await mkdir(join(folder, 'pictures'));
  for (let row = 0; row < rows; row++) {
    const [image, seen] = ['', '-seen'].map((end) => join(folder, 'pictures', `${row}${end}.png`));
    const { part, answer } = await draw(image!, rng);
    await writeFile(seen!, await quarter(image!, part));
    questions.push(JSON.stringify({ prompt: ASK, answer, images: [image] }));
    const asked = { role: 'user', content: ASK };
    const callTo = (which: number) => [asked, { role: 'assistant', content: callOf(which) }];
    const call = callTo(rng.nextBelow(4));
    const says = { role: 'assistant', content: `<answer>${answer}</answer>` };
    const whole = [...callTo(part), { role: 'user', content: '<image>' }, says];
    conversations.push(JSON.stringify({ messages: call, images: [image] }));
    conversations.push(JSON.stringify({ messages: whole, images: [image, seen] }));
  }
  await writeFile(join(folder, 'questions.jsonl'), questions.join('\n'));
  await writeFile(join(folder, 'conversations.jsonl'), conversations.join('\n'));
}

/** Warms a model up, trains it, and tells of every step. @returns the last step's reward */
export async function learn(
  folder: string,
  { rows = 256, warmUp = 400, steps = 80, prompts = 16, n = 8 } = {},
  tell: (line: string) => void = console.log,
): Promise<number> {
  const counts = { closedTrain: 7, closedValidation: 1, openTrain: 1, openValidation: 1 };
  const { model } = await writeDemo(join(folder, 'demo'), { seed: 1, rows: counts });
  await writeRows(folder, rows);
  const self = fileURLToPath(import.meta.url);
  const questions = join(folder, 'questions.jsonl');
  const items = (path: string): string[] => [
    `data={train_files: ${questions}, val_files: ${questions}, max_prompt_length: 128}`,
    `data={max_response_length: 96, min_pixels: 3136, max_pixels: 3136, rollout_batch_size: ${prompts}}`,
    `sft={train_files: ${join(folder, 'conversations.jsonl')}, max_steps: ${warmUp}, batch_size: 16}`,
    'sft={lr: 1e-3, lr_warmup_steps: 5}',
    `worker.actor.model.model_path=${path}`,
    `worker.actor={global_batch_size: ${prompts}, optim: {lr: 4e-4, weight_decay: 0}}`,
    `worker.actor={micro_batch_size_per_device_for_update: ${n}}`,
    `worker.actor={micro_batch_size_per_device_for_experience: ${n}}`,
    `worker.rollout={n: ${n}, multi_turn: {enable: true, environment: '${self}:looking'}}`,
    'worker.rollout.multi_turn={max_assistant_turns: 3, num_workers: 2}',
    `worker.reward.reward_function=${self}:right`,
    'algorithm={use_kl_loss: true, kl_penalty: low_var_kl, kl_coef: 0.05}',
    `trainer={save_checkpoint_path: '${join(folder, 'run')}', max_steps: ${steps}, device: cpu}`,
    'trainer={logger: [console, file], val_before_train: false, val_freq: -1, save_freq: -1}',
  ];
  let reward = NaN;
  const reporter: Reporter = {
    ...silentReporter,
    supervisedStep: ({ step, loss }) => tell(`warm start ${step}: loss ${loss.toFixed(3)}`),
    step: (line) => {
      reward = line.reward;
      tell(`step ${line.step}: reward ${line.reward.toFixed(3)}`);
    },
  };
  await using log = createLogger({ level: 'error' });
  const options = { reporter, logger: log.logger, signal: new AbortController().signal };
  const sft = await configFrom(items(model), { purpose: 'sft' });
  const { checkpoint } = await trainSupervised(sft.config, options);
  const run = await configFrom(items(checkpoint), { purpose: 'train' });
  await trainPolicy(run.config, options);
  return reward;
}

if (import.meta.main) {
  const [folder = 'looking', given = '{}'] = process.argv.slice(2);
  await learn(folder, JSON.parse(given) as object);
}
