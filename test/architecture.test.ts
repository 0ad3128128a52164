import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, posix, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * Which rooms a room may import, besides itself; `src` is cut into its folders and single files. The
 * rows stand from the bottom up: a room only ever imports rooms above it in this list, so there is no
 * way round in a circle.
 */
const ground = [
  'src/errors',
  'src/printable',
  'src/turns',
  'src/native',
  'src/rng',
  'src/log',
  'src/files',
  'src/config',
];
const engine = [
  ...ground,
  'src/hub',
  'src/tensor',
  'src/graph',
  'src/device',
  'src/model',
  'src/generation',
];
const content = ['src/vision', 'src/text', 'src/data', 'src/reward'];
const learning = [
  ...[
    'src/algorithms',
    'src/optim',
    'src/metrics',
    'src/flops',
    'src/loggers',
    'src/evaluation',
    'src/training',
  ],
];
const everything = [...engine, ...content, ...learning];

const arrows: Readonly<Record<string, readonly string[]>> = {
  'src/errors': [],
  'src/printable': [],
  'src/turns': [],
  'src/native': [],
  'src/rng': ['src/errors'],
  'src/log': ['src/errors', 'src/printable'],
  'src/files': ['src/errors'],
  'src/config': ['src/errors', 'src/printable', 'src/files'],
  'src/hub': ground,
  'src/tensor': ground,
  'src/graph': [...ground, 'src/tensor'],
  'src/ort': [...ground, 'src/tensor'],
  'src/device': [...ground, 'src/tensor', 'src/graph', 'src/ort'],
  'src/model': [...ground, 'src/tensor', 'src/graph', 'src/device'],
  'src/generation': [...ground, 'src/tensor', 'src/graph', 'src/device', 'src/model'],
  'src/vision': [...ground, 'src/tensor'],
  'src/text': [...ground, 'src/tensor'],
  'src/data': [...ground, 'src/hub', 'src/tensor', 'src/model', 'src/vision', 'src/text'],
  'src/reward': [...ground, 'src/tensor', 'src/text', 'src/data'],
  'src/algorithms': [...ground, 'src/tensor', 'src/graph'],
  'src/optim': [...ground, 'src/tensor', 'src/graph', 'src/device'],
  'src/metrics': [...ground, 'src/algorithms'],
  'src/flops': ground,
  'src/evaluation': [...ground, 'src/text', 'src/data', 'src/reward'],
  'src/loggers': [...ground, 'src/data', 'src/metrics'],
  'src/training': [...engine, ...content, 'src/algorithms', 'src/optim', 'src/metrics'],
  transport: everything,
  actors: [...everything, 'transport'],
  'src/index': everything,
  'src/cli': [...everything, 'transport', 'actors'],
  bin: ['src/cli'],
};

/** Where each package with native code, threads or a format of its own may be imported. */
const doors: Readonly<Record<string, readonly string[]>> = {
  koffi: ['src/native.ts', 'src/ort/', 'transport/collectives/native/'],
  'onnxruntime-node': ['src/ort/'],
  sharp: ['src/vision/'],
  yaml: ['src/config/'],
  pino: ['src/log.ts'],
  msgpackr: ['transport/codec.ts'],
  zeromq: ['transport/zmq/'],
  protobufjs: ['src/graph/encode.ts', 'src/loggers/protobuf.ts'],
  hyparquet: ['src/data/'],
  'hyparquet-compressors': ['src/data/'],
  'apache-arrow': ['src/data/'],
  'csv-parse': ['src/data/'],
  '@huggingface/hub': ['src/hub/'],
  '@huggingface/tokenizers': ['src/text/'],
  '@huggingface/jinja': ['src/text/'],
  '@oclif/core': ['src/cli/'],
  'cli-progress': ['src/cli/'],
  worker_threads: ['transport/thread/', 'actors/runtime/'],
};

interface ImportLine {
  /** Path from the root: `src/ort/abi.ts`. */
  readonly file: string;
  readonly from: string;
}

function importLines(): ImportLine[] {
  const rooms = ['src', 'transport', 'actors', 'bin'].filter((room) =>
    existsSync(join(root, room)),
  );
  const files = rooms.flatMap((room) =>
    readdirSync(join(root, room), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.[jt]s$/.test(entry.name))
      .map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll('\\', '/')),
  );
  return files.flatMap((file) =>
    importsIn(readFileSync(join(root, file), 'utf8')).map((from) => ({ file, from })),
  );
}

/** Modules that a source names in import and export lines, `import(…)`, `require(…)` and `resolve(…)`. */
function importsIn(source: string): string[] {
  const code = source.replace(/^\s*(\*|\/\/|\/\*).*$/gm, '');
  const named = /(?:\bfrom|\bimport|\bimport\(|\brequire\(|\.resolve\()\s*(['"])([^'"\n]+)\1/g;
  return [...code.matchAll(named)].map((match) => match[2]!);
}

/** The row of `arrows` that a file belongs to: `src/ort/abi.ts` is in `src/ort`. */
function roomOf(file: string): string {
  const [top = '', second = ''] = file.split('/');
  return top === 'src' ? `src/${second.replace(/\.ts$/, '')}` : top;
}

function wrongArrows(lines: readonly ImportLine[]): string[] {
  return lines.flatMap(({ file, from }) => {
    if (!from.startsWith('.')) return [];
    const room = roomOf(file);
    const target = roomOf(posix.join(posix.dirname(file), from));
    return target === room || (arrows[room] ?? []).includes(target)
      ? []
      : [`${file} (${room}) imports ${from} (${target})`];
  });
}

function secondDoors(lines: readonly ImportLine[]): string[] {
  return lines.flatMap(({ file, from }) => {
    const name = Object.keys(doors).find((package_) => {
      const bare = from.replace(/^node:/, '');
      return bare === package_ || bare.startsWith(`${package_}/`);
    });
    return name === undefined || doors[name]!.some((door) => file.startsWith(door))
      ? []
      : [`${file} imports ${from}; its door is ${doors[name]!.join(', ')}`];
  });
}

describe('architecture', () => {
  const lines = importLines();

  it('has a row for every room', () => {
    const rooms = new Set(lines.map(({ file }) => roomOf(file)));
    assert.deepEqual(
      [...rooms].filter((room) => !(room in arrows)),
      [],
    );
  });

  it('lists its rooms from the bottom up', () => {
    const order = Object.keys(arrows);
    for (const [room, targets] of Object.entries(arrows)) {
      for (const target of targets) {
        const isBelow = order.indexOf(target) < order.indexOf(room) && order.includes(target);
        assert.ok(isBelow, `${room} may import ${target}, which is not below it`);
      }
    }
  });

  it('has arrows that point one way', () => {
    assert.deepEqual(wrongArrows(lines), []);
  });

  it('has one door for each native dependency', () => {
    assert.deepEqual(secondDoors(lines), []);
  });

  it('sees the imports it is there to see', () => {
    const source = [
      `import koffi from 'koffi';`,
      `import {\n  a,\n  b,\n} from '../actors/ref.ts';`,
      `export type { C } from "./c.ts";`,
      `import './effect.ts';`,
      `const late = await import('pino');`,
      `createRequire(import.meta.url).resolve('onnxruntime-node/package.json');`,
      ` * @example import sharp from 'sharp';`,
    ].join('\n');
    const found = importsIn(source).map((from) => ({ file: 'src/tensor/x.ts', from }));
    assert.deepEqual(
      found.map(({ from }) => from),
      [
        'koffi',
        '../actors/ref.ts',
        './c.ts',
        './effect.ts',
        'pino',
        'onnxruntime-node/package.json',
      ],
    );
    assert.equal(secondDoors(found).length, 3);
    assert.equal(wrongArrows(found).length, 1);
  });
});
