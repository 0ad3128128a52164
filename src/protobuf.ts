/** Protocol Buffers messages that are given by tables of their fields. */
import protobuf from 'protobufjs';

/** `repeated` is a list. `oneof` is a branch of a union, which is written even when it is zero or empty. */
type Rule = 'repeated' | 'oneof';

/** Messages by name, and their fields by name: type, published number and, where it has one, rule. */
export type Messages = Readonly<
  Record<string, Readonly<Record<string, readonly [type: string, id: number, rule?: Rule]>>>
>;

/**
 * The encoder of the message type `name` among messages, from plain objects.
 *
 * A 64-bit field may be a number that holds an integer.
 */
export function encoderOf(messages: Messages, name: string): (message: object) => Uint8Array {
  const nested: Record<string, protobuf.IType> = {};
  for (const [message, fields] of Object.entries(messages)) {
    const branches = Object.keys(fields).filter((field) => fields[field]![2] === 'oneof');
    nested[message] = {
      fields: Object.fromEntries(
        Object.entries(fields).map(([field, [type, id, rule]]) => [
          field,
          { type, id, ...(rule === 'repeated' && { rule }) },
        ]),
      ),
      ...(branches.length > 0 && { oneofs: { kind: { oneof: branches } } }),
    };
  }
  const type = protobuf.Root.fromJSON({ nested }).lookupType(name);
  return (message) => type.encode(type.fromObject(message)).finish();
}
