/** Lines of `--json`: every kind of them, and what is in it. */
import type { StepLine, SupervisedLine } from '../../../actors/trainer/report/reporter.ts';
import { snakeCase as snakeName } from '../../check/codec.ts';
import type { LogLine } from '../../dashboard/api.ts';
import type { Finding } from '../../doctor/finding.ts';
import type { ErrorCode, ErrorDetail } from '../../errors.ts';
import type { RowResponse } from '../respond.ts';

/** One line of `--json`. A number that is not finite is null. */
export type Event =
  | { readonly event: 'note' | 'detail' | 'warning'; readonly text: string }
  | {
      readonly event: 'phase';
      readonly name: string;
      readonly done: number;
      readonly total: number;
      readonly seconds: number;
    }
  | ({ readonly event: 'step' } & SnakeCase<StepLine>)
  | ({ readonly event: 'sft_step' } & SnakeCase<SupervisedLine>)
  | ({ readonly event: 'finding' } & Finding)
  | ({ readonly event: 'response' } & SnakeCase<RowResponse>)
  | { readonly event: 'listening'; readonly url: string; readonly model?: string }
  | ({ readonly event: 'log'; readonly name: string } & Omit<LogLine, 'event'>)
  | { readonly event: 'output'; readonly stream: 'stdout' | 'stderr'; readonly text: string }
  | { readonly event: 'result'; readonly command: string; readonly [fact: string]: unknown }
  | {
      readonly event: 'error';
      readonly code: ErrorCode;
      readonly message: string;
      readonly detail: ErrorDetail;
      readonly exit_code: number;
    };

/** Meaning and fields of each kind of line. The page of the commands has this table. */
export const eventDocs: Readonly<Record<Event['event'], string>> = {
  note: 'how work goes, in words: `text`',
  detail: 'the same, with --verbose alone: `text`',
  warning: 'something to look into; work goes on: `text`',
  phase: 'a phase that has ended, with --verbose alone: `name`, `done`, `total`, `seconds`',
  step:
    'a step of reinforcement learning: `step`, `steps`, `seconds`, `seconds_left`, `reward`, `accuracy`, `kl`, ' +
    '`clip_fraction`, `grad_norm`, `response_length`, `tokens_per_second`',
  sft_step:
    'a step of supervised training: `step`, `steps`, `seconds`, `seconds_left`, `loss`, `grad_norm`, ' +
    '`learning_rate`, `tokens_per_second`',
  finding: 'a line of `doctor`: `check`, `verdict`, `says`, and `mend` where a command mends it',
  response:
    'a response of `generate`: `index`, `sample`, `response`, `token_ids`, `log_probs`, `finish_reason`',
  listening: 'a server takes requests: `url`, and `model` of `serve`',
  log: 'a line of `logs`: `time`, `level`, `name`, `fields`',
  output: 'what a node of `launch` printed: `stream`, `text`',
  result: 'the last line of a command that did its work: `command`, and what came of it',
  error: 'the last line of one that failed: `code`, `message`, `detail`, `exit_code`',
};

/** An object with its keys in the style of metrics and files: `grad_norm`. */
export type SnakeCase<T> = { readonly [K in keyof T & string as SnakeName<K>]: T[K] };

type SnakeName<S extends string> = S extends `${infer Head}${infer Rest}`
  ? Rest extends Uncapitalize<Rest>
    ? `${Uncapitalize<Head>}${SnakeName<Rest>}`
    : `${Uncapitalize<Head>}_${SnakeName<Uncapitalize<Rest>>}`
  : S;

/** `snakeCase({ gradNorm: 1 })` is `{ grad_norm: 1 }`. */
export function snakeCase<T extends object>(object: T): SnakeCase<T> {
  const entries = Object.entries(object);
  return Object.fromEntries(
    entries.map(([name, value]) => [snakeName(name), value as unknown]),
  ) as SnakeCase<T>;
}
