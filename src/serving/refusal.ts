/**
 * Errors in the form of OpenAI's API: `{ "error": { message, type, param, code } }` with an HTTP status.
 *
 * A request that is refused throws a CxmindError whose detail has these. Any other error is the server's own.
 */
import { asCxmindError, CxmindError } from '../errors.ts';

/** Facts of a refusal, as its detail has them. */
interface RefusalDetail {
  /** HTTP status. */
  readonly status: number;
  /** OpenAI's kind of error. */
  readonly type: string;
  /** Dotted path of the field at fault, or null. */
  readonly param: string | null;
  /** OpenAI's code, such as `context_length_exceeded`, or null. */
  readonly reason: string | null;
  /** Headers of the response. */
  readonly headers: Readonly<Record<string, string>>;
}

/** An error as a response has it. */
interface ErrorReply extends Pick<RefusalDetail, 'status' | 'headers'> {
  readonly body: {
    readonly error: Pick<RefusalDetail, 'type' | 'param'> & {
      readonly message: string;
      readonly code: string | null;
    };
  };
}

/** The error of a request that is not answered, to be thrown. */
export function refusal(
  status: number,
  message: string,
  { param = null, reason = null, headers = {}, type = typeOf(status) }: Partial<RefusalDetail> = {},
): CxmindError {
  return new CxmindError('DATA_INVALID', message, {
    detail: { status, type, param, reason, headers } satisfies RefusalDetail,
  });
}

/** The reply that tells a client of an error. It gives no details of the server's own errors. */
export function errorReply(thrown: unknown): ErrorReply {
  const { message, detail } = asCxmindError(thrown);
  if (!('status' in detail)) {
    return errorReply(refusal(500, 'the server failed to answer', { reason: 'server_error' }));
  }
  const { status, type, param, reason, headers } = detail as unknown as RefusalDetail;
  return { status, headers, body: { error: { message, type, param, code: reason } } };
}

/** Tells whether an error is the client's, and so no event for the log. */
export function isRefusal(thrown: unknown): boolean {
  return 'status' in asCxmindError(thrown).detail;
}

function typeOf(status: number): string {
  if (status === 401) return 'authentication_error';
  if (status === 429) return 'rate_limit_error';
  return status >= 500 ? 'server_error' : 'invalid_request_error';
}
