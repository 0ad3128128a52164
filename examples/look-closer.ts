/**
 * Thinking with images: a policy that looks closer before it answers. Each quarter of a picture has one of four patterns,
 * all of them too fine for the size at which the policy sees it: within two of 256 levels all look the same there, but for
 * their borders. The question names a quarter. The policy asks for one, sees that at full size, and says what it shows.
 *
 * A warm start has it imitate a clumsy demonstrator, who knows how to call and what each pattern is, but half the time looks
 * at a quarter at random. Reinforcement learning rewards nothing but the right answer, which takes a look at the right
 * quarter.
 *
 * Run it: `npx node look-closer.ts FOLDER`, in this repository
 * `npx node --conditions=cxmind-source examples/look-closer.ts FOLDER`.
 *
 * @see DeepEyes, arXiv:2505.14362, whose model crops and looks again; a large one learns that without a warm start
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { configFrom, createLogger, keyOf, Rng, writeDemo } from 'cxmind';
import type { Environment, RewardInput, RewardParts } from 'cxmind';
import { silentReporter, trainPolicy, trainSupervised, type Reporter } from 'cxmind/actors';

/** Side of a picture, pixels; the policy sees it, or a quarter of it, at half of that. */
const SIDE = 112;
const callOf = (part: number): string =>
  `<tool_call>{"name": "look", "arguments": {"part": ${part}}}</tool_call>`;

/** Patterns by the letter that answers, as pixels that are lit. Every square of 2 x 2 pixels is grey on average. */
const patterns: Readonly<Record<string, (x: number, y: number) => number>> = {
  A: (x) => x % 2,
  B: (_, y) => y % 2,
  C: (x, y) => (x + y) % 2,
  D: () => 0.5,
};

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

/** One point for the right answer. `looked` is the share of responses that asked for a quarter, `found` for the right one. */
export function right(inputs: readonly RewardInput[]): RewardParts[] {
  return inputs.map(({ response, groundTruth, columns }) => {
    const accuracy = Number(response.endsWith(`<answer>${groundTruth}</answer>`));
    const looked = Number(response.includes('</tool_call>'));
    const found = Number(response.startsWith(callOf(Number(columns['part']))));
    return { overall: accuracy, accuracy, looked, found };
  });
}

/** Draws a picture; returns the letters of its quarters. */
async function draw(file: string, rng: Rng): Promise<string[]> {
  const letters = [0, 1, 2, 3].map(() => Object.keys(patterns)[rng.nextBelow(4)]!);
  const data = Uint8Array.from({ length: SIDE * SIDE }, (_, i) => {
    const [x, y] = [i % SIDE, Math.floor(i / SIDE)];
    const part = Math.floor((2 * x) / SIDE) + 2 * Math.floor((2 * y) / SIDE);
    return 255 * patterns[letters[part]!]!(x, y);
  });
  const raw = { width: SIDE, height: SIDE, channels: 1 } as const;
  await sharp(data, { raw }).png().toFile(file);
  return letters;
}

/** Writes questions to train on, and the demonstrator's conversations: the call alone, and with the answer. */
async function writeRows(folder: string, rows: number, seed: number): Promise<void> {
  const rng = new Rng(keyOf('look closer', seed));
  const [questions, conversations]: [string[], string[]] = [[], []];
  await mkdir(join(folder, 'pictures'));
  for (let row = 0; row < rows; row++) {
    const [image, seen] = ['', '-seen'].map((end) => join(folder, 'pictures', `${row}${end}.png`));
    const letters = await draw(image!, rng);
    const part = rng.nextBelow(4);
    const prompt = `<image>Which is in part ${part}?`;
    questions.push(JSON.stringify({ prompt, answer: letters[part], part, images: [image] }));

    const looksAt = row % 2 === 0 ? part : rng.nextBelow(4);
    await writeFile(seen!, await quarter(image!, looksAt));
    const call = [
      { role: 'user', content: prompt },
      { role: 'assistant', content: callOf(looksAt) },
    ];
    const answer = [
      { role: 'user', content: '<image>' },
      { role: 'assistant', content: `<answer>${letters[looksAt]}</answer>` },
    ];
    conversations.push(JSON.stringify({ messages: call, images: [image] }));
    conversations.push(JSON.stringify({ messages: [...call, ...answer], images: [image, seen] }));
  }
  await writeFile(join(folder, 'questions.jsonl'), questions.join('\n'));
  await writeFile(join(folder, 'conversations.jsonl'), conversations.join('\n'));
}

/** Warms a model up, trains it, and tells of every step. @returns the last step's reward */
export async function learn(
  folder: string,
  { seed = 1, rows = 256, warmUp = 250, steps = 30, prompts = 16, n = 8, local = false } = {},
  tell: (line: string) => void = console.log,
): Promise<number> {
  const counts = { closedTrain: 7, closedValidation: 1, openTrain: 1, openValidation: 1 };
  const { model } = await writeDemo(join(folder, 'demo'), { seed, rows: counts });
  await writeRows(folder, rows, seed);
  const self = fileURLToPath(import.meta.url);
  const questions = join(folder, 'questions.jsonl');
  const items = (path: string): string[] => [
    `data={train_files: ${questions}, val_files: ${questions}, max_prompt_length: 128, seed: ${seed}}`,
    `data={max_response_length: 96, min_pixels: 3136, max_pixels: 3136, rollout_batch_size: ${prompts}}`,
    `sft={train_files: ${join(folder, 'conversations.jsonl')}, max_steps: ${warmUp}, batch_size: 16}`,
    'sft={lr: 1e-3, lr_warmup_steps: 5}',
    `worker.actor.model.model_path=${path}`,
    `worker.actor={global_batch_size: ${prompts}, optim: {lr: 2e-4, lr_warmup_steps: 5, weight_decay: 0}}`,
    `worker.actor={micro_batch_size_per_device_for_update: ${n}}`,
    `worker.actor={micro_batch_size_per_device_for_experience: ${n}}`,
    `worker.rollout={n: ${n}, multi_turn: {enable: true, environment: '${self}:looking'}}`,
    'worker.rollout.multi_turn={max_assistant_turns: 2, num_workers: 2}',
    `worker.reward.reward_function=${self}:right`,
    'algorithm={use_kl_loss: true, kl_penalty: low_var_kl, kl_coef: 0.02}',
    `trainer={save_checkpoint_path: '${join(folder, 'run')}', max_steps: ${steps}, seed: ${seed}, rollout_data_dir: rollouts}`,
    `trainer={device: cpu, threads: 1, local_mode: ${local}, logger: [console, file]}`,
    'trainer={val_before_train: false, val_freq: -1, save_freq: -1}',
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
