/**
 * Calls of tools in a turn's text, by the formats that models are trained on.
 *
 * `hermes` is that of Nous Hermes and of Qwen2.5: each call stands between `<tool_call>` and `</tool_call>` as JSON with
 * `name` and `arguments`. A broken call is reported to the policy; verl drops it.
 */
import * as t from 'io-ts';
import { parsedJson } from '../check/json.ts';
import type { MultiTurn } from '../config/multi-turn-schema.ts';

/** A call of a tool. */
export interface ToolCall {
  readonly name: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

/** A call as it was written: well formed, or what is wrong with it. */
export type WrittenCall = ToolCall | { readonly problem: string };

/** Readers of calls by their config name (`worker.rollout.multi_turn.format`). */
export const toolCallFormats: Readonly<
  Record<MultiTurn['format'], (text: string) => WrittenCall[]>
> = { hermes: hermesCalls };

const HERMES_CALL = /<tool_call>(.*?)<\/tool_call>/gs;
const NamedCall = t.type({ name: t.string, arguments: t.UnknownRecord });

function hermesCalls(text: string): WrittenCall[] {
  return [...text.matchAll(HERMES_CALL)].map(([, json]) => {
    const value = parsedJson(json!);
    if (value === undefined) return { problem: 'the call is not JSON' };
    if (!NamedCall.is(value)) return { problem: 'the call is not {"name": …, "arguments": {…}}' };
    return { name: value.name, arguments: value.arguments };
  });
}
