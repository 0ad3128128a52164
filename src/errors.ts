/** The one class of errors and its codes, their form between threads and hosts, and the text of any error. */
import { inspect } from 'node:util';

/** Codes of all failures. They survive a thread or a socket. */
export type ErrorCode =
  | 'CONFIG_INVALID'
  | 'CHECKPOINT_INVALID'
  | 'DATA_INVALID'
  | 'REWARD_INVALID'
  | 'ENVIRONMENT_INVALID'
  | 'SHAPE_MISMATCH'
  | 'DTYPE_MISMATCH'
  | 'GRAPH_INVALID'
  | 'RULE_MISSING'
  | 'NUMERIC_NONFINITE'
  | 'RUNTIME_FAILED'
  | 'RUNTIME_CANCELLED'
  | 'DEVICE_OUT_OF_MEMORY'
  | 'DEVICE_MISSING'
  | 'ACTOR_TIMEOUT'
  | 'ACTOR_STOPPED'
  | 'ACTOR_CRASHED'
  | 'WIRE_INVALID'
  | 'PEER_LOST'
  | 'PLACEMENT_FAILED'
  | 'IO_FAILED'
  | 'INTERNAL';

/** JSON-safe facts about an error: paths, fields, shapes, counts. */
export type ErrorDetail = Readonly<Record<string, unknown>>;

/** The form of an error that crosses a thread or a socket. */
export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly detail: ErrorDetail;
  readonly stack?: string;
  readonly cause?: WireError;
}

/** The one error class: branch on `code`, never on class identity. */
export class CxmindError extends Error {
  readonly code: ErrorCode;
  readonly detail: ErrorDetail;

  constructor(
    code: ErrorCode,
    message: string,
    options: { detail?: ErrorDetail; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'CxmindError';
    this.code = code;
    this.detail = options.detail ?? {};
  }
}

/**
 * A thrown value as a CxmindError.
 *
 * A refusal of the operating system becomes `IO_FAILED`, any other foreign value `INTERNAL`, with itself as cause.
 */
export function asCxmindError(thrown: unknown): CxmindError {
  const failure = firstFailure(thrown);
  if (failure instanceof CxmindError) return failure;
  const code = isSystemError(failure) ? 'IO_FAILED' : 'INTERNAL';
  return new CxmindError(code, messageOf(failure), { cause: failure });
}

/** The error of the work itself, rather than one that disposing after it added. */
export function firstFailure(thrown: unknown): unknown {
  return thrown instanceof SuppressedError ? firstFailure(thrown.suppressed) : thrown;
}

/** The result of reading or decoding something; null where that throws. */
export function attempt<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}

/** Tells whether an error is the operating system's refusal of a call, such as a write to a full disk. */
export function isSystemError(thrown: unknown): thrown is NodeJS.ErrnoException {
  return thrown instanceof Error && 'syscall' in thrown && 'errno' in thrown;
}

/** The message of a thrown value. A value that is no error is printed in one line. */
export function messageOf(thrown: unknown): string {
  if (typeof thrown === 'string') return thrown;
  if (!(thrown instanceof Error)) {
    return inspect(thrown, {
      depth: 1,
      breakLength: Infinity,
      compact: true,
      maxStringLength: 200,
    });
  }
  if (thrown.message !== '') return thrown.message;
  // A connection that was tried at several addresses has no message of its own.
  const [first] = thrown instanceof AggregateError ? (thrown.errors as unknown[]) : [];
  return first === undefined ? thrown.name : messageOf(first);
}

/**
 * The reason of a refusal, for a message that names the file.
 *
 * It is the middle of `ENOSPC: no space left on device, write`, without code, call and path.
 */
export function refusalText(thrown: unknown): string {
  const message = messageOf(thrown);
  if (!isSystemError(thrown)) return message;
  return message.replace(/^[A-Z0-9]+: /, '').replace(/, .*$/s, '');
}

/** The wire form of an error, its causes included. */
export function toWireError(thrown: unknown): WireError {
  const error = asCxmindError(thrown);
  const cause = error.cause instanceof CxmindError ? toWireError(error.cause) : undefined;
  const stack = error.cause instanceof Error ? error.cause.stack : error.stack;
  return {
    code: error.code,
    message: error.message,
    detail: error.detail,
    ...(stack === undefined ? {} : { stack }),
    ...(cause === undefined ? {} : { cause }),
  };
}

/** The error a wire form describes, with the sender's stack. */
export function fromWireError(wire: WireError): CxmindError {
  const error = new CxmindError(wire.code, wire.message, {
    detail: wire.detail,
    ...(wire.cause === undefined ? {} : { cause: fromWireError(wire.cause) }),
  });
  if (wire.stack !== undefined) error.stack = wire.stack;
  return error;
}
