import type { ActorRef } from '../../actors/runtime/ref.ts';
import { ActorSystem } from '../../actors/runtime/system.ts';
import { zeros } from '../../src/tensor/tensor.ts';
import { compare, now, type Measured } from './harness.ts';
import { echoProtocol } from './threads/echo-actor.ts';
import { RawEcho } from './threads/raw.ts';

const options = { timeoutMs: 60_000 };

type EchoRef = ActorRef<typeof echoProtocol>;

/** Messages between actors on threads of one process, beside a bare MessageChannel between two threads. */
export async function benchActors(): Promise<void> {
  await using system = new ActorSystem();
  await using raw = new RawEcho();
  const echo = await system.spawn({
    name: 'echo/0',
    protocol: echoProtocol,
    module: new URL('threads/echo-actor.ts', import.meta.url),
    create: 'createEcho',
    props: undefined,
  });
  await benchRates(echo, raw);
  await benchTensors(echo, raw);
}

async function benchRates(echo: EchoRef, raw: RawEcho): Promise<void> {
  const message = { id: 7 };
  const peer = (measure: () => Promise<Measured>): Parameters<typeof compare>[2] => ({
    name: 'MessageChannel',
    measure,
  });

  const single = 5_000;
  await compare(
    { name: 'actors.ask', params: { inFlight: 1 }, unit: 'asks/s' },
    () =>
      rate(single, async () => {
        for (let i = 0; i < single; i++) await echo.ask.echo(message, options);
      }),
    peer(() =>
      rate(single, async () => {
        for (let i = 0; i < single; i++) await raw.ask(message);
      }),
    ),
  );

  for (const inFlight of [64, 1024, 20_000]) {
    const rounds = Math.ceil(20_000 / inFlight);
    const messages = Array.from({ length: inFlight }, (_, id) => ({ id }));
    await compare(
      { name: 'actors.ask', params: { inFlight }, unit: 'asks/s' },
      () =>
        rate(rounds * inFlight, async () => {
          for (let i = 0; i < rounds; i++) {
            await Promise.all(messages.map((each) => echo.ask.echo(each, options)));
          }
        }),
      peer(() =>
        rate(rounds * inFlight, async () => {
          for (let i = 0; i < rounds; i++) await raw.askTogether(messages);
        }),
      ),
    );
  }

  const tells = 100_000;
  const bytes = new Uint8Array(64).fill(1);
  await compare(
    { name: 'actors.tell', params: { bytes: bytes.length }, unit: 'tells/s' },
    () =>
      rate(tells, async () => {
        for (let i = 0; i < tells; i++) await echo.tell.take(bytes);
        await echo.ask.echo(message, options);
      }),
    peer(() => rate(tells, () => raw.tell(tells, bytes))),
  );
}

/** A tensor on shared memory there and back: the time must not know its size. */
async function benchTensors(echo: EchoRef, raw: RawEcho): Promise<void> {
  const count = 500;
  for (const sizeMiB of [1 / 1024, 1, 64]) {
    const values = zeros('f32', [sizeMiB * 2 ** 18]);
    const view = { values: values.data };
    await compare(
      { name: 'actors.tensor', params: { sizeMiB }, unit: 'us' },
      () =>
        microseconds(count, async () => {
          for (let i = 0; i < count; i++) await echo.ask.touch(values, options);
        }),
      {
        name: 'MessageChannel',
        measure: () =>
          microseconds(count, async () => {
            for (let i = 0; i < count; i++) await raw.ask(view);
          }),
      },
    );
  }
}

async function rate(count: number, work: () => Promise<void>): Promise<Measured> {
  const start = now();
  await work();
  return { rate: count / (now() - start) };
}

async function microseconds(count: number, work: () => Promise<void>): Promise<Measured> {
  const start = now();
  await work();
  return { roundTrip: ((now() - start) * 1e6) / count };
}
