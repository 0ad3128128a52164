import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import { hostGroup, joinHostGroup } from '../../../../transport/collectives/host.ts';
import { unlinkHostMemory } from '../../../../transport/collectives/native/host-memory.ts';

describe('the memory of processes of a host', () => {
  it('is open to its user alone, and has no name once every rank has joined', async () => {
    const handle = hostGroup(2);
    assert.equal(statSync(handle.path).mode & 0o777, 0o600);
    await using first = joinHostGroup(handle, 0);
    assert.ok(existsSync(handle.path));
    await using second = joinHostGroup(handle, 1);
    assert.ok(!existsSync(handle.path));
    await Promise.all([first.barrier(), second.barrier()]);
  });

  it('goes when a group is discarded that not every rank has joined', () => {
    const handle = hostGroup(2);
    unlinkHostMemory(handle.path);
    assert.ok(!existsSync(handle.path));
  });
});
