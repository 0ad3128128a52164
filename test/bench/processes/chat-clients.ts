/**
 * Clients of a chat server in a process of their own. Each sends one request after the other. A message
 * `{ url, clients, requests, body }` is answered with the tokens of all answers and the seconds that they took.
 */

/** Orders for the clients. */
export interface ClientOrder {
  readonly url: string;
  readonly clients: number;
  /** Requests of all clients together. */
  readonly requests: number;
  readonly body: object;
}

/** Tokens that they got, and how long it took. */
export interface ClientResult {
  readonly tokens: number;
  readonly seconds: number;
}

async function ask({ url, body }: ClientOrder, seed: number): Promise<number> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...body, seed }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  const counts = [...text.matchAll(/"completion_tokens":(\d+)/g)];
  return Number(counts.at(-1)![1]);
}

async function run(order: ClientOrder): Promise<ClientResult> {
  let [sent, tokens] = [0, 0];
  const client = async (): Promise<void> => {
    while (sent < order.requests) {
      const got = await ask(order, sent++);
      tokens += got;
    }
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: order.clients }, client));
  return { tokens, seconds: (performance.now() - start) / 1000 };
}

process.on('message', (order: ClientOrder) => {
  void run(order).then((result) => process.send!(result));
});
