import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A directory that is gone when its scope ends: `using directory = new TemporaryDirectory()`. */
export class TemporaryDirectory implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'cxmind-test-'));

  /** Writes a file into it and gives its path. */
  write(name: string, content: string | Uint8Array): string {
    const path = join(this.path, name);
    writeFileSync(path, content);
    return path;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** A directory that is gone some time later. */
export type Directory = Pick<TemporaryDirectory, 'path' | 'write'>;

/** A directory for each test of the suite that calls this. */
export function directoryForEach(): Directory {
  let current: TemporaryDirectory;
  beforeEach(() => {
    current = new TemporaryDirectory();
  });
  afterEach(() => current[Symbol.dispose]());
  return {
    get path() {
      return current.path;
    },
    write: (name, content) => current.write(name, content),
  };
}
