import type { Runtime } from '../ort/runtime.ts';
import type { Profile, Recording } from './device.ts';
import { profileRuns } from './run-times.ts';

/**
 * The members of a device whose work is done when a call returns.
 *
 * There is nothing to wait for. Recorded work is queued again as it was, since no cheaper way to repeat it is known.
 */
export abstract class BlockingDevice {
  protected readonly runtime: Runtime;

  constructor(runtime: Runtime) {
    this.runtime = runtime;
  }

  record(work: () => void): Recording {
    return { run: work, [Symbol.dispose]: () => undefined };
  }

  profile(): Profile {
    return profileRuns(this.runtime);
  }

  /** Does nothing: uploads are copies within this process, or small. */
  pin(): void {}

  /** Frees nothing: the memory is this process's own, or small. */
  trim(): void {}

  freeBytes(): null {
    return null;
  }

  idle(): Promise<void> {
    return Promise.resolve();
  }
}
