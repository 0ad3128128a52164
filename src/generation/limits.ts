/** Sizes of a decoder and of prefill passes, which follow from the device and from what a call asks for. */
import type { Device } from '../device/device.ts';
import type { EngineOptions } from './request.ts';

/** Multiple, in tokens, that the capacity of a cache is rounded up to, so that similar calls share one cache. */
const CAPACITY_STEP = 128;
/** Default number of sequences decoded together. Kernels read the weights once for all of them. */
const SEQUENCES = { withKernels: 256, without: 32 };
/** Most prompt tokens of a prefill pass in host memory. The activations of more do not fit in a core's caches. */
const HOST_PASS_TOKENS = 1024;

/** The size of a decoder that some work needs. */
export interface DecoderSize {
  readonly responses: number;
  /** Tokens of the longest sequence. */
  readonly capacity: number;
}

/** Most sequences decoded together. */
export function mostSequences(
  { hasKernels }: Device,
  { maxSequences }: Pick<EngineOptions, 'maxSequences'>,
): number {
  return maxSequences ?? SEQUENCES[hasKernels ? 'withKernels' : 'without'];
}

/** Slots and capacity of the decoder for some work. A device with kernels has a cache for no more than is asked for. */
export function decoderFor(
  device: Device,
  options: Pick<EngineOptions, 'maxSequences'>,
  { responses, capacity }: DecoderSize,
): { readonly slots: number; readonly capacity: number } {
  const most = mostSequences(device, options);
  return {
    slots: device.hasKernels ? Math.min(most, Math.max(1, responses)) : most,
    capacity: Math.ceil(capacity / CAPACITY_STEP) * CAPACITY_STEP,
  };
}

/** Most prompt tokens of one prefill pass. */
export function passTokensOn(
  { host }: Device,
  { maxPrefillTokens }: Pick<EngineOptions, 'maxPrefillTokens'>,
): number {
  return host === null ? maxPrefillTokens : Math.min(HOST_PASS_TOKENS, maxPrefillTokens);
}
