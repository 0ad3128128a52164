import type { DecoderGraphs } from '../architecture.ts';
import { decodeStepGraph } from './decode-step.ts';
import { decodeAttendGraph, decodeProjectGraph } from './decode.ts';
import { decoderLayerGraph, prefillLayerGraph } from './layer.ts';
import { pagedStepGraph } from './paged-step.ts';

/** The graphs of the decoder that the families share; what differs between them is in the model's config. */
export const decoderGraphs: DecoderGraphs = {
  layer: decoderLayerGraph,
  prefillLayer: prefillLayerGraph,
  decodeStep: decodeStepGraph,
  pagedStep: pagedStepGraph,
  decodeProject: decodeProjectGraph,
  decodeAttend: decodeAttendGraph,
};
