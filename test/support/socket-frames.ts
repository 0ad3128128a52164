import type { Socket } from 'node:net';
import { deserialize, serialize } from 'node:v8';

/** Sends a value over a stream socket, after its length. */
export function sendValue(socket: Socket, value: unknown): void {
  const body = serialize(value);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(body.length);
  socket.write(length);
  socket.write(body);
}

/** Calls `listener` with every value that comes. */
export function onValues(socket: Socket, listener: (value: unknown) => void): void {
  let parts: Buffer[] = [];
  let ready = 0;
  socket.on('data', (data: Buffer) => {
    parts.push(data);
    ready += data.length;
    if (ready < 4) return;
    if (parts[0]!.length < 4) parts = [Buffer.concat(parts)];
    while (ready >= 4 && ready >= 4 + parts[0]!.readUInt32LE()) {
      const all = Buffer.concat(parts);
      const length = all.readUInt32LE();
      listener(deserialize(all.subarray(4, 4 + length)));
      parts = [all.subarray(4 + length)];
      ready = parts[0]!.length;
    }
  });
}
