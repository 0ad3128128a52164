import * as E from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { curveKeyPair } from 'zeromq';
import { CxmindError } from '../../src/errors.ts';

/** A CURVE key in Z85: 40 characters for 32 bytes. */
const keyPattern = /^[0-9a-zA-Z.\-:+=^!/*?&<>()[\]{}@%$#]{40}$/;

const CurveKey = new t.Type<string>(
  'a CURVE key in Z85',
  (value): value is string => typeof value === 'string' && keyPattern.test(value),
  (value, context) =>
    typeof value === 'string' && keyPattern.test(value)
      ? t.success(value)
      : t.failure(value, context),
  t.identity,
);

export interface KeyPair {
  readonly publicKey: string;
  readonly secretKey: string;
}

/** The keys of one run: the listener proves itself with `server`, everybody else with `client`. */
export interface RunKeys {
  readonly server: KeyPair;
  readonly client: KeyPair;
}

/** What a process needs to join a run. It holds a secret: hand it over stdin or a 0600 file, nothing else. */
export const RunTicket = t.strict({
  endpoint: t.string,
  serverPublicKey: CurveKey,
  clientPublicKey: CurveKey,
  clientSecretKey: CurveKey,
});
export interface RunTicket extends t.TypeOf<typeof RunTicket> {}

/** The keys of a ticket, without the place they are good for. */
export type JoinKeys = Omit<RunTicket, 'endpoint'>;

/**
 * In the place of keys: whoever reaches the port may join, and whoever is on the way may read. For measuring what
 * CURVE costs, and for networks that nobody else is on.
 */
export type Unprotected = 'unprotected';

/** Fresh keys, good for one run. */
export function makeRunKeys(): RunKeys {
  return { server: curveKeyPair(), client: curveKeyPair() };
}

/** What to hand to a process that shall join at `endpoint`. */
export function ticketFor(endpoint: string, keys: RunKeys): RunTicket {
  return {
    endpoint,
    serverPublicKey: keys.server.publicKey,
    clientPublicKey: keys.client.publicKey,
    clientSecretKey: keys.client.secretKey,
  };
}

/** The ticket in a JSON text, or CONFIG_INVALID; the message never repeats what the text says. */
export function parseTicket(text: string): E.Either<CxmindError, RunTicket> {
  const invalid = new CxmindError('CONFIG_INVALID', 'ticket: not the JSON of a run ticket');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return E.left(invalid);
  }
  const ticket = RunTicket.decode(value);
  return E.isLeft(ticket) ? E.left(invalid) : ticket;
}

const z85 = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#';

/** The 32 bytes of a key: five digits to the base of 85 for every four bytes, the highest first. */
export function keyBytes(key: string): Buffer {
  const bytes = Buffer.alloc((key.length / 5) * 4);
  for (let at = 0; at < key.length; at += 5) {
    let value = 0;
    for (let i = 0; i < 5; i++) value = value * 85 + z85.indexOf(key[at + i]!);
    bytes.writeUInt32BE(value, (at / 5) * 4);
  }
  return bytes;
}
