/** Readers of pixels, which decode and resize beside the data actor: their messages, their actor, and a pool of them. */
import * as t from 'io-ts';
import { bytes, whole } from '../../src/check/scalars.ts';
import { LocalPixels, type PixelReader, type PixelSettings } from '../../src/data/pixel-reader.ts';
import { ReusedMemory } from '../../src/vision/reused-memory.ts';
import { BitDepth, WideSamples } from '../../src/vision/sample-depth.ts';
import { PatchLevels } from '../messages.ts';
import { actorFactory, type Actor } from '../runtime/actor.ts';
import { askAny } from '../runtime/pool.ts';
import { call, protocol } from '../runtime/protocol.ts';
import type { ActorRef } from '../runtime/ref.ts';

const Source = t.union([t.string, bytes]);
const VideoSource = t.union([Source, t.readonlyArray(Source)]);
const Pixels = t.type({
  wide: t.union([WideSamples, t.null]),
  pixelValues: PatchLevels,
  grid: t.readonly(t.tuple([whole, whole, whole])),
});
const Video = t.intersection([
  Pixels,
  t.type({ secondsPerGrid: t.number, times: t.readonlyArray(t.number) }),
]);

const Depth = t.union([BitDepth, t.undefined]);

/** Calls of a reader of pixels. */
export const pixelProtocol = protocol('pixels', {
  image: call(t.type({ source: Source, bitDepth: Depth }), Pixels),
  video: call(t.type({ source: VideoSource, bitDepth: Depth }), Video),
});

/** Makes a reader of pixels on its thread: it decodes, resizes and cuts images and videos. */
export const pixelActor = actorFactory(
  pixelProtocol,
  (settings: PixelSettings): Actor<typeof pixelProtocol> => {
    // The memory can be reused: a reply is encoded, its levels copied, before the next message is read.
    const pixels = new LocalPixels(settings, new ReusedMemory());
    return {
      image: ({ source, bitDepth }) => pixels.image(source, bitDepth),
      video: ({ source, bitDepth }) => pixels.video(source, bitDepth),
    };
  },
);

const ASKING = {
  /** Long enough for any video. The runtime notices a lost reader at once, without it. */
  timeoutMs: 3600_000,
  /** One retry: a picture that ends two readers would end all of them. */
  retries: 1,
} as const;

/** Readers of pixels as one: each call goes to the least busy. @param actors at least one */
export function pixelPool(actors: readonly ActorRef<typeof pixelProtocol>[]): PixelReader {
  return {
    image: (source, bitDepth) => askAny(actors, 'image', { source, bitDepth }, ASKING),
    video: (source, bitDepth) => askAny(actors, 'video', { source, bitDepth }, ASKING),
  };
}
