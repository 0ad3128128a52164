/** The program of a sandbox's thread: it makes a function and calls it as it is told. */
import { parentPort, workerData } from 'node:worker_threads';
import { toWireError } from '../../src/errors.ts';
import type { SandboxReply, SandboxRequest } from './sandbox.ts';

type Make = (props: unknown) => Promise<(message: unknown) => Promise<unknown>>;

const { module, create, props } = workerData as { module: string; create: string; props: unknown };
const port = parentPort!;

/** Sends the result of some work. A value that cannot leave the thread is an error, too. */
async function answer(work: () => Promise<unknown>): Promise<void> {
  let reply: SandboxReply;
  try {
    reply = { value: await work() };
  } catch (thrown) {
    reply = { error: toWireError(thrown) };
  }
  port.postMessage(reply);
}

await answer(async () => {
  const exports = (await import(module)) as Readonly<Record<string, Make>>;
  const called = await exports[create]!(props);
  port.on('message', (request: SandboxRequest) => {
    if (request === 'exit') process.exit(0);
    void answer(() => called(request.call));
  });
  return null;
});
