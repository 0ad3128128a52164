import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import type { Compressors } from 'hyparquet';
import { compressors as allCompressors } from 'hyparquet-compressors';
import { MAX_BUFFER_BYTES } from '../raw-row.ts';

/** Bound of a page; Node takes none of 0. */
const atMost = (bytes: number): { maxOutputLength: number } => ({
  maxOutputLength: Math.max(1, bytes),
});

/** Compressors that Node has too, many times as fast as in JavaScript. None gives more bytes than the file claims. */
const native: Compressors = {
  GZIP: (input, sizeBytes) => gunzipSync(input, atMost(sizeBytes)),
  BROTLI: (input, sizeBytes) => brotliDecompressSync(input, atMost(sizeBytes)),
  ZSTD: (input, sizeBytes) => zstdDecompressSync(input, atMost(sizeBytes)),
};

/** Compressors of Parquet pages. Each allocates the size that the file claims, which is bounded here. */
export const compressors: Compressors = Object.fromEntries(
  Object.entries({ ...allCompressors, ...native }).map(
    ([codec, decompress]): [string, typeof decompress] => [
      codec,
      (input, sizeBytes) => {
        if (sizeBytes > MAX_BUFFER_BYTES) throw new Error(`it claims a page of ${sizeBytes} bytes`);
        return decompress(input, sizeBytes);
      },
    ],
  ),
);
