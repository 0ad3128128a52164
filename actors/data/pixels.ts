import * as t from 'io-ts';
import {
  LocalPixels,
  type PixelReader,
  type PixelSettings,
  type ProcessedVideo,
  type VideoOrFrames,
} from '../../src/data/pixels.ts';
import type { ImageSource } from '../../src/vision/decode.ts';
import { ReusedMemory } from '../../src/vision/reused-memory.ts';
import type { ProcessedPixels } from '../../src/vision/processor.ts';
import { PatchLevels, whole } from '../messages.ts';
import { actorFactory, type Actor } from '../runtime/actor.ts';
import { askAny } from '../runtime/pool.ts';
import { call, protocol } from '../runtime/protocol.ts';
import type { ActorRef } from '../runtime/ref.ts';

const bytes = new t.Type<Uint8Array>(
  'bytes',
  (value): value is Uint8Array => value instanceof Uint8Array,
  (value, context) => (value instanceof Uint8Array ? t.success(value) : t.failure(value, context)),
  t.identity,
);
const Source = t.union([t.string, bytes]);
const VideoSource = t.union([Source, t.readonlyArray(Source)]);
const Pixels = t.type({
  pixelValues: PatchLevels,
  grid: t.readonly(t.tuple([whole, whole, whole])),
});
const Video = t.intersection([Pixels, t.type({ secondsPerGrid: t.number })]);

/** What a reader of pixels can be asked. */
export const pixelProtocol = protocol('pixels', {
  image: call(Source, Pixels),
  video: call(VideoSource, Video),
});

/** Decodes, resizes and cuts images and videos on a thread of its own. */
export const pixelActor = actorFactory(
  pixelProtocol,
  (settings: PixelSettings): Actor<typeof pixelProtocol> => {
    // One message at a time: its reply is encoded, levels copied, before the next is read.
    const pixels = new LocalPixels(settings, new ReusedMemory());
    return {
      image: (source) => pixels.image(source),
      video: (source) => pixels.video(source),
    };
  },
);

/** Long enough for any video; a lost reader is noticed at once, without it. */
const TIMEOUT_MS = 3600_000;
/** What ended one reader is tried on another, and not on all of them. */
const RETRIES = 1;

/** Has pixels read by whichever of several actors has the least to do. */
export class PixelPool implements PixelReader {
  readonly #actors: readonly ActorRef<typeof pixelProtocol>[];

  /** @param actors at least one */
  constructor(actors: readonly ActorRef<typeof pixelProtocol>[]) {
    this.#actors = actors;
  }

  image(source: ImageSource): Promise<ProcessedPixels> {
    return askAny(this.#actors, 'image', source, { timeoutMs: TIMEOUT_MS, retries: RETRIES });
  }

  video(source: VideoOrFrames): Promise<ProcessedVideo> {
    return askAny(this.#actors, 'video', source, { timeoutMs: TIMEOUT_MS, retries: RETRIES });
  }
}
