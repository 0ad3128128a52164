import { MADV_DONTNEED, openLibC, type LibC } from '../libc.ts';
import { addressOf } from '../native.ts';

/** Of a huge page, on the machines that have them by default. */
const HUGE_PAGE_BYTES = 2n << 20n;
/** Of the largest page that memory is managed by where it is not huge. */
const PAGE_BYTES = 64n << 10n;
/** Blocks too small to hold a few whole huge pages are left alone. */
const SMALLEST_BYTES = 4 << 20;
/** Advice for huge pages. */
const MADV_HUGEPAGE = 14;
/** The C library's numbers of settings, for `mallopt`. */
const M_TRIM_THRESHOLD = -1;
const M_MMAP_THRESHOLD = -3;

/** What Linux is told of large blocks of memory; elsewhere nothing happens. */
export class PageAdvice {
  #libc: LibC | null | undefined;

  /**
   * Asks for huge pages. Call before anything is written to the block: pages that exist already stay as they are.
   *
   * A step of decoding, or of training, reads tens of megabytes of weights, caches and activations, many
   * more pages of 4 KiB than a core can keep the addresses of. Advice only: where the kernel does not give
   * such pages, nothing changes. (Measured on a virtual machine: decoding at batch 32 takes 9 % less time.)
   */
  wantHuge(block: SharedArrayBuffer): void {
    this.#tell(block, HUGE_PAGE_BYTES, MADV_HUGEPAGE);
  }

  /** Gives a block's pages back now, though it may be referred to: whoever reads it finds zeros, or what was there. */
  discard(block: SharedArrayBuffer): void {
    this.#tell(block, PAGE_BYTES, MADV_DONTNEED);
  }

  /** Says something of the whole pages of a block. */
  #tell(block: SharedArrayBuffer, pageBytes: bigint, advice: number): void {
    if (block.byteLength < SMALLEST_BYTES) return;
    this.#libc ??= process.platform === 'linux' ? openGenerousLibC() : null;
    if (this.#libc === null) return;
    const start = addressOf(block);
    const first = ((start + pageBytes - 1n) / pageBytes) * pageBytes;
    const last = ((start + BigInt(block.byteLength)) / pageBytes) * pageBytes;
    if (last > first) this.#libc.madvise(first, Number(last - first), advice);
  }
}

/**
 * The C library, once it gives blocks as large as those of advice back to the system when they are freed.
 *
 * Left alone, it does so only until the first are freed, and from then on keeps what is smaller than those were, up
 * to 32 MiB a block, for every thread apart: pages that are neither zeroed nor huge when they are used again, nor
 * anybody else's in between. (Measured: 158 MiB after a run of two steps of the quickstart.)
 */
function openGenerousLibC(): LibC {
  const libc = openLibC();
  libc.mallopt(M_MMAP_THRESHOLD, SMALLEST_BYTES);
  // the library's own ratio, which the call above would leave at 128 KiB
  libc.mallopt(M_TRIM_THRESHOLD, 2 * SMALLEST_BYTES);
  return libc;
}
