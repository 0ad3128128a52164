import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, readdir, rename, stat, truncate, writeFile } from 'node:fs/promises';
import * as os from 'node:os';
import * as path from 'node:path';
import { asCxmindError } from '../../src/errors.ts';
import { failureOf } from '../../src/cli/exit-code.ts';
import { writeSafetensors } from '../../src/model/checkpoint/safetensors.ts';
import { tensorOf } from '../../src/tensor/tensor.ts';
import {
  localPath,
  openToRead,
  readWhole,
  readWholeSync,
  sizeText,
  writeDirectoryAtomically,
  writeFileAtomically,
} from '../../src/files.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';

const files = new URL('../../src/files.ts', import.meta.url).href;

describe('writeDirectoryAtomically', () => {
  let folder: TemporaryDirectory;
  let scratch = '';
  let target = '';
  beforeEach(() => {
    folder = new TemporaryDirectory();
    scratch = folder.path;
    target = path.join(scratch, 'step-5');
  });
  afterEach(() => folder[Symbol.dispose]());

  const put = (content: string) => (directory: string) =>
    writeFile(path.join(directory, 'weights'), content);
  const content = (): Promise<string> => readFile(path.join(target, 'weights'), 'utf8');

  it('writes a new directory and replaces an old one whole, leaving nothing beside it', async () => {
    await writeDirectoryAtomically(target, async (directory) => {
      await put('one')(directory);
      await mkdir(path.join(directory, 'deep'));
      await writeFile(path.join(directory, 'deep', 'file'), 'x');
    });
    assert.equal(await content(), 'one');
    await writeDirectoryAtomically(target, put('two'));
    assert.equal(await content(), 'two');
    assert.deepEqual(await readdir(target), ['weights']);
    assert.deepEqual(await readdir(scratch), ['step-5']);
  });

  it('changes nothing when writing fails', async () => {
    await writeDirectoryAtomically(target, put('one'));
    const failing = writeDirectoryAtomically(target, async (directory) => {
      await put('half')(directory);
      throw new Error('disk full');
    });
    await assert.rejects(failing, /disk full/);
    assert.equal(await content(), 'one');
    assert.deepEqual(await readdir(scratch), ['step-5']);
  });

  it('keeps the old directory when the process is killed in the middle, and cleans up next time', async () => {
    await writeDirectoryAtomically(target, put('one'));
    const program = `
      import { writeFile } from 'node:fs/promises';
      import { writeDirectoryAtomically } from ${JSON.stringify(files)};
      await writeDirectoryAtomically(${JSON.stringify(target)}, async (directory) => {
        await writeFile(directory + '/weights', 'half');
        process.stdout.write('written');
        await new Promise((resolve) => setTimeout(resolve, 60_000));
      });`;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', program]);
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.equal(await content(), 'one');
    assert.deepEqual((await readdir(scratch)).sort(), ['.step-5.partial', 'step-5']);
    await writeDirectoryAtomically(target, put('two'));
    assert.equal(await content(), 'two');
    assert.deepEqual(await readdir(scratch), ['step-5']);
  });

  it('puts back a directory that was set aside and never replaced', async () => {
    await writeDirectoryAtomically(target, put('one'));
    await rename(target, path.join(scratch, '.step-5.replaced'));
    const failing = writeDirectoryAtomically(target, () => Promise.reject(new Error('no')));
    await assert.rejects(failing, /no/);
    assert.equal(await content(), 'one');
    assert.deepEqual(await readdir(scratch), ['step-5']);
  });
});

describe('writeFileAtomically', () => {
  it('gives a file the permissions it is asked for', async () => {
    using folder = new TemporaryDirectory();
    const file = path.join(folder.path, 'config.json');
    await writeFileAtomically(file, '{}', 0o600);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
  });

  it('replaces a file whole', async () => {
    using folder = new TemporaryDirectory();
    const file = path.join(folder.path, 'deep', 'summary.json');
    await writeFileAtomically(file, 'one');
    await writeFileAtomically(file, new TextEncoder().encode('two'));
    assert.equal(await readFile(file, 'utf8'), 'two');
    assert.deepEqual(await readdir(path.dirname(file)), ['summary.json']);
  });
});

describe('what the operating system refuses', () => {
  const folder = new TemporaryDirectory();
  const scratch = folder.path;
  after(() => folder[Symbol.dispose]());

  const refusal = async (work: Promise<unknown>): Promise<string> => {
    const error = await work.then(
      () => assert.fail('nothing was refused'),
      (thrown: unknown) => asCxmindError(thrown),
    );
    const { message: text, detail } = error;
    assert.deepEqual(failureOf(error), { exitCode: 1, code: 'IO_FAILED', text, detail });
    return error.message;
  };

  it('is told with file, size and reason, on one line and without a stack', async () => {
    // A device that is always full.
    const weights = [{ name: 'w', tensor: tensorOf('f32', [1024], new Array(1024).fill(0)) }];
    assert.equal(
      await refusal(writeSafetensors('/dev/full', weights)),
      'cannot write /dev/full (4.1 KiB): no space left on device',
    );
    const file = path.join(scratch, 'file');
    await writeFile(file, '');
    const under = path.join(file, 'run/summary.json');
    assert.equal(
      await refusal(writeFileAtomically(under, '{}')),
      `cannot write ${under} (2 B): not a directory`,
    );
    assert.equal(
      await refusal(writeDirectoryAtomically(under, () => Promise.resolve())),
      `cannot write ${under}: not a directory`,
    );
    assert.match(await refusal(readFile(path.join(scratch, 'none'))), /^ENOENT: .*none'$/);
  });

  it('names the file inside a directory that could not be written, and not the directory', async () => {
    const target = path.join(scratch, 'step-5');
    const refused = writeDirectoryAtomically(target, () => writeSafetensors('/dev/full', []));
    assert.match(await refusal(refused), /^cannot write \/dev\/full /);
  });

  it('says sizes in the unit that suits them', () => {
    assert.deepEqual([0, 1023, 1024, 1.5 * 2 ** 20, 2 ** 31, 2 ** 60].map(sizeText), [
      '0 B',
      '1023 B',
      '1.0 KiB',
      '1.5 MiB',
      '2.0 GiB',
      '1048576.0 TiB',
    ]);
  });
});

describe('what a user names', () => {
  const folder = new TemporaryDirectory();
  const scratch = folder.path;
  before(async () => {
    execFileSync('mkfifo', [path.join(scratch, 'pipe')]);
    folder.write('text', 'text');
    await truncate(folder.write('long', ''), 2 ** 29);
    const version = 'version https://git-lfs.github.com/spec/v1';
    folder.write('pointer', `${version}\noid sha256:4d7a2146\nsize 12345\n`);
  });
  after(() => folder[Symbol.dispose]());

  it('is read, whole or from a handle', async () => {
    const file = path.join(scratch, 'text');
    assert.equal((await readWhole(file)).toString(), 'text');
    assert.equal(readWholeSync(file).toString(), 'text');
    await using handle = await openToRead(file);
    assert.equal(await handle.readFile('utf8'), 'text');
  });

  const refused: Readonly<Record<string, RegExp>> = {
    none: /^no such file$/,
    'text/none': /^no such file$/,
    '.': /^a directory, not a file$/,
    pipe: /^a pipe, not a file$/,
    '/dev/zero': /^a device, not a file$/,
    pointer: /^a Git LFS pointer, not the file itself: run "git lfs pull"/,
    long: /^536870912 bytes, more than the 536870888 that are read at once$/,
  };
  for (const [name, message] of Object.entries(refused)) {
    it(`is refused with the reason: ${name}`, async () => {
      const file = path.resolve(scratch, name);
      await assert.rejects(readWhole(file), { message });
      assert.throws(() => readWholeSync(file), { message });
    });
  }

  it('may be written with ~ or as a file URL', () => {
    assert.equal(localPath('~/a b'), path.join(os.homedir(), 'a b'));
    assert.equal(localPath('~'), os.homedir());
    assert.equal(localPath('~other/a'), '~other/a');
    assert.equal(localPath('file:///a%20b'), '/a b');
    assert.equal(localPath('a/~'), 'a/~');
  });
});
