import { spawnSync } from 'node:child_process';

/**
 * The interpreter of Python; null where there is none. What stands on the path may be a script that takes its time to
 * find it.
 */
export function pythonInterpreter(): string | null {
  const tell = ['-c', 'import sys; print(sys.executable)'];
  const { status, stdout } = spawnSync('python3', tell, { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : null;
}
