import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RootHookObject } from 'mocha';
import { exposeCollector } from '../../bin/expose-collector.js';
import { LivingWorkers } from './living-workers.ts';

/** Temporary files of the tests and of their child processes lie in here; its name marks those too. */
const temporary = mkdtempSync(join(tmpdir(), 'cxmind-tests-'));
process.env['TMPDIR'] = temporary;
// Half of what a short run costs is reading the sources, in each of its threads: let them read those once. Never in
// the temporary directory, where Node would leave them for good.
const compiled = fileURLToPath(new URL('../../node_modules/.cache/compiled', import.meta.url));
process.env['NODE_COMPILE_CACHE'] = compiled;
enableCompileCache(compiled);
// What cxmind prints is compared as text, in whatever terminal the tests run.
delete process.env['FORCE_COLOR'];
process.env['NO_COLOR'] = '1';
exposeCollector();
const workers = new LivingWorkers();

/** Processes that were started with our temporary directory and still run; none where there is no /proc. */
function childProcesses(): string[] {
  const pids = readProc().filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  return pids
    .filter((pid) => readOr('', `/proc/${pid}/environ`).includes(`TMPDIR=${temporary}`))
    .map((pid) => `${pid}: ${readOr('', `/proc/${pid}/cmdline`).replaceAll('\0', ' ')}`);
}

function readProc(): string[] {
  try {
    return readdirSync('/proc');
  } catch {
    return [];
  }
}

function readOr(otherwise: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return otherwise;
  }
}

process.once('exit', () => {
  workers[Symbol.dispose]();
  rmSync(temporary, { recursive: true, force: true });
});

/** Fails a file of tests, or a run in one process, that left a thread, a process or a temporary file. */
export const mochaHooks: RootHookObject = {
  afterAll() {
    const left = {
      threads: workers.names,
      processes: childProcesses(),
      files: readdirSync(temporary),
    };
    for (const file of left.files) {
      rmSync(join(temporary, file), { recursive: true, force: true });
    }
    assert.deepEqual(left, { threads: [], processes: [], files: [] });
  },
};
