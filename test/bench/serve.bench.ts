import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { openModel } from '../../src/cli/open-model.ts';
import { demoModelSize } from '../../src/demo/checkpoint.ts';
import type { DemoModelSize } from '../../src/demo/families.ts';
import { writeDemo } from '../../src/demo/write.ts';
import { GenerationEngine } from '../../src/generation/engine.ts';
import { keyOf } from '../../src/rng.ts';
import { promptOf } from '../../src/serving/conversation.ts';
import { openServer } from '../../src/serving/open-server.ts';
import { compare, now, type Measured } from './harness.ts';
import type { ClientOrder, ClientResult } from './processes/chat-clients.ts';

const CLIENTS = 32;
const REQUESTS = 128;
const NEW_TOKENS = 128;
/** Models by name: the demo's, whose tokens cost less than any real one's, and one of 4 M parameters. */
const models: Readonly<Record<string, DemoModelSize>> = {
  demo: demoModelSize,
  '4M': {
    ...demoModelSize,
    ...{ hiddenSize: 256, layers: 4, heads: 8, kvHeads: 2, intermediateSize: 704 },
  },
};
const messages = [
  { role: 'user' as const, content: 'Which finding does the picture show?', name: null },
];
const body = {
  messages: messages.map(({ role, content }) => ({ role, content })),
  max_completion_tokens: NEW_TOKENS,
};

async function order(clients: ChildProcess, given: ClientOrder): Promise<Measured> {
  clients.send(given);
  const [{ tokens, seconds }] = (await once(clients, 'message')) as [ClientResult];
  return { tokensPerSecond: tokens / seconds };
}

/**
 * Tokens per second of a server with 32 clients, whole replies and streamed ones, against those of its engine for the
 * same requests in one call.
 */
export async function benchServe(): Promise<void> {
  for (const [name, size] of Object.entries(models)) await benchModel(name, size);
}

async function benchModel(name: string, modelSize: DemoModelSize): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'cxmind-serve-'));
  const clients = fork(join(import.meta.dirname, 'processes/chat-clients.ts'));
  try {
    const { model: directory } = await writeDemo(join(folder, 'demo'), { seed: 1, modelSize });
    // The API and the clients have a core of their own.
    const threads = Math.max(1, availableParallelism() - 1);
    using model = await openModel(directory, {
      device: 'cpu',
      threads,
      imageDir: undefined,
      warn: console.error,
    });
    const { checkpoint, device, arena, samples, settings: chat } = model;
    const { config } = checkpoint;
    const limits = { maxNumSeqs: CLIENTS, maxModelLen: 512 };
    await using server = await openServer(
      { config, device, arena, chat, tokenizer: samples.tokenizer },
      {
        ...limits,
        servedModelName: name,
        apiKey: null,
        maxQueue: CLIENTS,
        maxRequestBytes: 2 ** 20,
        allowedLocalMediaPath: null,
        onError: (error) => {
          throw error;
        },
      },
    );
    const url = `${await server.listen('127.0.0.1', 0)}/v1/chat/completions`;
    using engine = new GenerationEngine(device, config, arena, {
      maxSequences: CLIENTS,
      maxPrefillTokens: 8192,
      bannedTokens: config.tokens === null ? [] : [config.tokens.imagePad, config.tokens.videoPad],
    });
    const access = { allowedLocalMediaPath: null, sample: samples, mostTokens: limits.maxModelLen };
    const prompt = await promptOf(
      { messages, chatTemplateKwargs: null },
      access,
      new AbortController().signal,
    );
    const own = async (): Promise<Measured> => {
      const start = now();
      const answers = await engine.generate(
        Array.from({ length: REQUESTS }, (_, i) => ({
          prompt,
          sampling: { temperature: 1, topP: 1, topK: -1 },
          maxTokens: NEW_TOKENS,
          stopTokens: samples.tokenizer.eosIds,
          seeds: [keyOf('serve', i, 0)],
        })),
      );
      const tokens = answers.flat().reduce((sum, { tokenIds }) => sum + tokenIds.data.length, 0);
      return { tokensPerSecond: tokens / (now() - start) };
    };
    for (const stream of [false, true]) {
      const sent = {
        model: name,
        ...body,
        ...(stream && { stream, stream_options: { include_usage: true } }),
      };
      const given = { url, clients: CLIENTS, requests: REQUESTS, body: sent };
      const params = {
        model: name,
        clients: CLIENTS,
        newTokens: NEW_TOKENS,
        threads,
        stream: String(stream),
      };
      await compare({ name: 'serve', params, unit: 'tokens/s' }, () => order(clients, given), {
        name: 'engine',
        measure: own,
      });
    }
  } finally {
    clients.disconnect();
    rmSync(folder, { recursive: true });
  }
}
