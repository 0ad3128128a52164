import { asCxmindError, toWireError, type ErrorDetail } from '../../src/errors.ts';
import type { Channel } from '../../transport/channel.ts';
import { encodeBody } from '../../transport/codec.ts';
import type { Body } from '../../transport/frame.ts';
import type { Logger } from './actor.ts';
import { emptyBody, post, type LogLevel } from './envelope.ts';

/** A logger whose events surface at the system's end of the channel. */
export function remoteLogger(channel: Channel): Logger {
  const at =
    (level: LogLevel) =>
    (fields: object, event: string): void => {
      post(channel, { kind: 'log', level, event }, fieldsBody(fields));
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** Fields as a body; errors in their wire form, and a complaint in place of what is not plain data. */
function fieldsBody(fields: object): Body {
  const plain: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(fields)) {
    plain[key] = value instanceof Error ? toWireError(value) : (value as unknown);
  }
  try {
    return encodeBody(plain);
  } catch (error) {
    const detail: ErrorDetail = { unloggable: asCxmindError(error).message };
    return Object.keys(plain).length === 0 ? emptyBody : encodeBody(detail);
  }
}
