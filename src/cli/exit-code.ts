import { asCxmindError, CxmindError, isSystemError, type ErrorCode } from '../errors.ts';

const inputCodes: readonly ErrorCode[] = [
  'CONFIG_INVALID',
  'CHECKPOINT_INVALID',
  'DATA_INVALID',
  'REWARD_INVALID',
];

const actorCodes: readonly ErrorCode[] = [
  'ACTOR_TIMEOUT',
  'ACTOR_STOPPED',
  'ACTOR_CRASHED',
  'WIRE_INVALID',
  'PEER_LOST',
  'PLACEMENT_FAILED',
];

/** What a command's failure tells the shell, and what it prints. */
export interface Failure {
  /** 2: wrong input; 3: an actor or a peer was lost, or a node's own exit code; 130, 143: interrupted; 1: anything else. */
  readonly exitCode: number;
  readonly text: string;
}

/** A readable account of whatever a command threw; only a fault of our own comes with a stack. */
export function failureOf(thrown: unknown): Failure {
  if (thrown instanceof CxmindError || isSystemError(thrown)) {
    const error = asCxmindError(thrown);
    return { exitCode: exitCodeOf(error), text: textOf(error) };
  }
  const exitCode = oclifExitCode(thrown);
  if (exitCode === undefined) {
    const text = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
    return { exitCode: 1, text };
  }
  return { exitCode, text: exitCode === 0 ? '' : (thrown as Error).message };
}

function exitCodeOf(error: CxmindError): number {
  const { exitCode } = error.detail;
  if (error.code === 'PEER_LOST' && typeof exitCode === 'number' && exitCode > 0) return exitCode;
  if (inputCodes.includes(error.code)) return 2;
  if (actorCodes.includes(error.code)) return 3;
  if (error.code === 'RUNTIME_CANCELLED') return error.detail['signal'] === 'SIGTERM' ? 143 : 130;
  return 1;
}

function textOf(error: CxmindError): string {
  if (error.code === 'INTERNAL') return error.stack ?? error.message;
  const causes: string[] = [];
  for (let at = error.cause; at instanceof Error; at = at.cause) {
    if (isSystemError(at) && error.code === 'IO_FAILED') break;
    if (!error.message.includes(at.message)) causes.push(`  caused by: ${at.message}`);
  }
  return [error.message, ...causes].join('\n');
}

/** The exit code oclif put on its own errors: wrong flags, unknown commands, help that was shown. */
function oclifExitCode(thrown: unknown): number | undefined {
  if (!(thrown instanceof Error) || !('oclif' in thrown)) return undefined;
  const { exit } = thrown.oclif as { exit?: unknown };
  return typeof exit === 'number' ? exit : 2;
}
