/** Lines of `--json`: every kind, and its fields. */
import type { StepLine, SupervisedLine } from '../../../actors/trainer/report/reporter.ts';
import { snakeCase as snakeName } from '../../check/codec.ts';
import type { LogLine } from '../../dashboard/api.ts';
import type { Finding } from '../../doctor/finding.ts';
import type { ErrorCode, ErrorDetail } from '../../errors.ts';
import type { RowResponse } from '../respond.ts';

/** One line of `--json`; the page of the commands says what each kind tells. A number that is not finite is null. */
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
