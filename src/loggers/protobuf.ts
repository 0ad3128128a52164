import protobuf from 'protobufjs';

/** A list, or a branch of a `oneof`, which is written when it is zero or empty too. */
type Rule = 'repeated' | 'oneof';

/** Messages by name, their fields by name: type, number and, where it has one, rule. */
export type Messages = Readonly<
  Record<string, Readonly<Record<string, readonly [type: string, id: number, rule?: Rule]>>>
>;

/** A message type that plain objects are written in and read from. */
export interface MessageType {
  /** The object's bytes; a number of a 64-bit field may be a float that holds an integer. */
  encode(message: object): Uint8Array;
  decode(bytes: Uint8Array): Record<string, unknown>;
}

/** The type `name` among messages given by their published field numbers. */
export function messageType(messages: Messages, name: string): MessageType {
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
  return {
    encode: (message) => type.encode(type.fromObject(message)).finish(),
    decode: (bytes) => type.toObject(type.decode(bytes), { longs: Number }),
  };
}
