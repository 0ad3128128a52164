import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import type { Finding } from '../../../src/doctor/finding.ts';
import { cxmind } from '../../support/cxmind-process.ts';

describe('doctor', () => {
  it('tells what this machine has, and ends with 0', async () => {
    const { output, ended } = cxmind(['doctor']);
    assert.equal(await ended, 0);
    assert.equal(output.stderr, '');
    assert.match(output.stdout, /^ok {13}ONNX Runtime {3}computes on the processor$/m);
    const cores = execFileSync('nproc').toString().trim();
    assert.match(output.stdout, new RegExp(` cores .*\\b${cores}\\b`));
  });

  it('ends with 1 where something is broken, and says in JSON how to mend it', async () => {
    const { output, ended } = cxmind(['doctor', '--json'], {
      PATH: '/nowhere',
      CXMIND_ONNXRUNTIME: '/nowhere/libonnxruntime.so',
    });
    assert.equal(await ended, 1);
    assert.equal(output.stderr, '');
    const lines = output.stdout.trim().split('\n');
    const events = lines.map((line) => JSON.parse(line) as Finding & { event: string });
    const findings = events.filter(({ event }) => event === 'finding');
    const result = { event: 'result', command: 'doctor', findings: findings.length, broken: 1 };
    assert.deepEqual(events.at(-1), result);
    assert.equal(events.length, findings.length + 1);
    const bad = (verdict: string): string[] =>
      findings.filter((finding) => finding.verdict === verdict).map(({ check }) => check);
    assert.deepEqual(bad('broken'), ['ONNX Runtime']);
    for (const name of ['ffmpeg', 'python3']) assert.ok(bad('worth knowing').includes(name));
    const { mend } = findings.find(({ verdict }) => verdict === 'broken')!;
    assert.equal(mend, 'unset CXMIND_ONNXRUNTIME');
  });
});
