/** Bodies of requests, within bounds on one of them and on all that are in memory. */
import type { IncomingMessage } from 'node:http';
import { refusal } from './refusal.ts';

/** Bounds on bodies, in bytes. */
export interface BodyLimits {
  readonly mostBytes: number;
  /** Bound on all bodies of requests that are not answered yet. */
  readonly mostBytesTogether: number;
}

/** Reader of bodies. */
export class BodyReader {
  readonly #limits: BodyLimits;
  #held = 0;

  constructor(limits: BodyLimits) {
    this.#limits = limits;
  }

  /**
   * Reads a body as text and works on it. Its bytes count until the work is done, which holds the text.
   *
   * @throws DATA_INVALID, a refusal with status 400, 413, 415 or, where others fill the memory, 429
   */
  async with<T>(request: IncomingMessage, work: (text: string) => Promise<T>): Promise<T> {
    // A page of another site can send JSON only after it has asked, which is refused.
    if (!/^application\/json\b/i.test(request.headers['content-type'] ?? '')) {
      throw refusal(415, 'expected the content type application/json');
    }
    this.#check(Number(request.headers['content-length'] ?? 0));
    let size = 0;
    try {
      const chunks: Buffer[] = [];
      for await (const chunk of request as AsyncIterable<Buffer>) {
        size += chunk.length;
        this.#held += chunk.length;
        chunks.push(chunk);
        this.#check(size);
      }
      return await work(Buffer.concat(chunks.splice(0)).toString());
    } finally {
      this.#held -= size;
    }
  }

  #check(size: number): void {
    const { mostBytes, mostBytesTogether } = this.#limits;
    if (size > mostBytes) throw refusal(413, `the body has more than ${mostBytes} bytes`);
    if (this.#held > mostBytesTogether) throw busy('the bodies of other requests fill the memory');
  }
}

/** Refusal of a request that may be sent again later. */
export function busy(message: string): Error {
  const headers = { 'retry-after': '1' };
  return refusal(429, message, { reason: 'rate_limit_exceeded', headers });
}
