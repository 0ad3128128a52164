import assert from 'node:assert/strict';
import { chmodSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Rendezvous } from '../../../../transport/launch/rendezvous.ts';
import { makeRunKeys, ticketFor } from '../../../../transport/zmq/keys.ts';
import { TemporaryDirectory } from '../../../support/temporary-directory.ts';

const ticket = ticketFor('tcp://*:4000,4001', makeRunKeys());
const invitation = { ticket, addresses: ['10.0.0.1', 'fd00::1'] };
const soon = (): number => performance.now() + 300;

describe('Rendezvous', () => {
  let folder: TemporaryDirectory;
  beforeEach(() => {
    folder = new TemporaryDirectory();
  });
  afterEach(() => folder[Symbol.dispose]());

  it('hands an invitation to whoever comes before or after it, in a file only its user may read', async () => {
    const path = join(folder.path, 'new');
    const early = new Rendezvous(path, 'job').find(performance.now() + 10_000);
    const head = new Rendezvous(path, 'job');
    await head.invite(invitation);
    assert.deepEqual(await early, invitation);
    assert.deepEqual(await new Rendezvous(path, 'job').find(soon()), invitation);
    const [file, ...more] = readdirSync(path);
    assert.equal(file, '.cxmind-job.ticket');
    assert.deepEqual(more, []);
    assert.equal(statSync(join(path, file)).mode & 0o777, 0o600);
    await head.close();
    assert.deepEqual(readdirSync(path), []);
  });

  it('finds nothing of another job', async () => {
    await new Rendezvous(folder.path, 'one').invite(invitation);
    assert.equal(await new Rendezvous(folder.path, 'other').find(soon()), undefined);
  });

  it('takes the place of what an earlier run left', async () => {
    const other = { ...invitation, addresses: ['10.0.0.9'] };
    await new Rendezvous(folder.path, 'job').invite(other);
    await new Rendezvous(folder.path, 'job').invite(invitation);
    assert.deepEqual(await new Rendezvous(folder.path, 'job').find(soon()), invitation);
  });

  it('waits on when the file is none that it knows', async () => {
    chmodSync(folder.write('.cxmind-job.ticket', '{"ticket": 1}'), 0o600);
    assert.equal(await new Rendezvous(folder.path, 'job').find(soon()), undefined);
  });

  it('refuses a file that others may read', async () => {
    await new Rendezvous(folder.path, 'job').invite(invitation);
    chmodSync(join(folder.path, '.cxmind-job.ticket'), 0o644);
    await assert.rejects(new Rendezvous(folder.path, 'job').find(soon()), {
      code: 'CONFIG_INVALID',
      message: /\.cxmind-job\.ticket: holds keys, and its mode 644 is too open$/,
    });
  });

  it('says which folder it cannot write to', async () => {
    const path = folder.write('file', '');
    await assert.rejects(new Rendezvous(path, 'job').invite(invitation), {
      code: 'CONFIG_INVALID',
      message: `rendezvous: cannot write to ${path}: file already exists; name another folder with --rendezvous`,
    });
  });
});
