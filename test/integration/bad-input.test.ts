import assert from 'node:assert/strict';
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { failureOf, type Failure } from '../../src/cli/exit-code.ts';
import { readSafetensors, writeSafetensors } from '../../src/model/checkpoint/safetensors.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { runHere } from '../support/cxmind-process.ts';
import {
  keepingLogger,
  keepingReporter,
  metricsOf,
  superviseTiny,
  trainTiny,
  tinySuite,
} from '../support/tiny-run.ts';

type Row = Record<string, unknown>;
/** A failure as its process shows it. */
type Told = Pick<Failure, 'exitCode' | 'text'>;

describe('bad input', () => {
  const { demo, path, write } = tinySuite();
  let run: string;
  let rows: Row[];
  let count = 0;

  /** The demo's rows with the third one replaced, as a file of their own. */
  const rowsWith = (third: Row | string): string => {
    const lines = rows.map((row, i) => (i === 2 ? third : row));
    const text = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line)));
    return write(`rows-${count}.jsonl`, `${text.join('\n')}\n`);
  };

  /** Fine-tunes in this process. */
  const sft = (items: readonly string[]): Promise<unknown> =>
    superviseTiny(demo, run, ['data.max_response_length=64', 'sft.batch_size=16', ...items]);

  /** Waits for work to fail and gives the failure as the command line tells it. */
  const failure = (work: Promise<unknown>): Promise<Told> =>
    work.then(() => assert.fail('nothing was refused'), failureOf);
  const assertRefused = ({ exitCode, text }: Told, wanted: RegExp, wantedCode = 2): void => {
    assert.match(text, wanted);
    assert.doesNotMatch(text, /\n {4}at /, 'a stack is no help to the user');
    assert.equal(exitCode, wantedCode);
    const left = existsSync(run) ? readdirSync(run, { recursive: true }).map(String) : [];
    assert.deepEqual(
      left.filter((name) => /global_step|huggingface|partial|tracker|summary/.test(name)),
      [],
    );
  };

  before(() => {
    const closedTrain = join(demo, 'closed-train.jsonl');
    const lines = readFileSync(closedTrain, 'utf8').trimEnd().split('\n');
    rows = lines.map((line) => JSON.parse(line) as Row);
    const picture = readFileSync(join(demo, 'images/closed-train/00002.png'));
    writeFileSync(join(demo, 'truncated.png'), picture.subarray(0, picture.length >> 1));
    writeFileSync(join(demo, 'text.png'), 'this is no picture');
  });
  beforeEach(() => {
    count++;
    run = path(`run-${count}`);
  });

  describe('in a data set', () => {
    const withImage = (name: string) => (row: Row) => ({ ...row, images: [name] });
    const cases: Record<string, [change: (row: Row) => Row | string, wanted: RegExp]> = {
      'an image that is missing': [
        withImage('none.png'),
        /rows-\d+\.jsonl:3: images\[0\]: image .*\/demo\/none\.png: no such file/,
      ],
      'an image that is truncated': [
        withImage('truncated.png'),
        /rows-\d+\.jsonl:3: images\[0\]: image .*\/demo\/truncated\.png: this PNG file is truncated/,
      ],
      'an image that is none': [
        withImage('text.png'),
        /rows-\d+\.jsonl:3: images\[0\]: image .*\/demo\/text\.png: it is a file of no format that is known; pictures are read from PNG/,
      ],
      'a line that is not JSON': [() => '{"prompt": ', /rows-\d+\.jsonl:3: not JSON: /],
      'a row without its answer': [
        ({ answer: _, ...row }) => row,
        /rows-\d+\.jsonl:3: answer: missing; the row has prompt, images, findings/,
      ],
      'an answer longer than max_response_length': [
        (row) => ({ ...row, answer: 'x'.repeat(500) }),
        /rows-\d+\.jsonl:3: answer: \d+ tokens with the end of turn, max_response_length is 64/,
      ],
    };
    for (const [name, [change, wanted]] of Object.entries(cases)) {
      it(`${name} ends the run, which names file, line and field`, async () => {
        const file = rowsWith(change(rows[2]!));
        const items = [`data.train_files=${file}`, 'sft.max_steps=1'];
        assertRefused(await failure(sft(items)), wanted);
      });
    }

    it('is skipped and counted with invalid_rows: skip', async () => {
      const bad = [
        '{"prompt": ',
        JSON.stringify({ ...rows[0], answer: null }),
        JSON.stringify({ ...rows[0], images: ['none.png'] }),
        JSON.stringify({ ...rows[0], images: ['truncated.png'] }),
      ];
      const file = write(
        'mixed.jsonl',
        [...bad, ...rows.map((row) => JSON.stringify(row))].join('\n'),
      );
      const { logger, events } = keepingLogger();
      const { reporter, notes } = keepingReporter();
      const items = [
        `data.train_files=${file}`,
        'data.invalid_rows=skip',
        'data.max_invalid_fraction=0.5',
        'data.filter_overlong_prompts=true',
        'trainer.max_steps=5',
        'trainer.val_before_train=false',
      ];
      await trainTiny(demo, run, items, { logger, reporter });
      assert.match(
        notes.join('\n'),
        /\d+ training prompts, 4 for validation, [34] invalid and skipped/,
      );
      const skipped = events.filter(({ event }) => event === 'row skipped');
      const lines = skipped.map(({ level, fields }) => `${level} ${String(fields['line'])}`);
      assert.deepEqual([...new Set(lines)].sort(), ['warn 1', 'warn 2', 'warn 3', 'warn 4']);
      const reason = String(skipped.at(-1)!.fields['reason']);
      assert.match(reason, /mixed\.jsonl:4: images\[0\]: .*truncated/);
      const counts = metricsOf(run).map((line) => line['data/skipped_rows']);
      assert.ok(counts.every((count) => Number(count) >= 3));
      assert.equal(Math.max(...counts.map(Number)), 4);
    });
  });

  describe('in a checkpoint', () => {
    async function changeTensors(change: (tensors: Map<string, Tensor>) => void): Promise<string> {
      const model = path(`model-${count}`);
      cpSync(join(demo, 'model'), model, { recursive: true });
      const weights = join(model, 'model.safetensors');
      const tensors = new Map(await readSafetensors(weights));
      change(tensors);
      await writeSafetensors(
        weights,
        [...tensors].map(([name, tensor]) => ({ name, tensor })),
      );
      return `worker.actor.model.model_path=${model}`;
    }

    it('a missing tensor and a wrong shape are named together', async () => {
      const item = await changeTensors((tensors) => {
        const norm = tensors.get('model.norm.weight')!;
        tensors.set('model.norm.weight', { ...norm, shape: [norm.data.length / 2, 2] });
        tensors.delete('lm_head.weight');
      });
      assertRefused(
        await failure(trainTiny(demo, run, [item])),
        /model-\d+: the weights do not fit config\.json.*missing tensors: lm_head\.weight; wrong tensors: model\.norm\.weight \(model\.safetensors\) is \[16, 2\], not \[32\]/,
      );
    });

    it('an unknown architecture is named with those that are known', async () => {
      const model = path(`model-${count}`);
      cpSync(join(demo, 'model'), model, { recursive: true });
      const file = join(model, 'config.json');
      const config = JSON.parse(readFileSync(file, 'utf8')) as Row;
      writeFileSync(file, JSON.stringify({ ...config, architectures: ['MambaForCausalLM'] }));
      assertRefused(
        await failure(trainTiny(demo, run, [`worker.actor.model.model_path=${model}`])),
        /model-\d+\/config\.json: architectures: \["MambaForCausalLM"\] is not supported; supported are Qwen2_5_VLForConditionalGeneration/,
      );
    });

    it('weights that are not finite end sft and train, and no checkpoint is written', async () => {
      const item = await changeTensors((tensors) => {
        tensors.get('model.norm.weight')!.data[3] = NaN;
      });
      assertRefused(
        await failure(sft([item, 'sft.max_steps=2'])),
        /sft: the loss is not finite at step 1/,
        1,
      );
      assertRefused(
        await failure(trainTiny(demo, run, [item, 'trainer.val_before_train=false'])),
        /token probabilities are not finite: .*worker\.actor\.model\.model_path/,
        1,
      );
    });
  });

  describe('in what is to be merged', () => {
    const cases: Record<string, [folder: () => string, more: readonly string[], wanted: RegExp]> = {
      'a folder that is missing': [() => path('none'), [], /\/none: is not there/],
      'a folder of something else': [
        () => join(demo, 'images'),
        [],
        /\/images: holds neither huggingface\/ with weights nor lora_adapter\//,
      ],
      'a type of weights that there is not': [
        () => join(demo, 'model'),
        ['--dtype', 'f8'],
        /--dtype=f8 to be one of: bf16, f16, f32/,
      ],
    };
    for (const [what, [folder, more, wanted]] of Object.entries(cases)) {
      it(`${what} is named, and nothing written`, async () => {
        const args = ['--local_dir', folder(), '--out', run, ...more];
        assertRefused(await runHere(['merge', ...args]), wanted);
        assert.equal(existsSync(run), false);
      });
    }
  });

  it('a learning rate that spoils the weights ends the run, which names it', async () => {
    const items = ['worker.actor.optim.lr=1e30', 'trainer.max_steps=9'];
    assertRefused(
      await failure(trainTiny(demo, run, [...items, 'trainer.val_before_train=false'])),
      /not finite.*worker\.actor\.optim\.lr/,
      1,
    );
  });
});
