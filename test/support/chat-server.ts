import OpenAI from 'openai';
import type { ChatSettings } from '../../src/data/sample-options.ts';
import { openDevice } from '../../src/device/open.ts';
import { loadCheckpoint } from '../../src/model/checkpoint/checkpoint.ts';
import { openServer, type ServerSettings } from '../../src/serving/open-server.ts';
import { Tokenizer } from '../../src/text/tokenizer.ts';
import { goldenPath } from './golden.ts';

/** A server of the golden model with vision, and the official client of the API. */
export interface ServedGolden extends AsyncDisposable {
  readonly address: string;
  readonly client: OpenAI;
  /** Errors that were the server's own. */
  readonly errors: unknown[];
}

/** Serves the golden model with vision. */
export async function serveGolden(
  settings: Partial<ServerSettings> = {},
  applyChatTemplateKwargs: Readonly<Record<string, unknown>> = {},
): Promise<ServedGolden> {
  await using opened = new AsyncDisposableStack();
  const directory = goldenPath('micro-vl');
  const { config, arena } = await loadCheckpoint(directory);
  const device = opened.use(openDevice({ threads: 1 }));
  const chat: ChatSettings = {
    model: config,
    tokenizerPath: directory,
    overrideChatTemplate: null,
    applyChatTemplateKwargs,
    minPixels: null,
    maxPixels: null,
    videoFps: 2,
  };
  const errors: unknown[] = [];
  const server = await openServer(
    { config, device, arena, chat, tokenizer: Tokenizer.load(directory) },
    {
      servedModelName: 'micro/vl',
      apiKey: null,
      maxModelLen: 512,
      maxNumSeqs: 4,
      maxQueue: 8,
      maxRequestBytes: 2 ** 20,
      allowedLocalMediaPath: null,
      onError: (error) => errors.push(error),
      ...settings,
    },
  );
  opened.use(server);
  const address = await server.listen('127.0.0.1', 0);
  const client = new OpenAI({
    baseURL: `${address}/v1`,
    apiKey: settings.apiKey ?? 'none',
    maxRetries: 0,
  });
  const owned = opened.move();
  return { address, client, errors, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
