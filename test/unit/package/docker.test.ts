import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { commands } from '../../../src/cli/commands.ts';
import { packageRoot } from '../../../src/cli/package-root.ts';
import { CUDA_PACKAGE } from '../../../src/ort/library.ts';

const root = packageRoot();
const folder = join(root, 'examples/docker');
const files = readdirSync(folder).filter((name) => name.endsWith('.Dockerfile'));
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>;
};

/** An instruction of a Dockerfile, its continued lines joined: `COPY`, `bin bin`. */
interface Instruction {
  readonly name: string;
  readonly text: string;
}

function instructionsOf(file: string): Instruction[] {
  const lines = readFileSync(join(folder, file), 'utf8').replaceAll('\\\n', ' ').split('\n');
  return lines
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [name = '', ...rest] = line.split(/\s+/);
      return { name, text: rest.join(' ') };
    });
}

const textsOf = (all: readonly Instruction[], name: string): string[] =>
  all.filter((one) => one.name === name).map(({ text }) => text);

describe('the images', () => {
  const ignored = readFileSync(join(root, '.dockerignore'), 'utf8').split('\n');

  for (const file of files) {
    describe(file, () => {
      const all = instructionsOf(file);

      it('copies what is there and is not left out', () => {
        const known = ['FROM', 'WORKDIR', 'COPY', 'RUN', 'USER', 'ENTRYPOINT', 'CMD'];
        assert.deepEqual(
          all.filter(({ name }) => !known.includes(name)),
          [],
        );
        const own = textsOf(all, 'COPY').filter((text) => !text.startsWith('--from='));
        for (const source of own.flatMap((text) => text.split(' ').slice(0, -1))) {
          assert.ok(existsSync(join(root, source)), source);
          assert.ok(!ignored.includes(source), source);
        }
        const stages = textsOf(all, 'FROM').flatMap((text) => / AS (\w+)$/.exec(text)?.[1] ?? []);
        const taken = textsOf(all, 'COPY').flatMap((text) => /^--from=(\w+)/.exec(text)?.[1] ?? []);
        assert.deepEqual(taken, stages);
      });

      it('runs scripts and commands that there are, and not as root', () => {
        const run = textsOf(all, 'RUN').join('\n');
        for (const [, script] of run.matchAll(/npm run ([\w:]+)/g)) assert.ok(script! in scripts);
        const [command] = JSON.parse(textsOf(all, 'CMD')[0]!) as string[];
        assert.ok(command! in commands);
        const [user] = textsOf(all, 'USER');
        assert.match(run, new RegExp(`useradd --create-home ${user}\\b`));
        const names = all.map(({ name }) => name);
        assert.ok(names.indexOf('USER') > names.lastIndexOf('RUN'));
      });

      it('is built where there is Docker and somebody asks for it', function () {
        const asked = process.env['CXMIND_TEST_DOCKER'] !== undefined;
        if (!asked || spawnSync('docker', ['info']).status !== 0) this.skip();
        this.timeout(3_600_000);
        const given = ['build', '-f', join(folder, file), root];
        const { status, stderr } = spawnSync('docker', given, { encoding: 'utf8' });
        assert.equal(status, 0, stderr);
      });
    });
  }

  it('have the CUDA provider that the sources name', () => {
    const run = textsOf(instructionsOf('cuda.Dockerfile'), 'RUN').join('\n');
    assert.ok(run.includes(CUDA_PACKAGE));
  });

  it('are started by lines with commands that there are', () => {
    const page = readFileSync(join(folder, 'README.md'), 'utf8').replaceAll('\\\n', ' ');
    const lines = [...page.matchAll(/^docker run .* cxmind:(\w+) +(\w+)/gm)];
    assert.ok(lines.length >= 3);
    for (const [, image, command] of lines) {
      assert.ok(files.includes(`${image}.Dockerfile`));
      assert.ok(command! in commands);
    }
    for (const [, file] of page.matchAll(/-f (\S+)/g))
      assert.equal(globSync(file!, { cwd: root }).length, 1);
  });
});
