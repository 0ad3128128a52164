import assert from 'node:assert/strict';
import {
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { modelDirectory } from '../../../src/hub/model.ts';
import { isCommit, isSafeName } from '../../../src/hub/names.ts';
import { openRepository } from '../../../src/hub/repository.ts';
import { hubSettings, type HubSettings } from '../../../src/hub/settings.ts';
import { HubServer, type ServedRepository } from '../../support/hub-server.ts';
import { directoryForEach, TemporaryDirectory } from '../../support/temporary-directory.ts';

const large = Buffer.alloc(100_000, 7);
const open: ServedRepository = {
  id: 'datasets/clinic/chest',
  files: { 'README.md': '# Chest', 'data/train.parquet': large, 'a.json': '[]', 'empty.json': '' },
};
const closed: ServedRepository = { ...open, id: 'datasets/clinic/closed', token: 'hf_secret' };
const model: ServedRepository = {
  id: 'maker/model',
  files: {
    'config.json': '{}',
    'model.safetensors': large,
    'pytorch_model.bin': 'old weights',
    'onnx/model.onnx': 'other weights',
  },
};

const outside: ServedRepository[] = [
  { id: 'datasets/outside/a', files: { 'a.json': '[]', '../../../evil.json': '[]' } },
  { id: 'datasets/outside/b', files: { '/tmp/evil.json': '[]' } },
];

describe('the hub', () => {
  let server: HubServer;
  const cache = directoryForEach();
  const settings = (changes: Partial<HubSettings> = {}): HubSettings => ({
    url: server.url,
    cacheDirectory: cache.path,
    token: null,
    isOffline: false,
    ...changes,
  });
  beforeEach(async () => {
    server = await HubServer.start([open, closed, model, ...outside]);
  });
  afterEach(() => server[Symbol.asyncDispose]());

  it('lists a repository and keeps its files as huggingface_hub does', async () => {
    const repository = await openRepository('dataset', 'clinic/chest', settings());
    assert.deepEqual(repository.files, ['README.md', 'a.json', 'data/train.parquet', 'empty.json']);
    await repository.fetch(['data/train.parquet', 'a.json', 'empty.json']);
    const commit = HubServer.commitOf(open);
    const folder = join(cache.path, 'datasets--clinic--chest');
    assert.equal(readFileSync(join(folder, 'refs/main'), 'utf8'), commit);
    assert.equal(repository.directory, join(folder, 'snapshots', commit));
    const pointer = join(repository.directory, 'data/train.parquet');
    assert.ok(lstatSync(pointer).isSymbolicLink());
    assert.ok(large.equals(readFileSync(pointer)));
    assert.equal(readFileSync(join(repository.directory, 'empty.json'), 'utf8'), '');
    assert.ok(!existsSync(join(repository.directory, 'README.md')), 'it was not asked for');
    assert.ok(readdirSync(join(folder, 'blobs')).every((name) => /^[0-9a-f]{40,64}$/.test(name)));
  });

  it('asks for nothing twice, and for nothing at all offline', async () => {
    const first = await openRepository('dataset', 'clinic/chest', settings());
    await first.fetch(['a.json']);
    const transfers = (): number =>
      server.requests.filter(({ url }) => url.includes('resolve')).length;
    const before = transfers();
    const again = await openRepository('dataset', 'clinic/chest', settings());
    await again.fetch(['a.json']);
    assert.equal(transfers(), before);
    const requests = server.requests.length;
    const offline = await openRepository('dataset', 'clinic/chest', settings({ isOffline: true }));
    assert.deepEqual([offline.directory, offline.files], [first.directory, ['a.json']]);
    assert.equal(server.requests.length, requests);
    await assert.rejects(openRepository('dataset', 'clinic/other', settings({ isOffline: true })), {
      code: 'DATA_INVALID',
      message: /clinic\/other: no such file .* not in the cache .*HF_HUB_OFFLINE is set/,
    });
  });

  it('takes what the cache has when the hub cannot be reached', async () => {
    const url = 'http://127.0.0.1:9';
    await assert.rejects(openRepository('model', 'maker/model', settings({ url })), {
      code: 'CHECKPOINT_INVALID',
      message: /maker\/model: .* cannot be asked: /,
    });
    const repository = await openRepository('dataset', 'clinic/chest', settings());
    await repository.fetch(['a.json']);
    const cached = await openRepository('dataset', 'clinic/chest', settings({ url }));
    assert.equal(cached.directory, repository.directory);
    const ref = join(cache.path, 'datasets--clinic--chest', 'refs/main');
    rmSync(ref);
    symlinkSync('/dev/zero', ref);
    await assert.rejects(openRepository('dataset', 'clinic/chest', settings({ url })), {
      message: /cannot be asked/,
    });
  });

  it('shows its token to the hub alone', async () => {
    const repository = await openRepository(
      'dataset',
      'clinic/closed',
      settings({ token: 'hf_secret' }),
    );
    await repository.fetch(['data/train.parquet']);
    const hosts = new Map(server.requests.map((request) => [request.host.split(':')[0], request]));
    assert.equal(hosts.get('127.0.0.1')?.authorization, 'Bearer hf_secret');
    assert.equal(hosts.get('localhost')?.authorization, null);
  });

  it('says what to do about a repository that is not shown', async () => {
    const refused = (id: string, token: string | null, message: RegExp): Promise<void> =>
      assert.rejects(openRepository('dataset', id, settings({ token })), {
        code: 'DATA_INVALID',
        message,
      });
    await refused('clinic/closed', null, /clinic\/closed: .* \(401\): .* set HF_TOKEN/);
    await refused(
      'clinic/none',
      'hf_other',
      /clinic\/none: .* no data set of that name on the hub/,
    );
  });

  it('fetches a file again whose transfer broke, and leaves no half of one', async () => {
    server.broken = 2;
    const repository = await openRepository('dataset', 'clinic/chest', settings());
    await repository.fetch(['data/train.parquet']);
    assert.ok(large.equals(readFileSync(join(repository.directory, 'data/train.parquet'))));
    server.broken = 3;
    await assert.rejects(repository.fetch(['a.json']), { code: 'DATA_INVALID' });
    const blobs = readdirSync(join(cache.path, 'datasets--clinic--chest/blobs'));
    assert.deepEqual(
      blobs.filter((name) => name.includes('incomplete')),
      [],
    );
  });

  it('takes no content for a file whose hash is another, or that is here in half', async () => {
    server.spoilt = 1;
    const repository = await openRepository('dataset', 'clinic/chest', settings());
    const blobs = join(cache.path, 'datasets--clinic--chest/blobs');
    await repository.fetch(['a.json']);
    assert.equal(readFileSync(join(repository.directory, 'a.json'), 'utf8'), '[]');
    server.spoilt = 3;
    await assert.rejects(repository.fetch(['data/train.parquet']), {
      code: 'DATA_INVALID',
      message: /data\/train\.parquet: its content has the hash [0-9a-f]{64}, not [0-9a-f]{64}/,
    });
    assert.equal(readdirSync(blobs).length, 1);
    await repository.fetch(['data/train.parquet']);
    const pointer = join(repository.directory, 'data/train.parquet');
    truncateSync(pointer, 10);
    await repository.fetch(['data/train.parquet']);
    assert.ok(large.equals(readFileSync(pointer)));
  });

  it('refuses a listing of which a file would lie elsewhere', async () => {
    for (const id of ['outside/a', 'outside/b']) {
      await assert.rejects(openRepository('dataset', id, settings()), {
        code: 'DATA_INVALID',
        message: /^outside\/.: the hub at .* lists a file that cannot be kept: \{"path":"/,
      });
    }
    assert.deepEqual(readdirSync(cache.path), []);
  });

  it('keeps every file that it keeps inside of its folder', () => {
    const parts = fc.array(
      fc.constantFrom('..', '.', '', '/', '\\', '\0', 'a', 'é', 'x'.repeat(300)),
    );
    const blob = '0'.repeat(64);
    fc.assert(
      fc.property(parts, fc.boolean(), (some, isBlob) => {
        const name = some.join(some.length % 2 === 0 ? '/' : '');
        if (isBlob) {
          assert.ok(!isSafeName({ path: 'a', blob: name, sizeBytes: 1 }));
          return;
        }
        const isSafe = isSafeName({ path: name, blob, sizeBytes: 1 });
        const path = join('/cache/snapshot', name);
        if (isSafe) assert.equal(path, `/cache/snapshot/${name}`);
        assert.ok(!isCommit(name));
      }),
    );
    assert.ok(isSafeName({ path: 'data/..train.a b', blob, sizeBytes: 0 }));
    for (const sizeBytes of [-1, 1.5, NaN, Infinity, 2 ** 60]) {
      assert.ok(!isSafeName({ path: 'a', blob, sizeBytes }));
    }
  });

  it('downloads of a model what a checkpoint is read from', async () => {
    const directory = await modelDirectory('maker/model', settings());
    assert.deepEqual(readdirSync(directory).sort(), ['config.json', 'model.safetensors']);
    assert.equal(await modelDirectory(directory, settings()), directory);
    assert.equal(await modelDirectory('no/such/path', settings()), 'no/such/path');
  });

  it('is set up by the variables of huggingface_hub', () => {
    using home = new TemporaryDirectory();
    home.write('token', 'hf_saved\n');
    assert.deepEqual(hubSettings({ HF_HOME: home.path, HF_ENDPOINT: 'https://mirror.example/' }), {
      url: 'https://mirror.example',
      cacheDirectory: join(home.path, 'hub'),
      token: 'hf_saved',
      isOffline: false,
    });
    assert.equal(hubSettings({ HF_HOME: '~/hf' }).cacheDirectory, join(homedir(), 'hf/hub'));
    const told = hubSettings({ HF_HUB_CACHE: '/c', HF_TOKEN: 'hf_x', HF_HUB_OFFLINE: '1' });
    assert.deepEqual(told, {
      url: 'https://huggingface.co',
      cacheDirectory: '/c',
      token: 'hf_x',
      isOffline: true,
    });
  });
});
