/** Commands of cxmind, run in a process of their own or in this one. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { main } from '../../src/cli/main.ts';
import { JsonOutput } from '../../src/cli/output/json-output.ts';
import { mannerOf } from '../../src/cli/output/output.ts';
import { TextOutput } from '../../src/cli/output/text-output.ts';

/** The file of the program that `npx cxmind` runs. */
export const bin = join(import.meta.dirname, '../../bin/cxmind.js');

/** A program that was started, and its output so far. */
export interface Running {
  readonly child: ChildProcess;
  readonly output: { stdout: string; stderr: string };
  /** Exit code, or the name of the signal. */
  readonly ended: Promise<number | string>;
}

/** Starts a program with variables beside those of this process. */
export function start(
  program: string,
  args: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): Running {
  const env = { ...process.env, ...variables };
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env });
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (bytes: Buffer) => (output.stdout += bytes.toString()));
  child.stderr.on('data', (bytes: Buffer) => (output.stderr += bytes.toString()));
  const ended = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string);
  return { child, output, ended };
}

/** Starts a command of cxmind. */
export function cxmind(
  args: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): Running {
  return start(process.execPath, [bin, ...args], variables);
}

/** Exit code of a command, its output to each stream, and `text`, its output to both in the order of writing. */
export interface Told {
  readonly exitCode: number;
  readonly text: string;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command in this process. */
export async function runHere(
  args: readonly string[],
  variables: Readonly<Record<string, string>> = {},
  terminal: { readonly columns?: number } = {},
): Promise<Told> {
  const { env } = process;
  const written: { name: string; text: string }[] = [];
  const streamOf = (name: string): NodeJS.WriteStream => {
    const write = (bytes: Buffer, _: string, done: () => void): void => {
      written.push({ name, text: bytes.toString() });
      done();
    };
    const kind = { isTTY: terminal.columns !== undefined, ...terminal };
    return Object.assign(new Writable({ write }), kind) as unknown as NodeJS.WriteStream;
  };
  const textOf = (...names: readonly string[]): string =>
    written.flatMap(({ name, text }) => (names.includes(name) ? text : [])).join('');
  process.env = { ...env, ...variables };
  try {
    const output = new TextOutput('usual', {
      stdout: streamOf('stdout'),
      stderr: streamOf('stderr'),
    });
    const exitCode = await main(args, output);
    const [stdout, stderr] = [textOf('stdout'), textOf('stderr')];
    return { exitCode, text: textOf('stdout', 'stderr').trimEnd(), stdout, stderr };
  } finally {
    process.env = env;
  }
}

/** A line of a command with `--json`. */
export type JsonLine = Readonly<Record<string, unknown>> & { readonly event: string };

/** Runs a command with `--json` in this process. @param lines get what it writes, as soon as it is written */
export function runJson(argv: readonly string[], lines: JsonLine[] = []): Promise<number> {
  const whole = [...argv, '--json'];
  const output = new JsonOutput(mannerOf(whole).level, (text, written) => {
    assert.match(text, /^[^\n]+\n$/);
    lines.push(JSON.parse(text) as JsonLine);
    written();
  });
  return main(whole, output);
}

/** Waits until a condition holds, as long as the test's time limit allows. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await delay(50);
}
