import assert from 'node:assert/strict';
import { memoryLimit, processorQuota, threadLimit } from '../../../src/doctor/cgroup.ts';
import { madeMachine } from '../../support/made-machine.ts';

const at = '/sys/fs/cgroup';

describe('the limits of control groups', () => {
  it('are none where nothing limits, or nothing is known', () => {
    const free = { [`${at}/cpu.max`]: 'max 100000\n', [`${at}/memory.max`]: 'max\n' };
    for (const files of [free, { '/proc/self/cgroup': null }]) {
      const machine = madeMachine({ files });
      assert.equal(processorQuota(machine), Infinity);
      assert.equal(memoryLimit(machine), Infinity);
      assert.equal(threadLimit(machine), Infinity);
    }
  });

  it('are the least of the own group and those around it', () => {
    const files = {
      '/proc/self/cgroup': '0::/job.slice/task\n',
      [`${at}/job.slice/task/cpu.max`]: '400000 100000\n',
      [`${at}/job.slice/cpu.max`]: '50000 20000\n',
      [`${at}/job.slice/task/memory.max`]: '1000\n',
      [`${at}/job.slice/memory.max`]: '2000\n',
      [`${at}/pids.max`]: '30\n',
    };
    const machine = madeMachine({ files });
    assert.equal(processorQuota(machine), 2.5);
    assert.equal(memoryLimit(machine), 1000);
    assert.equal(threadLimit(machine), 30);
  });

  it('are read in the first version too', () => {
    const files = {
      '/proc/self/cgroup':
        '4:memory:/job\n3:cpu,cpuacct:/job\n2:pids:/job\n1:name=systemd:/\n0::/\n',
      [`${at}/cpu/job/cpu.cfs_quota_us`]: '150000\n',
      [`${at}/cpu/job/cpu.cfs_period_us`]: '100000\n',
      [`${at}/cpu/cpu.cfs_quota_us`]: '-1\n',
      [`${at}/cpu/cpu.cfs_period_us`]: '100000\n',
      [`${at}/memory/job/memory.limit_in_bytes`]: '5000\n',
      [`${at}/memory/memory.limit_in_bytes`]: '9223372036854771712\n',
      [`${at}/pids/job/pids.max`]: '40\n',
    };
    const machine = madeMachine({ files });
    assert.equal(processorQuota(machine), 1.5);
    assert.equal(memoryLimit(machine), 5000);
    assert.equal(threadLimit(machine), 40);
  });
});
