import * as t from 'io-ts';
import { actorFactory, fatal, type Actor } from '../../actors/runtime/actor.ts';
import { call, protocol } from '../../actors/runtime/protocol.ts';
import type { ActorRef } from '../../actors/runtime/ref.ts';
import type { ActorSystem } from '../../actors/runtime/system.ts';
import { CxmindError } from '../../src/errors.ts';
import { collectShared } from '../../src/tensor/memory.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { tensor } from '../../transport/tensor-codec.ts';

const values = tensor('f32', ['n']);

/** An actor that keeps every tensor it gets, until it dies. */
export const hoarderProtocol = protocol('hoarder', {
  /** Keeps an array and replies the number of arrays it has. */
  keep: call(values, t.number),
  count: call(t.void, t.number),
  /** A tensor of that many ones, on ordinary memory. */
  ones: call(t.number, values),
  /** Collects the garbage of its thread. */
  collect: call(t.void, t.void),
  die: call(t.keyof({ exit: null, fatal: null }), t.void),
});

class HoarderActor implements Actor<typeof hoarderProtocol> {
  readonly #hoard: Tensor<'f32'>[] = [];

  keep(given: Tensor<'f32'>): number {
    return this.#hoard.push(given);
  }

  count(): number {
    return this.#hoard.length;
  }

  ones(count: number): Tensor<'f32'> {
    return { dtype: 'f32', shape: [count], data: new Float32Array(count).fill(1) };
  }

  collect(): void {
    collectShared();
  }

  die(how: 'exit' | 'fatal'): void {
    if (how === 'exit') process.exit(3);
    throw fatal(new CxmindError('RUNTIME_FAILED', 'the device is lost'));
  }
}

/** Starts a hoarder on a thread. It is restarted however often it dies. */
export function spawnHoarder(system: ActorSystem): Promise<ActorRef<typeof hoarderProtocol>> {
  return system.spawn({
    name: 'hoarder/0',
    protocol: hoarderProtocol,
    module: new URL(import.meta.url),
    create: 'createHoarder',
    props: undefined,
    supervision: {
      onCrash: 'restart',
      maxRestarts: Infinity,
      windowMs: 60_000,
      minBackoffMs: 1,
      maxBackoffMs: 1,
      givenUp: 'stop',
    },
  });
}

/** Makes a hoarder where the runtime starts one. */
export const createHoarder = actorFactory(hoarderProtocol, () => new HoarderActor());
