import type { Device } from '../../src/device/device.ts';
import { openDevice } from '../../src/device/open.ts';
import { loadGoldenModel, type GoldenModel } from './golden-model.ts';

/** A processor and a golden model, which the tests of a suite have from the first one on. */
export interface GoldenSuite {
  readonly device: Device;
  readonly model: GoldenModel;
  /** Disposed of behind the tests, before the device is. */
  readonly owned: DisposableStack;
}

/** Opens a device and loads a golden model before the tests of a suite, and closes the device behind them. */
export function goldenSuite(load: string | (() => Promise<GoldenModel>)): GoldenSuite {
  const suite = { owned: new DisposableStack() } as {
    -readonly [K in keyof GoldenSuite]: GoldenSuite[K];
  };
  before(async () => {
    suite.device = suite.owned.use(openDevice({ threads: 1 }));
    suite.model = await (typeof load === 'string' ? loadGoldenModel(load) : load());
  });
  after(() => suite.owned.dispose());
  return suite;
}
