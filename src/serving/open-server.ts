import { GenerationEngine } from '../generation/engine.ts';
import type { Device } from '../device/device.ts';
import type { SampleOptions } from '../data/sample.ts';
import type { ModelConfig } from '../model/model-config.ts';
import type { AnyArena } from '../model/weights/device-arena.ts';
import { Grammars } from './grammars.ts';
import { ChatServer } from './server.ts';

/** Most prompt tokens of a prefill pass. */
const MAX_PREFILL_TOKENS = 8192;
/** Bodies in memory together, in largest bodies. */
const BODIES_TOGETHER = 8;

/** A model that is to be served. */
export interface ServedModel {
  readonly config: ModelConfig;
  readonly device: Device;
  readonly arena: AnyArena;
  readonly samples: SampleOptions;
}

/** Settings of a server; the names are those of its flags. */
export interface ServerSettings {
  /** Name of the model in requests. */
  readonly servedModelName: string;
  /** Key that requests must bring; null takes all. */
  readonly apiKey: string | null;
  /** Most tokens of a conversation with its response. */
  readonly maxModelLen: number;
  /** Most responses decoded together; undefined takes as many as suit the device. */
  readonly maxNumSeqs: number | undefined;
  /** Requests that may wait behind them. */
  readonly maxQueue: number;
  readonly maxRequestBytes: number;
  /** Folder of pictures that requests may name; null for none. */
  readonly allowedLocalMediaPath: string | null;
  /** Hears of errors that are the server's own. */
  readonly onError: (error: unknown) => void;
}

/**
 * Opens an engine and the server over it, which does not listen yet. Disposing drains both.
 *
 * @throws DEVICE_OUT_OF_MEMORY where the cache has no room for one conversation
 */
export async function openServer(
  { config, device, arena, samples }: ServedModel,
  settings: ServerSettings,
): Promise<ChatServer> {
  await using opened = new AsyncDisposableStack();
  const { maxNumSeqs, maxModelLen, maxRequestBytes } = settings;
  const { tokens } = config;
  const engine = opened.use(
    new GenerationEngine(device, config, arena, {
      maxPrefillTokens: MAX_PREFILL_TOKENS,
      bannedTokens: tokens === null ? [] : [tokens.imagePad, tokens.videoPad],
      isVisionFixed: true,
      ...(maxNumSeqs !== undefined && { maxSequences: maxNumSeqs }),
    }),
  );
  const session = opened.use(engine.open(maxModelLen));
  await session.ready;
  const tokenBytes = samples.tokenizer.tokenBytes();
  const server = new ChatServer({
    ...settings,
    session,
    tokenizer: samples.tokenizer,
    tokenBytes,
    stopTokens: samples.tokenizer.eosIds,
    grammars: new Grammars(tokenBytes, samples.tokenizer.eosIds),
    sample: samples,
    mostTokens: maxModelLen - 1,
    mostOpen: engine.maxSequences + settings.maxQueue,
    mostBytes: maxRequestBytes,
    mostBytesTogether: BODIES_TOGETHER * maxRequestBytes,
    owned: opened.move(),
  });
  return server;
}
