import assert from 'node:assert/strict';
import { checkHost, type HostAnswer } from '../../../src/doctor/hosts.ts';

const own = { line: 'cxmind/0.1.0 linux-x64 node-v24.1.0', root: '/opt/cx mind' };
const address = { host: 'node01', user: undefined, port: undefined };

/** An answer that took from second 100 to second 102, by a clock that is so many seconds ahead. */
function answer(ahead: number, differences: Partial<HostAnswer> = {}, line = own.line): HostAnswer {
  const stdout = `${(100.5 + ahead).toFixed(9)}\n${line}\n${(101.5 + ahead).toFixed(9)}\n`;
  const times = { sentSeconds: 100, receivedSeconds: 102 };
  return { address, ...times, stdout, failure: null, ...differences };
}

const copy = 'rsync -a "/opt/cx mind/" "node01:/opt/cx mind/"';

describe('the check of a host', () => {
  it('finds nothing where version and clock are ours', () => {
    const found = { check: 'node01', verdict: 'ok', says: own.line };
    assert.deepEqual(checkHost(answer(0), own), [found]);
  });

  it('blames on the clock only what the way there and back cannot explain', () => {
    const skews = [-1.4, 1.4, -4, 3].map((ahead) => checkHost(answer(ahead), own)[1]);
    assert.deepEqual(
      skews.map((finding) => finding?.says.replace(/; .*/, '')),
      [
        ...[undefined, undefined],
        // At most 100.5 - 4 - 100, and at least 101.5 + 3 - 102.
        'its clock is 3.5 s behind this one',
        'its clock is 2.5 s ahead of this one',
      ],
    );
    assert.equal(skews[3]?.verdict, 'worth knowing');
    assert.equal(skews[3].mend, 'ssh node01 sudo chronyc makestep');
  });

  it('finds another version broken, and another platform worth knowing', () => {
    const [other] = checkHost(answer(0, {}, 'cxmind/0.2.0 linux-x64 node-v24.1.0'), own);
    assert.equal(other?.verdict, 'broken');
    assert.equal(other.mend, copy);
    const [arm] = checkHost(answer(0, {}, 'cxmind/0.1.0 linux-arm64 node-v24.1.0'), own);
    assert.equal(arm?.verdict, 'worth knowing');
    assert.match(arm.says, /linux-arm64.*linux-x64/);
  });

  it('tells a host without cxmind from one that ssh does not reach', () => {
    const without = answer(0, { stdout: '100.5\n100.6\n', failure: 'sh: node: not found' });
    const [first] = checkHost(without, own);
    assert.match(first?.says ?? '', /does not start there: sh: node: not found/);
    assert.equal(first?.mend, copy);

    const alice = { host: 'fe80::1', user: 'alice', port: 2222 };
    const mends = [
      ...['Host key verification failed.', 'alice@fe80::1: Permission denied (publickey).'],
      'connect to host fe80::1 port 2222: Connection refused',
    ].map((failure) => checkHost(answer(0, { address: alice, stdout: '', failure }), own));
    assert.deepEqual(
      mends.map(([finding]) => [finding?.verdict, finding?.mend]),
      [
        ['broken', 'ssh-keyscan -p 2222 fe80::1 >> ~/.ssh/known_hosts'],
        ['broken', 'ssh-copy-id -p 2222 alice@fe80::1'],
        ['broken', 'ssh -v -p 2222 alice@fe80::1 date +%s.%N'],
      ],
    );
  });
});
