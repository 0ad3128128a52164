import { Errors, Flags } from '@oclif/core';
import { deviceChoice, type DeviceChoice } from '../config/device.ts';

/** `--device`: where a command computes. */
export const deviceFlag = Flags.custom<DeviceChoice>({
  description: `where to compute: ${deviceChoice.name}; auto is a card where one can be used`,
  parse: (input) => {
    if (deviceChoice.is(input)) return Promise.resolve(input);
    const reason = `--device: expected ${deviceChoice.name}, got "${input}"`;
    return Promise.reject(new Errors.CLIError(reason));
  },
})();
