import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { DataActor } from '../../../actors/data/actor.ts';
import type { ActorSystem } from '../../../actors/runtime/system.ts';
import { planRun } from '../../../actors/trainer/plan.ts';
import { dataSettings } from '../../../actors/trainer/settings.ts';
import { spawnData } from '../../../actors/trainer/spawn.ts';
import type { Config } from '../../../src/config/schema.ts';
import { asCxmindError } from '../../../src/errors.ts';
import type { ModelConfig } from '../../../src/model/model-config.ts';
import { goldenJson, goldenPath } from '../../support/golden.ts';
import { loadGoldenModel } from '../../support/golden-model.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';
import { keepingLogger } from '../../support/tiny-run.ts';
import { effectOf, effects } from '../../support/effect.ts';
import { jsonLines } from '../../support/json-lines.ts';
import { assertChanges, configOf } from './changes.ts';

const unused = (): never => assert.fail('there are no other actors');

describe('a key of the config, of data,', () => {
  let temporary: TemporaryDirectory;
  let model: ModelConfig;
  let usual: readonly string[];
  const path = (name: string): string => join(temporary.path, name);

  before(async () => {
    temporary = new TemporaryDirectory();
    ({ config: model } = await loadGoldenModel('micro-vl'));
    const [one, other] = ['case_005_0.png', 'case_005_1.png'].map((name) =>
      goldenPath(`micro-vl-reference/images/${name}`),
    );
    for (const [folder, image] of [
      ['a', one!],
      ['b', other!],
    ] as const) {
      mkdirSync(path(folder));
      cpSync(image, join(path(folder), 'x.png'));
    }
    cpSync(other!, join(path('a'), 'y.png'));
    cpSync(one!, join(path('b'), 'y.png'));
    const rows = Array.from({ length: 4 }, (_, i) => ({
      prompt: `<image>Which is ${i}?${' Think.'.repeat(4 * i)}`,
      question: `<image>What is ${i}?`,
      answer: `The answer is ${i}.`,
      solution: `It is ${i}.`,
      images: ['x.png'],
      scans: ['y.png'],
    }));
    const watched = rows.map(({ answer }, i) => ({
      prompt: `<video>Which is ${i}?`,
      answer,
      videos: [['x.png', 'x.png', 'x.png', 'x.png']],
      clips: [['y.png', 'y.png']],
    }));
    temporary.write('rows.jsonl', jsonLines(...rows));
    temporary.write('videos.jsonl', jsonLines(...watched));
    temporary.write('some.jsonl', jsonLines(...rows.slice(1)));
    const samples = Uint16Array.from({ length: 56 * 56 }, (_, i) => 20 * i);
    const raw = { width: 56, height: 56, channels: 1 } as const;
    await sharp(samples, { raw }).toColourspace('grey16').png().toFile(path('deep.png'));
    const few = samples.map((sample) => sample >> 4);
    await sharp(few, { raw }).toColourspace('grey16').png().toFile(path('dark.png'));
    temporary.write('dark.jsonl', jsonLines({ ...rows[0], images: [path('dark.png')] }, ...rows));
    const { file } = (goldenJson('dicom/cases.json') as Record<string, { file: string }>)[
      '8 bits'
    ]!;
    temporary.write('scan.dcm', Buffer.from(file, 'base64'));
    temporary.write('scan.jsonl', jsonLines({ ...rows[0], images: [path('scan.dcm')] }, ...rows));
    temporary.write('deep.jsonl', jsonLines({ ...rows[0], images: [path('deep.png')] }, ...rows));
    const picture = readFileSync(one!);
    temporary.write('a/half.png', picture.subarray(0, picture.length >> 1));
    temporary.write('half.jsonl', jsonLines(...rows, { ...rows[0], images: ['half.png'] }));
    temporary.write('bad.jsonl', jsonLines(...rows, { prompt: 3 }));
    const two = { ...rows[0], prompt: '<image><image>', images: ['x.png', 'y.png'] };
    temporary.write('two.jsonl', jsonLines(...rows, two));
    cpSync(goldenPath('micro-vl'), path('tokenizer'), { recursive: true });
    temporary.write(
      'tokenizer/chat_template.json',
      '{"chat_template": "{{ messages[0].role }}<|image_pad|>"}',
    );
    temporary.write('format.jinja', '{{ content }} Be brief.');
    usual = [
      `worker.actor.model.model_path=${goldenPath('micro-vl')}`,
      `data.train_files=${path('rows.jsonl')}`,
      `data.val_files=${path('rows.jsonl')}`,
      `data.image_dir=${path('a')}`,
      'data.min_pixels=null',
      'data.max_pixels=null',
    ];
  });
  after(() => temporary[Symbol.dispose]());

  const open = (config: Config): Promise<DataActor> => {
    const { trainFiles, valFiles: validationFiles } = config.data;
    const props = {
      ...dataSettings(config),
      ...{ model, trainFiles, validationFiles, batchSize: 2, pixelReaders: [], tools: [] },
    };
    return DataActor.open(props, { logger: keepingLogger().logger, refTo: unused });
  };
  /** All that there is to train and validate on. */
  const read = async (config: Config): Promise<unknown> => {
    const actor = await open(config);
    const first = await actor.nextPrompts();
    const validation = await actor.validation({ start: 0, end: 9 });
    return { summary: actor.summary(), first, validation };
  };
  const orCode =
    (of: (config: Config) => Promise<unknown>) =>
    (config: Config): Promise<unknown> =>
      of(config).catch((error: unknown) => asCxmindError(error).code);
  const changes = (
    of: (config: Config) => unknown,
    ...items: readonly [string, ...string[]]
  ): Promise<void> => {
    const [item, ...beside] = items.map((one) => one.replace('FOLDER', temporary.path));
    return assertChanges(of, item!, ...usual, ...beside);
  };

  effects(
    'changes the prompts',
    [
      'data.train_files=FOLDER/some.jsonl',
      'data.val_files=FOLDER/some.jsonl',
      'data.train_files=[FOLDER/s*.jsonl@train]',
      'data.prompt_key=question',
      'data.answer_key=solution',
      'data.image_key=scans',
      'data.image_dir=FOLDER/b',
      'data.max_prompt_length=100',
      'data.format_prompt=FOLDER/format.jinja',
      'data.override_chat_template="{{ messages[0].role }}<|image_pad|>"',
      'data.apply_chat_template_kwargs={add_vision_id: true}',
      'worker.actor.model.tokenizer_path=FOLDER/tokenizer',
      'data.shuffle=false',
      'data.seed=2',
      'data.min_pixels=8000',
    ],
    (item) => changes(read, item),
  );

  effects('changes the prompts', ['data.max_pixels=8000'], (item) =>
    changes(read, item, 'data.image_key=scans'),
  );

  effects('changes prompts with videos', ['data.video_key=clips', 'data.video_fps=8'], (item) =>
    changes(read, item, 'data.train_files=FOLDER/videos.jsonl'),
  );

  effects('changes prompts with 16-bit pictures', ['data.bit_depth=12'], (item) =>
    changes(read, item, 'data.train_files=FOLDER/deep.jsonl'),
  );

  it('tells prompts the bit depth that it finds in the pictures: data.bit_depth=auto', async () => {
    const depthOf = async (file: string, ...items: string[]): Promise<unknown> => {
      const config = await configOf(...usual, `data.train_files=${path(file)}`, ...items);
      return (await (await open(config)).nextPrompts()).prompts[0]!.bitDepth;
    };
    assert.equal(await depthOf('dark.jsonl'), 12);
    assert.equal(await depthOf('dark.jsonl', 'data.bit_depth=14'), 14);
    assert.equal(await depthOf('rows.jsonl'), 16);
  });

  effects('changes prompts with DICOM pictures', ['data.window=[90,40]'], (item) =>
    changes(read, item, 'data.train_files=FOLDER/scan.jsonl'),
  );

  effects('changes which prompts there are', ['data.filter_overlong_prompts=false'], (item) =>
    changes(read, item, 'data.max_prompt_length=100'),
  );

  effects('changes which answers can be imitated', ['data.max_response_length=4'], (item) =>
    changes(
      orCode(async (config) => (await open(config)).nextSolutions()),
      item,
    ),
  );

  effects('changes what a bad row does', ['data.invalid_rows=skip'], (item) =>
    changes(
      orCode(read),
      item,
      'data.train_files=FOLDER/bad.jsonl',
      'data.max_invalid_fraction=0.2',
    ),
  );

  effects('changes how many bad rows are skipped', ['data.max_invalid_fraction=0.2'], (item) =>
    changes(orCode(read), item, 'data.train_files=FOLDER/bad.jsonl', 'data.invalid_rows=skip'),
  );

  effects('changes when a picture that is cut off is found', ['data.check=all'], (item) =>
    changes(
      orCode(async (config) => (await open(config)).summary()),
      item,
      'data.train_files=FOLDER/half.jsonl',
    ),
  );

  it('counts and names rows whose picture turns out to be bad, and says which prompts are cut', async () => {
    const items = ['data.invalid_rows=skip', 'data.shuffle=false', 'data.max_prompt_length=100'];
    const of = async (...more: string[]): Promise<DataActor> => {
      const files = `data.train_files=${path('half.jsonl')}`;
      return open(await configOf(...usual, files, ...items, ...more));
    };
    const few = await of('data.filter_overlong_prompts=false');
    await few.nextPrompts();
    await few.nextPrompts();
    await assert.rejects(few.nextPrompts(), {
      code: 'DATA_INVALID',
      message:
        /^1 of 5 rows are invalid, more than data\.max_invalid_fraction = 0\.05 lets be skipped: .*half\.jsonl:5: images\[0\]/,
    });
    const checked = await of(
      'data.filter_overlong_prompts=false',
      'data.check=all',
      'data.max_invalid_fraction=0.2',
    );
    const { trainPrompts, skipped, notes } = checked.summary();
    assert.deepEqual([trainPrompts, skipped], [4, 1]);
    assert.match(notes.join('\n'), /^row skipped: .*half\.jsonl:5: images\[0\]: .*truncated/m);
    assert.match(
      notes.join('\n'),
      /^prompts cut so far to data\.max_prompt_length = 100: \d+, the first being half\.jsonl:\d/m,
    );
    const { notes: later } = await checked.nextPrompts();
    assert.deepEqual(later, [], 'each is said once');
  });

  effects('changes which prompts are taken', ['worker.rollout.limit_images=1'], (item) =>
    changes(orCode(read), item, 'data.train_files=FOLDER/two.jsonl'),
  );

  effects(
    'changes how many rows are measured at a time',
    ['data.filter_overlong_prompts_workers=3'],
    (item) => changes((config) => dataSettings(config).filterConcurrency, item),
  );

  effectOf('data.num_workers');
  it('is how many actors read pixels: data.num_workers', async () => {
    for (const count of [0, 3]) {
      const config = await configOf(...usual, `data.num_workers=${count}`);
      const started: string[] = [];
      const system = {
        spawn: ({ name }: { name: string }) => {
          started.push(name);
          return Promise.resolve({ name });
        },
      };
      await spawnData(system as unknown as ActorSystem, planRun(config).task, { model });
      assert.equal(started.filter((name) => name.includes('pixels')).length, count);
    }
  });
});
