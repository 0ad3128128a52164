// Run by `npm run test:gpu` on a machine with a CUDA card; no part of `npm test`.
import { openDevice } from '../../src/device/open.ts';
import { conformsToDevice } from '../conformance/device.ts';
import { computesFused } from '../conformance/fused.ts';
import { agreesWithTransformers } from '../conformance/model.ts';
import { computesOps } from '../conformance/ops.ts';

const open = () => openDevice({ device: 'cuda:0', threads: 4 });
conformsToDevice('cuda:0', open);
// Each trial has sizes of its own, and so kernels of its own, which take most of the time to compile.
computesOps('cuda:0', open, { numRuns: 1 });
computesFused('cuda:0', open);
agreesWithTransformers('cuda:0', open, {
  chosen: [0, 1, 2, 3, 4, 5, 6, 7],
  maxTokens: 24,
  atol: 1e-4,
});
