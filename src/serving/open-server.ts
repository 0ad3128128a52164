/** Opening a chat server: an engine in this thread, and the HTTP API in another. */
import type { ChatSettings } from '../data/sample-options.ts';
import type { Device } from '../device/device.ts';
import { GenerationEngine } from '../generation/engine.ts';
import { Grammars } from '../generation/grammar/grammars.ts';
import { pictureTokens, type ModelConfig } from '../model/model-config.ts';
import type { AnyArena } from '../model/weights/device-arena.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import type { ApiSettings } from './api-messages.ts';
import { ApiThread } from './api-thread.ts';

/** Most prompt tokens of a prefill pass. */
const MAX_PREFILL_TOKENS = 8192;
/** Bodies in memory together, in largest bodies. */
const BODIES_TOGETHER = 8;

/** A model that is to be served. */
export interface ServedModel {
  readonly config: ModelConfig;
  readonly device: Device;
  readonly arena: AnyArena;
  readonly chat: ChatSettings;
  /** The tokenizer that `chat` names. */
  readonly tokenizer: Tokenizer;
}

/** Settings of a server; the names are those of its flags. */
export interface ServerSettings extends Pick<
  ApiSettings,
  'servedModelName' | 'apiKey' | 'maxModelLen' | 'allowedLocalMediaPath'
> {
  /** Most responses decoded together; undefined takes as many as suit the device. */
  readonly maxNumSeqs: number | undefined;
  /** Most requests that wait while others are answered. */
  readonly maxQueue: number;
  readonly maxRequestBytes: number;
  /** Receives errors of the server itself, not of requests. */
  readonly onError: (error: unknown) => void;
}

/** A server over an engine. Disposing takes no more requests, answers those that are open, and closes both. */
export interface OpenedServer extends AsyncDisposable {
  /** Begins to listen. @returns the address, `http://127.0.0.1:8000` */
  listen(host: string, port: number): Promise<string>;
}

/**
 * Opens an engine and the server over it, which does not listen yet.
 *
 * @throws DEVICE_OUT_OF_MEMORY where the cache has no room for one conversation
 */
export async function openServer(
  { config, device, arena, chat, tokenizer }: ServedModel,
  settings: ServerSettings,
): Promise<OpenedServer> {
  await using opened = new AsyncDisposableStack();
  const { servedModelName, apiKey, maxModelLen, maxNumSeqs, allowedLocalMediaPath } = settings;
  const { maxQueue, maxRequestBytes, onError } = settings;
  const engine = opened.use(
    new GenerationEngine(device, config, arena, {
      maxPrefillTokens: MAX_PREFILL_TOKENS,
      bannedTokens: pictureTokens(config),
      isVisionFixed: true,
      ...(maxNumSeqs !== undefined && { maxSequences: maxNumSeqs }),
    }),
  );
  const session = opened.use(engine.open(maxModelLen));
  await session.ready;
  const api = await ApiThread.start(
    {
      ...{ chat, servedModelName, apiKey, maxModelLen, allowedLocalMediaPath },
      mostOpen: engine.maxSequences + maxQueue,
      mostBytes: maxRequestBytes,
      mostBytesTogether: BODIES_TOGETHER * maxRequestBytes,
    },
    { session, grammars: new Grammars(tokenizer), onError },
  );
  opened.use(api);
  const owned = opened.move();
  return {
    listen: (host, port) => api.listen(host, port),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
