/** Errors that end a command: the exit code for the shell, the text for people, code and detail for machines. */
import {
  asCxmindError,
  CxmindError,
  firstFailure,
  isSystemError,
  messageOf,
  refusalText,
  type ErrorCode,
  type ErrorDetail,
} from '../errors.ts';
import { exitCodeOfSignal } from './interrupt.ts';

const inputCodes: readonly ErrorCode[] = [
  'CONFIG_INVALID',
  'CHECKPOINT_INVALID',
  'DATA_INVALID',
  'REWARD_INVALID',
  'ENVIRONMENT_INVALID',
];

const actorCodes: readonly ErrorCode[] = [
  'ACTOR_TIMEOUT',
  'ACTOR_STOPPED',
  'ACTOR_CRASHED',
  'WIRE_INVALID',
  'PEER_LOST',
  'PLACEMENT_FAILED',
];

/** A failure of a command, with everything that the shell and the user are told of it. */
export interface Failure {
  /**
   * Exit code of the process.
   *
   * 0: work that saves was ended before it began. 2: wrong input. 3: an actor or a peer was lost, unless the node gave an
   * exit code of its own. 129, 130, 143: interrupted. 1: anything else.
   */
  readonly exitCode: number;
  readonly code: ErrorCode;
  /** Message for people; empty for a command that has told everything itself. */
  readonly text: string;
  readonly detail: ErrorDetail;
}

/**
 * The failure that a thrown value stands for.
 *
 * @param isVerbose shows the stack of a fault of cxmind, as the variable CXMIND_DEBUG does
 */
export function failureOf(thrown: unknown, isVerbose = false): Failure {
  const withStack = isVerbose || process.env['CXMIND_DEBUG'] !== undefined;
  const failure = firstFailure(thrown);
  if (failure instanceof CxmindError || isSystemError(failure)) {
    const error = asCxmindError(failure);
    const { code, detail } = error;
    return { exitCode: exitCodeOf(error), code, text: textOf(error, withStack), detail };
  }
  const exitCode = oclifExitCode(failure);
  if (exitCode === undefined) {
    return { exitCode: 1, code: 'INTERNAL', text: faultText(failure, withStack), detail: {} };
  }
  const text = hasSpoken(failure) ? '' : (failure as Error).message;
  return { exitCode, code: 'CONFIG_INVALID', text, detail: {} };
}

function exitCodeOf(error: CxmindError): number {
  const { exitCode } = error.detail;
  if (error.code === 'PEER_LOST' && typeof exitCode === 'number' && exitCode > 0) return exitCode;
  if (inputCodes.includes(error.code)) return 2;
  if (actorCodes.includes(error.code)) return 3;
  if (error.code === 'RUNTIME_CANCELLED') {
    const { signal = 'SIGINT', isOrderly } = error.detail;
    return isOrderly === true ? 0 : exitCodeOfSignal(signal as NodeJS.Signals);
  }
  return 1;
}

function textOf(error: CxmindError, withStack: boolean): string {
  if (error.code === 'INTERNAL') return faultText(error, withStack);
  const lines = [error.message];
  for (let at = error.cause; at instanceof Error; at = at.cause) {
    // The error that wraps an error of the operating system says the same in words.
    if (isSystemError(at) && at !== error.cause) break;
    // A message that names its cause contains the cause's first line.
    const [first = ''] = refusalText(at).split('\n');
    if (!lines.some((line) => line.includes(first))) lines.push(`  caused by: ${at.message}`);
  }
  return lines.join('\n');
}

/** A fault of cxmind in one line, or its stack where that is asked for. */
function faultText(thrown: unknown, withStack: boolean): string {
  const stack = thrown instanceof Error ? thrown.stack : undefined;
  if (stack !== undefined && withStack) return stack;
  return `${messageOf(thrown)} (a fault of cxmind: CXMIND_DEBUG=1 shows where)`;
}

/** True for the exit of a command that has said everything itself, such as `help` and `doctor`. */
function hasSpoken(failure: unknown): boolean {
  return failure instanceof Error && 'code' in failure && failure.code === 'EEXIT';
}

/** The exit code of oclif's own errors: wrong flags, unknown commands, help that was shown. */
function oclifExitCode(thrown: unknown): number | undefined {
  if (!(thrown instanceof Error) || !('oclif' in thrown)) return undefined;
  const { exit } = thrown.oclif as { exit?: unknown };
  return typeof exit === 'number' ? exit : 2;
}
