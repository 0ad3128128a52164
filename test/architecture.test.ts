import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, posix, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { filesDrawn, importsSaid, wrongClaims } from './support/room-page.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

const ground = [
  'src/errors',
  'src/printable',
  'src/turns',
  'src/native',
  'src/collector',
  'src/finish-reason',
  'src/libc',
  'src/host-identity',
  'src/rng',
  'src/round',
  'src/log',
  'src/files',
  'src/protobuf',
  'src/check',
  'src/algorithms',
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
const content = [
  ...['src/vision', 'src/text', 'src/data', 'src/reward', 'src/environment', 'src/demo'],
  ...['src/convert'],
];
const learning = [
  ...['src/optim', 'src/metrics', 'src/loggers', 'src/evaluation', 'src/training'],
  'src/dashboard',
];
const everything = [...engine, ...content, ...learning];

/** Rooms that move bytes. Each knows the rooms above it that it stands on, and none of the roles. */
const bytes: Readonly<Record<string, readonly string[]>> = {
  'transport/bytes': everything,
  'transport/channel': everything,
  'transport/link': [...everything, 'transport/channel'],
  'transport/frame': [...everything, 'transport/bytes', 'transport/channel'],
  'transport/same-thread': [...everything, 'transport/channel'],
  'transport/msgpack-scan': everything,
  'transport/tensor-codec': everything,
  'transport/shared': [...everything, 'transport/bytes'],
  'transport/codec': [
    ...everything,
    ...['transport/frame', 'transport/msgpack-scan', 'transport/shared', 'transport/tensor-codec'],
  ],
  'transport/thread': [...everything, 'transport/channel', 'transport/shared'],
  'transport/zmq': [
    ...everything,
    ...['transport/bytes', 'transport/channel', 'transport/frame', 'transport/link'],
  ],
  'transport/launch': [...everything, 'transport/link', 'transport/zmq'],
  'transport/collectives': [
    ...everything,
    ...['transport/bytes', 'transport/channel', 'transport/link', 'transport/shared'],
    'transport/zmq',
  ],
};

const messages = [...everything, 'transport/codec', 'transport/tensor-codec'];
const model = [
  ...[...messages, 'actors/runtime', 'actors/messages', 'actors/model-props'],
  'actors/model-actor',
];

/** Rooms of roles. The runtime knows no role, a role those whose work it shares, the trainer all of them. */
const roles: Readonly<Record<string, readonly string[]>> = {
  'actors/runtime': [
    ...[
      ...everything,
      'transport/bytes',
      'transport/channel',
      'transport/codec',
      'transport/frame',
      'transport/launch',
    ],
    ...['transport/link', 'transport/same-thread', 'transport/shared', 'transport/thread'],
    ...['transport/zmq'],
  ],
  'actors/messages': messages,
  'actors/device-copy': everything,
  'actors/model-props': [...everything, 'actors/device-copy', 'transport/shared'],
  'actors/model-actor': [...everything, 'actors/runtime', 'actors/model-props'],
  'actors/weights': [...model, 'actors/device-copy', 'transport/shared'],
  'actors/data': [...messages, 'actors/runtime', 'actors/messages'],
  'actors/user-code': [...everything, 'actors/runtime'],
  'actors/reward': [...messages, 'actors/runtime', 'actors/messages', 'actors/user-code'],
  'actors/judge': [...messages, 'actors/runtime', 'actors/reward'],
  'actors/reward-model': [...model, 'actors/reward'],
  'actors/environment': [...messages, 'actors/runtime', 'actors/user-code'],
  'actors/rollout': [...model, 'actors/environment'],
  'actors/joint': [...model, 'transport/collectives', 'transport/zmq'],
  'actors/reference': [...model, 'actors/joint'],
  'actors/learner': [...model, 'actors/joint'],
  'actors/critic': [...model, 'actors/joint'],
  'actors/run-folder': [...everything, 'actors/runtime', 'actors/joint'],
  'actors/dashboard': [...messages, 'actors/runtime', 'actors/run-folder'],
  'actors/trainer': [
    ...[
      ...model,
      'actors/run-folder',
      'actors/dashboard',
      'actors/weights',
      'actors/data',
      'actors/reward',
      'actors/judge',
      'actors/reward-model',
      'actors/environment',
      'actors/rollout',
    ],
    ...['actors/joint', 'actors/reference', 'actors/learner', 'actors/critic', 'src/plan'],
  ],
  'actors/index': [
    ...['transport/tensor-codec', 'actors/runtime', 'actors/reward', 'actors/run-folder'],
    'actors/trainer',
  ],
};

/**
 * Rooms that a room may import besides itself. `src`, `transport` and `actors` are cut into their folders and single
 * files. The rows stand from the bottom up: a room imports only rooms above it in this list, so there is no circle.
 */
const arrows: Readonly<Record<string, readonly string[]>> = {
  'src/errors': [],
  'src/finish-reason': [],
  'src/printable': [],
  'src/turns': [],
  'src/native': [],
  'src/collector': [],
  'src/libc': ['src/errors', 'src/native'],
  'src/host-identity': ['src/errors'],
  'src/protobuf': [],
  'src/rng': ['src/errors'],
  'src/round': [],
  'src/log': ['src/errors', 'src/printable'],
  'src/files': ['src/errors'],
  'src/check': ['src/errors', 'src/files'],
  'src/algorithms': ['src/errors', 'src/rng'],
  'src/config': ['src/errors', 'src/printable', 'src/files', 'src/check', 'src/algorithms'],
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
  'src/environment': [
    ...[...ground, 'src/tensor', 'src/text', 'src/vision', 'src/data', 'src/reward'],
  ],
  'src/demo': [...ground, 'src/tensor', 'src/model', 'src/vision', 'src/reward'],
  'src/convert': [...ground, 'src/data', 'src/reward'],
  'src/doctor': ground,
  'src/optim': [...ground, 'src/tensor', 'src/graph', 'src/device'],
  'src/metrics': ground,
  'src/evaluation': [...ground, 'src/text', 'src/data', 'src/reward'],
  'src/loggers': [...ground, 'src/data', 'src/metrics'],
  'src/serving': [...engine, ...content],
  'src/dashboard': [
    ...[...ground, ...content, 'src/tensor', 'src/metrics', 'src/loggers', 'src/evaluation'],
    'src/serving',
  ],
  'src/training': [...engine, ...content, 'src/optim', 'src/metrics'],
  'src/plan': [...engine, ...content, ...learning],
  ...bytes,
  ...roles,
  'src/index': everything,
  'src/cli': [
    ...everything,
    'src/doctor',
    'src/plan',
    'src/serving',
    ...Object.keys(bytes),
    ...Object.keys(roles),
  ],
  bin: ['src/cli'],
};

/** Files and folders that may import each package with native code, threads or a format of its own. */
const doors: Readonly<Record<string, readonly string[]>> = {
  koffi: ['src/native.ts', 'src/ort/', 'transport/collectives/native/'],
  'onnxruntime-node': ['src/ort/'],
  sharp: ['src/vision/'],
  'dicom-parser': ['src/vision/dicom/'],
  '@cornerstonejs/codec-charls': ['src/vision/dicom/'],
  '@cornerstonejs/codec-openjpeg': ['src/vision/dicom/'],
  yaml: ['src/config/'],
  pino: ['src/log.ts'],
  msgpackr: ['transport/codec.ts'],
  zeromq: ['transport/zmq/'],
  protobufjs: ['src/protobuf.ts'],
  hyparquet: ['src/data/'],
  'hyparquet-compressors': ['src/data/'],
  'apache-arrow': ['src/data/'],
  'lz4-napi': ['src/data/'],
  'csv-parse': ['src/data/'],
  '@huggingface/hub': ['src/hub/'],
  '@huggingface/tokenizers': ['src/text/'],
  '@huggingface/jinja': ['src/text/'],
  '@modelcontextprotocol/sdk': ['actors/environment/'],
  '@oclif/core': ['src/cli/'],
  uplot: ['src/dashboard/'],
  worker_threads: [
    'transport/thread/',
    'transport/collectives/leases.ts',
    'actors/runtime/',
    'src/data/columnar-',
    'src/serving/api-',
  ],
};

/**
 * The one circle of files there may be. An op is typed by the table of all ops, which is closed by the ops themselves,
 * and they are written with the builder: `Op<K>` keeps an op's forms together at this price.
 */
const opTable =
  /^src\/graph\/(ir|(node-|elementwise-)?builder|dim|shape|ops\/([a-z]+\/)?[a-z-]+)\.ts$/;

/** The one file that knows model families by their folders; everyone else asks it for an `Architecture`. */
const familyDoor = 'src/model/families.ts';

/** A model family's folder, which is none of the rooms of `src/model` that families share. */
const familyFolder = /^src\/model\/(?!(adapters|checkpoint|decoder|vision|weights)\/)[^/]+\//;

/** Rooms that may name JavaScript's own shared memory; to everyone else it is `SharedMemory`. */
const memoryRooms = ['src/device/', 'src/tensor/', 'transport/shared/'];

/** The rooms whose numbers are tensors, wherever they lie. */
const tensorRooms = ['src/model/', 'src/training/', 'src/generation/'];

/** The files of those rooms that have f32 numbers in arrays nevertheless, and what these are. */
const floatFiles: Readonly<Record<string, string>> = {
  'src/model/network.ts': 'scores of rows, and the derivative of a loss by them',
  'src/model/scoring-head.ts': 'scores of rows, and the derivative of a loss by them',
  'src/model/policy.ts': 'log-probabilities',
  'src/training/losses.ts': 'scores of responses, and the derivative of a loss by them',
  'src/training/updates.ts': 'scores of responses, and the derivative of a loss by them',
  'src/training/response-scores.ts': 'log-probabilities and values of responses',
  'src/training/score-answers.ts': 'log-probabilities of answers, and their weights',
  'src/training/experience.ts': 'what a loss is made of, response by response',
  'src/training/correction.ts': 'advantages of responses',
  'src/training/exploration.ts': 'advantages of responses',
  'src/generation/cpu/decoder.ts': "the processor's own decoding, in its own memory",
  'src/generation/cpu/kv-cache.ts': "the processor's own decoding, in its own memory",
  'src/generation/cpu/step-heads.ts': "the processor's own decoding, in its own memory",
  'src/generation/cpu/sampler.ts': 'distributions, of which the host draws',
};

interface Source {
  /** Path from the root: `src/ort/abi.ts`. */
  readonly file: string;
  readonly text: string;
}

interface ImportLine extends Pick<Source, 'file'> {
  readonly from: string;
}

function sources(): Source[] {
  const rooms = ['src', 'transport', 'actors', 'bin'].filter((room) =>
    existsSync(join(root, room)),
  );
  const files = rooms.flatMap((room) =>
    readdirSync(join(root, room), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.[jt]s$/.test(entry.name))
      .map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll('\\', '/')),
  );
  return files.map((file) => ({ file, text: readFileSync(join(root, file), 'utf8') }));
}

function importLines(all: readonly Source[]): ImportLine[] {
  return all.flatMap(({ file, text }) => importsIn(text).map((from) => ({ file, from })));
}

/** Files that name JavaScript's shared memory and are not to, in code or comments. */
function namesOfMemory(all: readonly Source[]): string[] {
  return all
    .filter(({ file }) => !memoryRooms.some((room) => file.startsWith(room)))
    .filter(({ text }) => /\bSharedArrayBuffer\b/.test(text))
    .map(({ file }) => file);
}

/** Files of the tensors' rooms that have arrays of f32 in place of them. */
function namesOfFloats(all: readonly Source[]): string[] {
  return all
    .filter(({ file }) => tensorRooms.some((room) => file.startsWith(room)))
    .filter(({ text }) => /\bFloat32Array\b/.test(text))
    .map(({ file }) => file);
}

/** Modules that a source names in import and export lines, `import(…)`, `require(…)` and `resolve(…)`. */
function importsIn(source: string): string[] {
  const named: string[] = [];
  const visit = (node: ts.Node): void => {
    const module = moduleNamedBy(node);
    if (module !== undefined && ts.isStringLiteralLike(module)) named.push(module.text);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile('x.ts', source, ts.ScriptTarget.Latest));
  return named;
}

/** Module specifier of a node that imports something. */
function moduleNamedBy(node: ts.Node): ts.Node | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier;
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument))
    return node.argument.literal;
  if (!ts.isCallExpression(node)) return undefined;
  const { expression, arguments: given } = node;
  const isImport =
    expression.kind === ts.SyntaxKind.ImportKeyword ||
    (ts.isIdentifier(expression) && expression.text === 'require') ||
    (ts.isPropertyAccessExpression(expression) && expression.name.text === 'resolve');
  return isImport ? given[0] : undefined;
}

/** The row of `arrows` that a file belongs to: `src/ort/abi.ts` is in `src/ort`. */
function roomOf(file: string): string {
  const [top = '', second = ''] = file.split('/');
  return top === 'bin' ? top : `${top}/${second.replace(/\.ts$/, '')}`;
}

/** The files that a file imports, by paths from the root. */
function neighboursOf(lines: readonly ImportLine[]): Map<string, string[]> {
  const neighbours = new Map<string, string[]>();
  for (const { file, from } of lines) {
    const found = neighbours.get(file) ?? [];
    if (from.startsWith('.')) found.push(posix.join(posix.dirname(file), from));
    neighbours.set(file, found);
  }
  return neighbours;
}

/** Groups of files from each of which all others of the group are reached (Tarjan's strongly connected components). */
function circles(lines: readonly ImportLine[]): string[][] {
  const neighbours = neighboursOf(lines);
  const [order, lowest] = [new Map<string, number>(), new Map<string, number>()];
  const path: string[] = [];
  const found: string[][] = [];
  const visit = (file: string): void => {
    const number = order.size;
    order.set(file, number);
    lowest.set(file, number);
    path.push(file);
    for (const next of neighbours.get(file) ?? []) {
      if (!order.has(next)) visit(next);
      if (path.includes(next)) {
        lowest.set(file, Math.min(lowest.get(file)!, lowest.get(next)!));
      }
    }
    if (lowest.get(file) !== number) return;
    const circle = path.splice(path.indexOf(file));
    if (circle.length > 1) found.push(circle.sort());
  };
  for (const file of neighbours.keys()) if (!order.has(file)) visit(file);
  return found;
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

/** Import lines that reach into a model family's folder from outside it. */
function familiarFiles(lines: readonly ImportLine[]): string[] {
  return lines.flatMap(({ file, from }) => {
    if (!from.startsWith('.') || file === familyDoor) return [];
    const [folder] = familyFolder.exec(posix.join(posix.dirname(file), from)) ?? [];
    return folder === undefined || file.startsWith(folder) ? [] : [`${file} imports ${from}`];
  });
}

/** Rooms other than its own that files of a room import. */
function importsOf(room: string, lines: readonly ImportLine[]): Set<string> {
  const targets = lines
    .filter(({ file, from }) => roomOf(file) === room && from.startsWith('.'))
    .map(({ file, from }) => roomOf(posix.join(posix.dirname(file), from)));
  return new Set(targets.filter((target) => target !== room));
}

/** Claims of the rooms' pages that are wrong, and rooms without a page. */
function wrongPages(lines: readonly ImportLine[]): string[] {
  const isFolder = (room: string): boolean => room.includes('/') && existsSync(join(root, room));
  const rooms = Object.keys(arrows).filter(isFolder);
  return rooms.flatMap((name) => {
    const page = join(root, name, 'README.md');
    if (!existsSync(page)) return [`${name}: no README.md`];
    const files = readdirSync(join(root, name), { recursive: true, encoding: 'utf8' });
    const room = {
      name,
      files: new Set(files.map((file) => posix.basename(file.replaceAll('\\', '/')))),
      imports: importsOf(name, lines),
      mayImport: arrows[name]!,
    };
    return wrongClaims(readFileSync(page, 'utf8'), room, ground);
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
  const all = sources();
  const lines = importLines(all);

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

  it('has no circle of files but that of the op table', () => {
    const others = circles(lines).filter((circle) => !circle.every((file) => opTable.test(file)));
    assert.deepEqual(others, []);
  });

  it('knows a model family in its own folder and where it is chosen alone', () => {
    assert.deepEqual(familiarFiles(lines), []);
  });

  it('has one door for each native dependency', () => {
    assert.deepEqual(secondDoors(lines), []);
  });

  it('has a page in every room, whose imports and drawing are those of its files', () => {
    assert.deepEqual(wrongPages(lines), []);
  });

  it("names JavaScript's shared memory where memory is made and moved alone", () => {
    assert.deepEqual(namesOfMemory(all), []);
  });

  it('has tensors but where numbers leave a device', () => {
    assert.deepEqual(namesOfFloats(all).sort(), Object.keys(floatFiles).sort());
  });

  it('sees who names memory and arrays, and who may', () => {
    const found = [
      { file: 'actors/x.ts', text: 'const memory: SharedArrayBuffer = given;' },
      { file: 'src/ort/x.ts', text: '/** On a SharedArrayBuffer. */' },
      { file: 'src/tensor/x.ts', text: 'new SharedArrayBuffer(8)' },
      { file: 'transport/shared/x.ts', text: 'new SharedArrayBuffer(8)' },
      { file: 'src/model/x.ts', text: 'function f(values: Float32Array): void {}' },
      { file: 'src/optim/x.ts', text: 'new Float32Array(8)' },
    ];
    assert.deepEqual(namesOfMemory(found), ['actors/x.ts', 'src/ort/x.ts']);
    assert.deepEqual(namesOfFloats(found), ['src/model/x.ts']);
  });

  it('sees the imports it is there to see', () => {
    const source = [
      `import koffi from 'koffi';`,
      `import {\n  a, // from 'nowhere'\n  b,\n} from '../actors/runtime/ref.ts';`,
      `export type { C } from "./c.ts";`,
      `import './effect.ts';`,
      `const late = await import('pino');`,
      `let type: import('yaml').Document;`,
      `createRequire(import.meta.url).resolve('onnxruntime-node/package.json');`,
      `const text = "import sharp from 'sharp'";`,
      `/** @example import sharp from 'sharp'; */`,
    ].join('\n');
    const found = importsIn(source).map((from) => ({ file: 'src/tensor/x.ts', from }));
    assert.deepEqual(
      found.map(({ from }) => from),
      [
        ...['koffi', '../actors/runtime/ref.ts', './c.ts', './effect.ts', 'pino', 'yaml'],
        'onnxruntime-node/package.json',
      ],
    );
    assert.equal(secondDoors(found).length, 4);
  });

  it('sees a wrong arrow between rooms, those inside actors and transport too', () => {
    const line = (file: string, from: string): ImportLine => ({ file, from });
    const right = [
      line('actors/critic/actor.ts', '../joint/protocol.ts'),
      line('transport/collectives/x.ts', '../shared/words.ts'),
      line('src/tensor/x.ts', './y.ts'),
    ];
    assert.deepEqual(wrongArrows(right), []);
    const wrong = [
      line('src/tensor/x.ts', '../graph/ir.ts'),
      line('actors/runtime/x.ts', '../learner/actor.ts'),
      line('actors/learner/x.ts', '../critic/actor.ts'),
      line('actors/data/x.ts', '../reward/actor.ts'),
      line('transport/shared/x.ts', '../thread/channel.ts'),
      line('transport/zmq/x.ts', '../../actors/runtime/ref.ts'),
    ];
    assert.equal(wrongArrows(wrong).length, wrong.length);
  });

  it('sees who knows a model family that should not', () => {
    const line = (file: string, from: string): ImportLine => ({ file, from });
    const right = [
      line(familyDoor, './qwen2-5-vl/architectures.ts'),
      line('src/model/decoder/decode.ts', './decoder.ts'),
      line('src/model/decoder/decode.ts', '../arena.ts'),
    ];
    assert.deepEqual(familiarFiles(right), []);
    const wrong = [
      line('src/model/network.ts', './qwen2-5-vl/decoder.ts'),
      line('actors/trainer/models.ts', '../../src/model/qwen2-5-vl/config.ts'),
      line('src/model/another/decode.ts', '../qwen2-5-vl/decoder.ts'),
    ];
    assert.equal(familiarFiles(wrong).length, wrong.length);
  });

  it('sees what a page says, and what of it is wrong', () => {
    const page =
      'A room. It may\nimport `src/data` (rows), `transport/x` and the\nground. See `b.md`.\n' +
      '```\na.ts ── gone.ts\n  src/data/row.ts\n```\n';
    assert.deepEqual(importsSaid(page), ['src/data', 'transport/x', 'the ground']);
    assert.deepEqual(filesDrawn(page), ['a.ts', 'gone.ts']);
    const imports = ['src/data', 'src/errors', 'src/model'];
    const room = { name: 'src/y', files: new Set(['a.ts']), imports, mayImport: ['src/data'] };
    assert.deepEqual(wrongClaims(page, room, ['src/errors']), [
      'src/y: imports src/model, which its page does not say',
      'src/y: may not import transport/x, as its page says',
      'src/y: its drawing has gone.ts, which is not there',
    ]);
    assert.equal(wrongClaims('A room.', room, []).length, 1);
  });

  it('sees circles of files, and tells them apart', () => {
    const lines = ['a>b', 'b>c', 'c>a', 'c>d', 'd>e', 'e>d', 'f>a', 'g>h'].map((arrow) => {
      const [from, to] = arrow.split('>');
      return { file: `src/${from}.ts`, from: `./${to}.ts` };
    });
    const names = circles(lines).map((circle) => circle.join(' '));
    assert.deepEqual(names.sort(), ['src/a.ts src/b.ts src/c.ts', 'src/d.ts src/e.ts']);
  });
});
