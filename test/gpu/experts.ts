import type { ExpertsConfig } from '../../src/model/model-config.ts';

/** The experts of a layer of Qwen3-30B-A3B. */
export const experts: ExpertsConfig = {
  isStacked: false,
  count: 128,
  perToken: 8,
  intermediateSize: 768,
  isRenormed: true,
  denseLayers: [],
};
