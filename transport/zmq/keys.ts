/** CURVE keys of a run, and the tickets with which processes join it. */
import * as t from 'io-ts';
import { curveKeyPair } from 'zeromq';
import { matching } from '../../src/check/scalars.ts';

/** Codec of CURVE keys: 40 characters of Z85 for 32 bytes. */
const CurveKey = matching('a CURVE key in Z85', /^[0-9a-zA-Z.\-:+=^!/*?&<>()[\]{}@%$#]{40}$/);

const KeyPair = t.strict({ publicKey: CurveKey, secretKey: CurveKey });

/** Keys of one run. The listener proves itself with `server`, everybody else with `client`. */
export const RunKeys = t.strict({ server: KeyPair, client: KeyPair });
export interface RunKeys extends t.TypeOf<typeof RunKeys> {}

/** Ticket with which a process joins a run. It holds a secret: hand it over by stdin or a file of mode 0600. */
export const RunTicket = t.strict({
  endpoint: t.string,
  serverPublicKey: CurveKey,
  clientPublicKey: CurveKey,
  clientSecretKey: CurveKey,
});
export interface RunTicket extends t.TypeOf<typeof RunTicket> {}

/** Keys of a ticket, without the endpoint. */
export type JoinKeys = Omit<RunTicket, 'endpoint'>;

/** Makes keys for one run. */
export function makeRunKeys(): RunKeys {
  return { server: curveKeyPair(), client: curveKeyPair() };
}

/** Makes the ticket for a process that shall join at `endpoint`. */
export function ticketFor(endpoint: string, keys: RunKeys): RunTicket {
  return {
    endpoint,
    serverPublicKey: keys.server.publicKey,
    clientPublicKey: keys.client.publicKey,
    clientSecretKey: keys.client.secretKey,
  };
}

const z85 = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#';

/** Decodes a key from Z85: five digits to the base of 85 for every four bytes, the highest first. */
export function keyBytes(key: string): Buffer {
  const bytes = Buffer.alloc((key.length / 5) * 4);
  for (let at = 0; at < key.length; at += 5) {
    let value = 0;
    for (let i = 0; i < 5; i++) value = value * 85 + z85.indexOf(key[at + i]!);
    bytes.writeUInt32BE(value, (at / 5) * 4);
  }
  return bytes;
}
