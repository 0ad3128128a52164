import { openDevice } from '../../../src/device/open.ts';
import { computesOps } from '../../conformance/ops.ts';
import type { OpErrors } from '../../support/rounding-error.ts';
import { loadSoftwareGpu } from '../../support/software-gpu.ts';

/**
 * Errors that WGSL grants, in its section on the accuracy of floating point: 2^-11 to sines, a few units in the last
 * place to what is made of exponentials and logarithms. Error functions are a polynomial that is right to 5e-7.
 */
const errors: OpErrors = {
  sin: 2 ** -11,
  cos: 2 ** -11,
  exp: 2 ** -20,
  log: 2 ** -20,
  pow: 2 ** -20,
  sigmoid: 2 ** -20,
  silu: 2 ** -20,
  tanh: 2 ** -20,
  erf: 2 ** -20,
};

// One trial: SwiftShader compiles a shader for nearly every op and rank.
if (loadSoftwareGpu()) {
  const open = () => openDevice({ device: 'webgpu', threads: 1 });
  computesOps('webgpu', open, { numRuns: 1, errors });
}
