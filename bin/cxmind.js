#!/usr/bin/env node
// Starts cxmind on Node 24 or newer: on the running Node where that will do, else on the one that the
// `node` package brings. Plain JavaScript, so that Node 18 can read it.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { keepCompiledCode } from './compile-cache.js';
import { refuseDebuggerSignal } from './debugger-signal.js';
import { exposeCollector } from './expose-collector.js';

refuseDebuggerSignal();

const oldestNode = 24;
const relaunched = 'CXMIND_RELAUNCHED';

const self = fileURLToPath(import.meta.url);
const root = dirname(dirname(self));

if (Number(process.versions.node.split('.')[0]) >= oldestNode) {
  if (process.env[relaunched] !== undefined) followParent();
  await start();
} else if (process.env[relaunched] === undefined) {
  relaunch(pinnedNode());
} else {
  fail(`cxmind needs Node ${oldestNode} or newer, the pinned one is ${process.versions.node}`);
}

/** Runs the sources of a checkout, which Node refuses to read under node_modules, or else the build. */
async function start() {
  exposeCollector();
  keepCompiledCode();
  const source = join(root, 'src', 'cli', 'main.ts');
  const isCheckout = existsSync(source) && !root.split(sep).includes('node_modules');
  const entry = isCheckout ? source : join(root, 'dist', 'src', 'cli', 'main.js');
  const { runProcess } = await import(pathToFileURL(entry).href);
  process.exitCode = await runProcess(process.argv.slice(2));
}

function pinnedNode() {
  try {
    const manifest = createRequire(import.meta.url).resolve('node/package.json');
    const binary = join(
      dirname(manifest),
      'bin',
      process.platform === 'win32' ? 'node.exe' : 'node',
    );
    if (existsSync(binary)) return binary;
  } catch {
    // Told below, like a package without its binary.
  }
  return fail(
    `cxmind needs Node ${oldestNode} or newer, this is ${process.versions.node}; ` +
      'the `node` package that brings one was not installed whole: run `npm rebuild node`, ' +
      'after `npm install-scripts approve node` where npm asks for it',
  );
}

/** Becomes the pinned Node as far as a process can: its streams, its signals and its exit are ours. */
function relaunch(binary) {
  const options = [...process.execArgv, '--disable-sigusr1'];
  const child = spawn(binary, [...options, self, ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, [relaunched]: '1' },
  });
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'];
  for (const signal of signals) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => fail(`cxmind: cannot start ${binary}: ${error.message}`));
  child.on('exit', (code, signal) => {
    for (const each of signals) process.removeAllListeners(each);
    if (signal === null) process.exitCode = code ?? 1;
    else process.kill(process.pid, signal);
  });
}

/** Ends this process when the one that relaunched it is gone, even when that was killed outright. */
function followParent() {
  delete process.env[relaunched];
  process.once('disconnect', () => process.kill(process.pid, 'SIGINT'));
  process.channel?.unref();
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
