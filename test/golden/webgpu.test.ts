import { openDevice } from '../../src/device/open.ts';
import { agreesWithTransformers } from '../conformance/model.ts';
import { loadSoftwareGpu } from '../support/software-gpu.ts';

if (loadSoftwareGpu()) {
  const open = () => openDevice({ device: 'webgpu', threads: 1 });
  // A text, a picture and two pictures; SwiftShader takes seconds for each. A card adds up in an order of its own.
  agreesWithTransformers('webgpu', open, { chosen: [0, 1, 2], maxTokens: 8, atol: 1e-3 });
} else {
  describe('the model on webgpu against transformers', () => {
    it('is skipped: Debian’s chromium, whose SwiftShader stands for a card, is not installed');
  });
}
