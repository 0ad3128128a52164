/* Entry of the thread that `ApiThread` starts: an HTTP server over the session of the thread that started it. */
import { parentPort, workerData } from 'node:worker_threads';
import { chatTools } from '../data/sample-options.ts';
import { toWireError } from '../errors.ts';
import type { ApiNews, ApiOrder, ApiSettings } from './api-messages.ts';
import { GrammarReader } from './grammars.ts';
import { RemoteSession } from './remote-session.ts';
import { ChatServer } from './server.ts';

const port = parentPort!;
const send = (news: ApiNews): void => port.postMessage(news);

/** Answers an order with the result of some work. */
async function answer(work: () => Promise<string | null> | null): Promise<void> {
  try {
    send({ kind: 'done', value: await work() });
  } catch (error) {
    send({ kind: 'refused', error: toWireError(error) });
  }
}

const settings = workerData as ApiSettings;
const session = new RemoteSession(settings.maxModelLen, send);
let server: ChatServer;
await answer(() => {
  const sample = chatTools(settings.chat);
  const { tokenizer } = sample;
  server = new ChatServer({
    ...settings,
    session,
    sample,
    tokenizer,
    grammars: new GrammarReader(),
    tokenBytes: tokenizer.tokenBytes(),
    mostTokens: settings.maxModelLen - 1,
    onError: (error) => send({ kind: 'error', error: toWireError(error) }),
  });
  return null;
});

port.on('message', (order: ApiOrder) => {
  if (order.kind === 'listen') void answer(() => server.listen(order.host, order.port));
  else if (order.kind === 'close') void answer(() => server.close().then(() => null));
  else session.take(order);
});
