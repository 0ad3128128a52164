import { openDevice } from '../../../src/device/open.ts';
import { conformsToDevice } from '../../conformance/device.ts';
import { loadSoftwareGpu } from '../../support/software-gpu.ts';

if (loadSoftwareGpu()) {
  conformsToDevice('webgpu', () => openDevice({ device: 'webgpu', threads: 1 }));
} else {
  describe('webgpu as a device', () => {
    it('is skipped: Debian’s chromium, whose SwiftShader stands for a card, is not installed');
  });
}
