import inspector from 'node:inspector';
import { setImmediate } from 'node:timers';

/**
 * Takes SIGUSR1 away from Node, which opens a debugger on it: a port by which any user of the host runs code here.
 *
 * Schedulers warn with that signal, so a process that does nothing else about it goes on. `--disable-sigusr1` does
 * the same from the first moment, where the command line is ours to write. Elsewhere a debugger that a signal opened
 * before this runs is closed: twice, since Node answers such a signal here and once more in its event loop.
 */
export function refuseDebuggerSignal() {
  process.on('SIGUSR1', () => {});
  const isAskedFor = [...process.execArgv, process.env.NODE_OPTIONS ?? ''].some((options) =>
    options.includes('--inspect'),
  );
  if (isAskedFor) return;
  inspector.close();
  setImmediate(() => inspector.close());
}
