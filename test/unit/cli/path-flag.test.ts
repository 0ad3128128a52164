import assert from 'node:assert/strict';
import { homedir } from 'node:os';
import { commands } from '../../../src/cli/commands.ts';

/** A flag or an argument, as far as it matters here. */
interface Parsed {
  readonly parse: (input: string, context: unknown, options: unknown) => Promise<unknown>;
}

describe('flags and arguments that name a path', () => {
  it('are read as paths of this machine', async () => {
    const read: string[] = [];
    for (const [command, { args, flags }] of Object.entries(commands)) {
      const all = { ...args, ...flags } as Readonly<Record<string, Parsed>>;
      for (const [name, one] of Object.entries(all)) {
        const value = await one.parse('~', {}, one).catch(() => null);
        if (value === homedir()) read.push(`${command} ${name}`);
      }
    }
    assert.deepEqual(read, [
      ...['folder', 'output', 'reports'].map((name) => `convert ${name}`),
      'doctor hostfile',
      'eval out',
      ...['model', 'image', 'video', 'out', 'image-dir'].map((name) => `generate ${name}`),
      'init directory',
      ...['hostfile', 'default-hostfile', 'rendezvous', 'keys', 'write-keys'].map(
        (name) => `launch ${name}`,
      ),
      'logs run',
      ...['local_dir', 'out', 'base'].map((name) => `merge ${name}`),
      'plan machines',
      'quickstart folder',
      'save run',
      ...['model', 'out', 'grads', 'image-dir'].map((name) => `score ${name}`),
      ...['model', 'allowed-local-media-path'].map((name) => `serve ${name}`),
      'status run',
      'stop run',
      'validate run',
    ]);
  });
});
