import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { convertSet, type ConvertOptions } from '../../../src/convert/convert.ts';
import { sentencesOf, thoughtOn } from '../../../src/convert/report.ts';
import { answerText, DEFAULT_KEYS } from '../../../src/data/row.ts';
import { loadDataset } from '../../../src/data/dataset.ts';
import { builtInReward } from '../../../src/reward/registry.ts';
import { directoryForEach, type Directory } from '../../support/temporary-directory.ts';

const LABELS =
  'No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,' +
  'Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices';
const REPORT = `                                 FINAL REPORT
 INDICATION:  ___ year old woman with pneumonia.

 FINDINGS:  Small left pleural effusion is
 seen.  There is no pneumothorax.  Compared with ___, the edema is better.

 IMPRESSION:  Left effusion.
`;

/** Writes files below a folder; pictures are empty, since only their names count. */
function fill(folder: Directory, files: Readonly<Record<string, string | Uint8Array>>): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder.path, name)), { recursive: true });
    folder.write(name, content);
  }
}

const chexpert = (folder: Directory): void => {
  const at = (i: number): string => `train/patient${i}/study1/view1_frontal.jpg`;
  const row = (path: string, view: string, labels: string): string =>
    `CheXpert-v1.0-small/${path},Female,68,${view},AP,${labels}\n`;
  const header = `Path,Sex,Age,Frontal/Lateral,AP/PA,${LABELS}\n`;
  const lateral = 'train/patient1/study1/view2_lateral.jpg';
  fill(folder, {
    'train.csv':
      header +
      row(at(1), 'Frontal', ',,1.0,,,-1.0,,,,0.0,1.0,,,1.0') +
      row(lateral, 'Lateral', ',,1.0,,,-1.0,,,,0.0,1.0,,,1.0') +
      row(at(2), 'Frontal', '1.0,,,,,,,,,0.0,,,,') +
      row(at(3), 'Frontal', ',,,,,-1.0,,,,,,,,') +
      row(at(4), 'Frontal', ',,,1.0,,,,,,,,,,'),
    'valid.csv':
      header +
      row('valid/patient9/study1/view1_frontal.jpg', 'Frontal', '0,0,1,0,0,0,0,0,0,0,0,0,0,0'),
    ...Object.fromEntries(
      [at(1), at(2), at(3), lateral, 'valid/patient9/study1/view1_frontal.jpg'].map((name) => [
        name,
        '',
      ]),
    ),
  });
};

const nih = (folder: Directory): void =>
  fill(folder, {
    'Data_Entry_2017.csv':
      'Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n' +
      '00000001_000.png,Cardiomegaly|Pleural_Thickening,0,1,058Y,M,PA,2682,2749,0.143,0.143,\n' +
      '00000002_000.png,No Finding,0,2,081Y,M,PA,2500,2048,0.171,0.171,\n',
    'train_val_list.txt': '00000001_000.png\n',
    'test_list.txt': '00000002_000.png',
    'images_001/images/00000001_000.png': '',
    'images_002/images/00000002_000.png': '',
  });

const mimic = (folder: Directory): void => {
  const study = 'files/p10/p10000032/s50414267';
  const metadata =
    'dicom_id,subject_id,study_id,ViewPosition\na-b,10000032,50414267,PA\nc-d,10000032,50414267,LATERAL\n';
  fill(folder, {
    'mimic-cxr-2.0.0-chexpert.csv.gz': gzipSync(
      `subject_id,study_id,${LABELS}\n10000032,50414267,,,,,,,,,,0.0,1.0,,,\n`,
    ),
    'mimic-cxr-2.0.0-metadata.csv.gz': gzipSync(metadata),
    'mimic-cxr-2.0.0-split.csv':
      'dicom_id,study_id,subject_id,split\na-b,50414267,10000032,validate\nc-d,50414267,10000032,validate\ne-f,1,2,train\n',
    [`${study}/a-b.dcm`]: '',
    [`${study}/c-d.dcm`]: '',
    [`${study}.txt`]: REPORT,
  });
};

describe('convertSet', () => {
  const source = directoryForEach();
  const target = directoryForEach();

  const convert = (
    name: string,
    options: Pick<ConvertOptions, 'layout'> & Partial<ConvertOptions>,
  ) =>
    convertSet(join(target.path, name), {
      ...{ folder: source.path, reports: null, seed: 1, options: 4, distractors: 2 },
      ...{ limit: null, lateral: false, uncertain: 'ignore' as const, ...options },
    });
  const textOf = (name: string): string => readFileSync(join(target.path, name), 'utf8');
  const rowsOf = (name: string): Record<string, unknown>[] =>
    textOf(name)
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Record<string, unknown>);

  it('writes rows of CheXpert whose answers have every point of their reward', async () => {
    chexpert(source);
    const { files, missing } = await convert('out', { layout: 'chexpert' });
    assert.deepEqual(
      files.map(({ path, rows }) => [path.slice(target.path.length + 5), rows]),
      [
        ['closed-train.jsonl', 2],
        ['open-train.jsonl', 2],
        ['closed-valid.jsonl', 1],
        ['open-valid.jsonl', 1],
      ],
    );
    assert.equal(missing, 1);
    const keys = { ...DEFAULT_KEYS, invalidRows: 'fail' } as const;
    for (const [task, most] of [
      ['closed', { acc: 1, process: 0.5 }],
      ['open', { f1: 1, process: 0.2 }],
    ] as const) {
      const reward = builtInReward(task, { form: 'repaired' });
      const { rows } = await loadDataset({
        source: join(target.path, `out/${task}-train.jsonl`),
        ...keys,
      });
      for (const { answer } of rows) {
        const [parts] = await reward.score([
          { response: answerText(answer), responseLength: 9, groundTruth: answer },
        ]);
        assert.deepEqual({ ...parts, ...most, overall: 1, format: 1, reason: 1 }, parts);
      }
    }
  });

  it('offers no uncertain finding unless it is told how to read it', async () => {
    chexpert(source);
    await convert('ignored', { layout: 'chexpert', options: 7, distractors: 20 });
    const [first] = rowsOf('ignored/open-train.jsonl');
    assert.deepEqual(first!['findings'], ['Cardiomegaly', 'Pleural Effusion', 'Support Devices']);
    assert.ok(!String(first!['answer']).includes('Edema'));
    await convert('present', { layout: 'chexpert', uncertain: 'present' });
    assert.deepEqual(
      rowsOf('present/open-train.jsonl').map((row) => row['findings']),
      [['Cardiomegaly', 'Edema', 'Pleural Effusion', 'Support Devices'], ['No Finding'], ['Edema']],
    );
    await convert('absent', { layout: 'chexpert', uncertain: 'absent', distractors: 20 });
    assert.match(String(rowsOf('absent/open-train.jsonl')[0]!['answer']), /Edema ❌/);
  });

  it('reads the layout of ChestX-ray14, in parts', async () => {
    nih(source);
    await convert('out', { layout: 'nih' });
    const [train, test] = ['train', 'test'].map((split) => rowsOf(`out/open-${split}.jsonl`)[0]!);
    assert.deepEqual(
      [train!['images'], train!['findings']],
      [['images_001/images/00000001_000.png'], ['Cardiomegaly', 'Pleural Thickening']],
    );
    assert.deepEqual(
      [test!['images'], test!['findings']],
      [['images_002/images/00000002_000.png'], ['No Finding']],
    );
    assert.match(String(test!['answer']), /<answer>No Finding<\/answer>$/);
  });

  it('reads tables of MIMIC-CXR-JPG compressed or not, and takes thoughts from its reports', async () => {
    mimic(source);
    await convert('out', { layout: 'mimic-cxr-jpg', distractors: 20 });
    assert.deepEqual(readdirSync(join(target.path, 'out')), [
      'README.md',
      'closed-validate.jsonl',
      'open-validate.jsonl',
    ]);
    const [row, ...others] = rowsOf('out/open-validate.jsonl');
    assert.equal(others.length, 0);
    assert.deepEqual(row!['images'], ['files/p10/p10000032/s50414267/a-b.dcm']);
    const answer = String(row!['answer']);
    assert.ok(
      answer.includes(
        '<think>Small left pleural effusion is seen.</think><answer>Pleural Effusion ✅</answer>',
      ),
    );
    assert.ok(
      answer.includes('<think>There is no pneumothorax.</think><answer>Pneumothorax ❌</answer>'),
    );
    assert.ok(
      answer.includes('<think>There are no signs of edema.</think><answer>Edema ❌</answer>'),
    );
    await convert('both', { layout: 'mimic-cxr-jpg', lateral: true });
    assert.equal(rowsOf('both/open-validate.jsonl').length, 2);
  });

  it('gives equal bytes for equal seeds, draws other options by another, and keeps rows when it takes fewer', async () => {
    chexpert(source);
    for (const [name, seed] of [
      ['a', 1],
      ['b', 1],
      ['c', 2],
    ] as const)
      await convert(name, { layout: 'chexpert', seed });
    await convert('one', { layout: 'chexpert', limit: 1 });
    const text = (name: string): string => textOf(`${name}/closed-train.jsonl`);
    assert.equal(text('a'), text('b'));
    assert.notEqual(text('a'), text('c'));
    assert.ok(text('a').includes(text('one').trim()));
  });

  it('says where the rows come from, under which terms, and what is wrong with a folder', async () => {
    await assert.rejects(convert('out', { layout: 'chexpert' }), {
      code: 'DATA_INVALID',
      message: `${source.path}: no train.csv, which this set has`,
    });
    chexpert(source);
    await convert('out/', { layout: 'chexpert' });
    assert.match(
      textOf('out/README.md'),
      /seed 1: 4 options[^]*\n- closed-train\.jsonl: 2 rows[^]*Research Use Agreement/,
    );
    await assert.rejects(convert('out', { layout: 'chexpert' }), { code: 'CONFIG_INVALID' });
    await assert.rejects(convert('out/README.md', { layout: 'chexpert' }), {
      code: 'CONFIG_INVALID',
      message: `${target.path}/out/README.md exists and is not an empty directory; name another one`,
    });
    const table = readFileSync(join(source.path, 'train.csv'), 'utf8');
    source.write('train.csv', table.replace(',1.0,', ',2,'));
    await assert.rejects(convert('other', { layout: 'chexpert' }), {
      code: 'DATA_INVALID',
      message: `${source.path}/train.csv:2: Cardiomegaly: expected 1, 0, -1 or nothing, got "2"`,
    });
    assert.deepEqual(readdirSync(target.path), ['out']);
  });
});

describe('thoughtOn', () => {
  const sentences = sentencesOf(REPORT);

  it('takes sentences of descriptive sections alone, without blanks', () => {
    assert.deepEqual(sentences, [
      'Small left pleural effusion is seen.',
      'There is no pneumothorax.',
      'Left effusion.',
    ]);
  });

  it('takes no sentence that is worded against the label', () => {
    assert.equal(thoughtOn('Pneumothorax', false, sentences), 'There is no pneumothorax.');
    assert.equal(thoughtOn('Pneumothorax', true, sentences), 'There are signs of pneumothorax.');
    assert.equal(thoughtOn('Pneumonia', true, sentences), 'There are signs of pneumonia.');
    assert.equal(thoughtOn('No Finding', true, ['Lungs are clear.']), 'Lungs are clear.');
    assert.equal(
      thoughtOn('No Finding', false, ['Lungs are clear.']),
      'Something abnormal is seen.',
    );
  });
});
