import assert from 'node:assert/strict';
import { CpuDevice } from '../../../src/device/cpu/device.ts';
import { CpuWorkspace } from '../../../src/device/cpu/workspace.ts';

describe('CpuWorkspace', () => {
  const device = new CpuDevice({ threads: 1 });
  after(() => device[Symbol.dispose]());

  it('cuts tensors that do not overlap, at multiples of 64 bytes', () => {
    const workspace = new CpuWorkspace(device);
    const a = workspace.take('f32', [3, 5]);
    const b = workspace.take('i64', [2]);
    const c = workspace.take('u8', [1]);
    a.data.fill(1);
    b.data.fill(2n);
    c.data.fill(3);
    assert.ok(a.data.every((value) => value === 1));
    assert.ok(b.data.every((value) => value === 2n));
    for (const { data } of [a, b, c]) assert.equal(data.byteOffset % 64, 0);
    assert.deepEqual([a.shape, b.shape, c.shape], [[3, 5], [2], [1]]);
  });

  it('gives the same memory again after reset', () => {
    const workspace = new CpuWorkspace(device);
    const first = workspace.take('f32', [100]);
    const held = workspace.sizeBytes;
    workspace.reset();
    const second = workspace.take('f32', [100]);
    assert.equal(second.data.buffer, first.data.buffer);
    assert.equal(second.data.byteOffset, first.data.byteOffset);
    assert.equal(workspace.sizeBytes, held);
  });

  it('gives back only what was taken in a scope', () => {
    const workspace = new CpuWorkspace(device);
    const kept = workspace.take('f32', [4]);
    const scope = workspace.scope();
    const first = workspace.take('f32', [4]);
    scope[Symbol.dispose]();
    const second = workspace.take('f32', [4]);
    assert.equal(second.data.byteOffset, first.data.byteOffset);
    assert.notEqual(second.data.byteOffset, kept.data.byteOffset);
  });

  it('takes a slab of its own size for a tensor larger than a slab', () => {
    const workspace = new CpuWorkspace(device);
    const small = workspace.take('f32', [4]);
    const large = workspace.take('f32', [5 * 2 ** 20]);
    assert.equal(large.data.length, 5 * 2 ** 20);
    assert.notEqual(large.data.buffer, small.data.buffer);
    const held = workspace.sizeBytes;
    workspace.reset();
    workspace.take('f32', [4]);
    workspace.take('f32', [5 * 2 ** 20]);
    assert.equal(workspace.sizeBytes, held);
  });

  it('goes back to an earlier slab at the end of a scope', () => {
    const workspace = new CpuWorkspace(device);
    workspace.take('u8', [2 ** 22]);
    const scope = workspace.scope();
    workspace.take('u8', [2 ** 23]);
    scope[Symbol.dispose]();
    const held = workspace.sizeBytes;
    workspace.take('u8', [2 ** 22]);
    assert.equal(workspace.sizeBytes, held);
  });

  it('holds no more than twice what passes need at most, however their sizes change', () => {
    const workspace = new CpuWorkspace(device);
    let most = 0;
    for (let pass = 0; pass < 40; pass++) {
      const scope = workspace.scope();
      let needed = 0;
      for (let block = 0; block < 6; block++) {
        const bytes = 2 ** 20 * (1 + ((pass * 7 + block * 5) % 13));
        workspace.take('u8', [bytes]);
        needed += bytes;
        if (block === 2) {
          most = Math.max(most, needed);
          scope[Symbol.dispose]();
          needed = 0;
        }
      }
      most = Math.max(most, needed);
      workspace.reset();
    }
    assert.ok(workspace.sizeBytes < 2 * most, `${workspace.sizeBytes} bytes for ${most}`);
    const [first, second] = [workspace.take('u8', [most - 64]), workspace.take('u8', [64])];
    assert.equal(first.data.buffer, second.data.buffer);
  });

  it('gives slabs that it drops back to the system at once', () => {
    const workspace = new CpuWorkspace(device);
    const resident = (): number => process.memoryUsage.rss() / 2 ** 20;
    for (let i = 0; i < 3; i++) workspace.take('u8', [2 ** 24]).data.fill(1);
    const full = resident();
    workspace.reset();
    workspace.take('u8', [1]);
    // Nothing but the slabs comes and goes between the two readings, which follow each other in one turn.
    if (process.platform === 'linux') {
      assert.ok(full - resident() > 40, `${full} MiB, then ${resident()}`);
    }
    assert.ok(workspace.sizeBytes >= 3 * 2 ** 24);
    workspace[Symbol.dispose]();
    assert.equal(workspace.sizeBytes, 0);
  });

  it('has tensors without elements', () => {
    const workspace = new CpuWorkspace(device);
    assert.equal(workspace.take('f32', [0, 7]).data.length, 0);
    assert.equal(workspace.take('f32', []).data.length, 1);
  });
});
