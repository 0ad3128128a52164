import { compare, now, type Measured } from './harness.ts';
import { startClients, type Client, type Clients } from './processes/client.ts';
import { median } from '../support/median.ts';

/** A link between two processes over TCP loopback, beside bare zeromq.js sockets with the same frames. */
export async function benchLink(): Promise<void> {
  await using clients = await startClients();
  const both = async (
    name: string,
    params: Readonly<Record<string, number>>,
    unit: string,
    measure: (client: Client) => Promise<Measured>,
  ): Promise<void> => {
    await compare({ name, params, unit }, () => measure(clients.link), {
      name: 'zeromq',
      measure: () => measure(clients.raw),
    });
  };
  for (const bytes of [64, 1024]) {
    await compareAsks(clients, bytes);
    const count = 50_000;
    await both('link.oneWay', { bytes }, 'messages/s', (client) =>
      rate(count, () => client.flood(count, bytes)),
    );
  }
  const [count, sizeMiB] = [10, 64];
  await both('link.tensor', { sizeMiB }, 'MB/s', (client) =>
    rate((count * sizeMiB * 2 ** 20) / 1e6, () => client.tensors(count, sizeMiB * 2 ** 20)),
  );
}

/** Round trips of both sides in short turns: what else the machine does meanwhile must hit both alike. */
async function compareAsks({ link, raw }: Clients, bytes: number): Promise<void> {
  const [turns, asks] = [30, 200];
  let theirs: number[] = [];
  await compare(
    { name: 'link.ask', params: { bytes }, unit: 'asks/s, by the median of their times' },
    async () => {
      const ours: number[] = [];
      theirs = [];
      for (let turn = 0; turn < turns; turn++) {
        ours.push(...(await link.ask(asks, bytes)));
        theirs.push(...(await raw.ask(asks, bytes)));
      }
      return { rate: 1 / median(ours) };
    },
    { name: 'zeromq', measure: () => Promise.resolve({ rate: 1 / median(theirs) }) },
  );
}

async function rate(amount: number, work: () => Promise<void>): Promise<Measured> {
  const start = now();
  await work();
  return { rate: amount / (now() - start) };
}
