import type { Look } from '../shared/barrier.ts';
import { waitOrLook } from '../shared/barrier.ts';
import { STREAM_BYTES, streamWords, type SharedRegion } from './shared-layout.ts';

/** Bytes in order from one rank to another, through a ring that holds `STREAM_BYTES` of them. */
export class SharedStream {
  readonly #region: SharedRegion;
  readonly #written: number;
  readonly #read: number;
  readonly #ring: Uint8Array;
  readonly #look: Look;

  /** @param look why waiting for the other rank is in vain */
  constructor(region: SharedRegion, from: number, to: number, look: Look) {
    const { layout, buffer } = region;
    this.#region = region;
    this.#written = layout.streamAt(from, to) + streamWords.written;
    this.#read = layout.streamAt(from, to) + streamWords.read;
    this.#ring = new Uint8Array(buffer, layout.ringAt(from, to), STREAM_BYTES);
    this.#look = look;
  }

  /** Resolves when all bytes are in the ring; one write at a time. */
  async write(bytes: Uint8Array): Promise<void> {
    const { words } = this.#region;
    for (let done = 0; done < bytes.length;) {
      const [written, read] = [words.load(this.#written), words.load(this.#read)];
      const free = STREAM_BYTES - ((written - read) >>> 0);
      if (free === 0) {
        await waitOrLook(words, this.#read, read, this.#look);
        continue;
      }
      const at = (written >>> 0) % STREAM_BYTES;
      const length = Math.min(free, STREAM_BYTES - at, bytes.length - done);
      this.#ring.set(bytes.subarray(done, done + length), at);
      words.add(this.#written, length);
      words.notify(this.#written);
      done += length;
    }
  }

  /** Resolves when `into` is full; one read at a time. */
  async read(into: Uint8Array): Promise<void> {
    const { words } = this.#region;
    for (let done = 0; done < into.length;) {
      const [written, read] = [words.load(this.#written), words.load(this.#read)];
      const ready = (written - read) >>> 0;
      if (ready === 0) {
        await waitOrLook(words, this.#written, written, this.#look);
        continue;
      }
      const at = (read >>> 0) % STREAM_BYTES;
      const length = Math.min(ready, STREAM_BYTES - at, into.length - done);
      into.set(this.#ring.subarray(at, at + length), done);
      words.add(this.#read, length);
      words.notify(this.#read);
      done += length;
    }
  }
}
