/** An actor for tests of the runtime: it counts, streams, waits, and fails in every way that it is asked to. */
import * as t from 'io-ts';
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';
import { actorFactory, fatal, type Actor, type Context } from '../../actors/runtime/actor.ts';
import { call, protocol, stream } from '../../actors/runtime/protocol.ts';
import type { Environment } from '../../actors/runtime/actor.ts';
import type { ActorRef } from '../../actors/runtime/ref.ts';
import type { WithSharedBlocks } from '../../actors/runtime/shared-blocks.ts';
import type { Supervision } from '../../actors/runtime/supervisor.ts';
import type { ActorSystem, PropsOf, ThreadActor } from '../../actors/runtime/system.ts';
import { CxmindError } from '../../src/errors.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { tensor } from '../../transport/tensor-codec.ts';

/** Calls by which the tests drive an actor, its ways to die among them. */
export const counterProtocol = protocol('counter', {
  add: call(t.number, t.number),
  fill: call(t.type({ values: tensor('f32', ['n']), value: t.number }), tensor('f32', ['n'])),
  wait: call(t.type({ ms: t.number, heedsSignal: t.boolean }), t.string),
  refuse: call(t.string, t.void),
  die: call(
    t.keyof({ exit: null, timer: null, fatal: null, stubborn: null, memory: null, loop: null }),
    t.void,
  ),
  addThrough: call(t.type({ to: t.string, amount: t.number }), t.number),
  restarts: call(t.void, t.number),
  keep: call(t.void, t.void),
  tellTo: call(t.string, t.void),
  watch: call(t.string, t.void),
  unwatch: call(t.void, t.void),
  heard: call(t.void, t.array(t.string)),
  count: stream(t.type({ upTo: t.number, failsAt: t.union([t.number, t.null]) }), t.number),
  countThrough: stream(t.type({ to: t.string, upTo: t.number }), t.number),
  counted: call(t.void, t.type({ made: t.number, ended: t.number })),
});

/** Properties of a counter. */
export interface CounterProps {
  readonly start: number;
  /**
   * Numbers that tests read: element 0 counts disposals, 1 is the `number` of the counter that was disposed of last, 2
   * counts the waits that began and the items that were made. A shorter block has only the first elements.
   */
  readonly disposals: SharedArrayBuffer;
  readonly failsToStart?: boolean;
  /** Value of element 1 of `disposals` after its disposal. */
  readonly number?: number;
}

export class CounterActor implements Actor<typeof counterProtocol> {
  readonly #environment: Environment;
  readonly #disposals: Int32Array;
  readonly #counted = { made: 0, ended: 0 };
  readonly #number: number;
  readonly #heard: string[] = [];
  #watch: Disposable | undefined;
  /** True where it cannot be disposed of. */
  #isStubborn = false;
  #total: number;

  constructor({ start, disposals, failsToStart, number }: CounterProps, environment: Environment) {
    if (failsToStart === true) throw new CxmindError('CHECKPOINT_INVALID', 'no such checkpoint');
    this.#environment = environment;
    this.#number = number ?? 0;
    this.#disposals = new Int32Array(disposals);
    this.#total = environment.recall(t.type({ total: t.number }))?.total ?? start;
  }

  add(amount: number): number {
    this.#total += amount;
    return this.#total;
  }

  fill({ values, value }: { values: Tensor<'f32'>; value: number }): Tensor<'f32'> {
    values.data.fill(value);
    return values;
  }

  async wait(
    { ms, heedsSignal }: { ms: number; heedsSignal: boolean },
    { signal }: Context,
  ): Promise<string> {
    this.#tellProgress();
    if (!heedsSignal) {
      await delay(ms);
      return 'waited';
    }
    await delay(ms, undefined, { signal }).catch(() => undefined);
    return signal.aborted ? 'aborted' : 'waited';
  }

  refuse(reason: string): void {
    throw new CxmindError('DATA_INVALID', reason, { detail: { row: 3 } });
  }

  die(how: 'exit' | 'timer' | 'fatal' | 'stubborn' | 'memory' | 'loop'): void | Promise<void> {
    switch (how) {
      case 'exit':
        process.exit(3);
        break;
      case 'timer':
        setTimeout(() => {
          throw new Error('thrown in a timer');
        }, 1);
        return delay(10_000);
      case 'fatal':
        throw fatal(new CxmindError('RUNTIME_FAILED', 'the device is lost'));
      case 'stubborn':
        this.#isStubborn = true;
        return this.die('fatal');
      case 'memory': {
        const hoard: unknown[] = [];
        for (;;) hoard.push(new Array(1000).fill(hoard.length));
      }
      case 'loop':
        for (;;);
    }
  }

  addThrough({ to, amount }: { to: string; amount: number }): Promise<number> {
    return this.#environment.refTo(to, counterProtocol).ask.add(amount, { timeoutMs: 5_000 });
  }

  /** Counts from 1, a turn of the event loop for each. */
  async *count(
    { upTo, failsAt }: { upTo: number; failsAt: number | null },
    { signal }: Context,
  ): AsyncGenerator<number> {
    this.#counted.made = 0;
    try {
      for (let i = 1; i <= upTo && !signal.aborted; i++) {
        if (i === failsAt) throw new CxmindError('DATA_INVALID', `no ${i}`);
        await turn();
        this.#counted.made = i;
        this.#tellProgress();
        yield i;
      }
    } finally {
      this.#counted.ended += 1;
    }
  }

  async *countThrough({ to, upTo }: { to: string; upTo: number }): AsyncGenerator<number> {
    const other = this.#environment.refTo(to, counterProtocol);
    const message = { upTo, failsAt: null };
    yield* other.stream.count(message, { timeoutMs: 5_000, window: 4 });
  }

  counted(): { made: number; ended: number } {
    return this.#counted;
  }

  tellTo(name: string): Promise<void> {
    return this.#environment.refTo(name, counterProtocol).tell.add(1);
  }

  keep(): void {
    this.#environment.keep({ total: this.#total });
  }

  watch(name: string): void {
    this.#watch = this.#environment.watch(name, ({ kind, error }) => {
      this.#heard.push(error === undefined ? kind : `${kind}: ${error.code}`);
    });
  }

  unwatch(): void {
    this.#watch?.[Symbol.dispose]();
  }

  heard(): string[] {
    return this.#heard;
  }

  #tellProgress(): void {
    if (this.#disposals.length > 2) this.#disposals[2]! += 1;
  }

  restarts(): number {
    return this.#environment.restarts;
  }

  [Symbol.dispose](): void {
    while (this.#isStubborn);
    this.#disposals[0]! += 1;
    if (this.#disposals.length > 1) this.#disposals[1] = this.#number;
  }
}

/** Makes a counter where the runtime starts one on a thread. */
export const createCounter = actorFactory(
  counterProtocol,
  (props: CounterProps, environment) => new CounterActor(props, environment),
);

/** A reference to a counter. */
export type CounterRef = ActorRef<typeof counterProtocol>;

/** Options of a counter; all have a default. */
export type CounterOptions = Partial<
  ThreadActor<typeof counterProtocol, WithSharedBlocks<PropsOf<typeof createCounter>>>
>;

/** Supervision that restarts almost at once, three times at most. */
export const hasty = {
  onCrash: 'restart',
  maxRestarts: 3,
  windowMs: 60_000,
  minBackoffMs: 5,
  maxBackoffMs: 20,
  givenUp: 'escalate',
} as const satisfies Supervision;

/** Functions that start a counter on a thread of its own, here or on a node, or on the calling thread. */
export const spawnCounter = {
  'worker thread': (system: ActorSystem, options: CounterOptions = {}): Promise<CounterRef> =>
    system.spawn({ ...defaults(), create: 'createCounter', ...options }),
  'same thread': (system: ActorSystem, options: CounterOptions = {}): Promise<CounterRef> => {
    const { props, ...others } = { ...defaults(), ...options };
    const create = (environment: Environment): CounterActor =>
      new CounterActor(props as CounterProps, environment);
    return system.spawnLocal({ ...others, create });
  },
};

function defaults() {
  return {
    name: 'counter/0',
    protocol: counterProtocol,
    module: new URL(import.meta.url),
    props: { start: 0, disposals: new SharedArrayBuffer(12) },
    supervision: hasty,
    graceMs: 200,
  };
}
