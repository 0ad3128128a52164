import * as t from 'io-ts';
import { actorFactory, type Actor } from '../../../actors/runtime/actor.ts';
import { call, protocol } from '../../../actors/runtime/protocol.ts';
import type { Tensor } from '../../../src/tensor/tensor.ts';
import { tensor } from '../../../transport/tensor-codec.ts';

const bytes = new t.Type<Uint8Array>(
  'bytes',
  (value): value is Uint8Array => value instanceof Uint8Array,
  (value, context) => (value instanceof Uint8Array ? t.success(value) : t.failure(value, context)),
  t.identity,
);
const Numbered = t.type({ id: t.number });

/** Does next to nothing, so that what is measured is the way there and back. */
export const echoProtocol = protocol('echo', {
  echo: call(Numbered, Numbered),
  take: call(bytes, t.void),
  touch: call(tensor('f32', ['n']), tensor('f32', ['n'])),
});

class EchoActor implements Actor<typeof echoProtocol> {
  echo(message: { id: number }): { id: number } {
    return message;
  }

  take(): void {
    // taking it is all there is to measure
  }

  touch(values: Tensor<'f32'>): Tensor<'f32'> {
    values.data[0]! += 1;
    return values;
  }
}

export const createEcho = actorFactory(echoProtocol, () => new EchoActor());
