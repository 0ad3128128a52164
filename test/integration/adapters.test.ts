import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { silentReporter } from '../../actors/trainer/report/reporter.ts';
import { loadAdapter } from '../../src/model/checkpoint/adapter-files.ts';
import { loadCheckpoint } from '../../src/model/checkpoint/checkpoint.ts';
import { mergeCheckpoint } from '../../src/model/checkpoint/merge-checkpoint.ts';
import { readSafetensors } from '../../src/model/checkpoint/safetensors.ts';
import { numberToBf16, bf16ToNumber } from '../../src/tensor/dtype.ts';
import { effectOf } from '../support/effect.ts';
import { relativeError } from '../support/golden-model.ts';
import { metricsOf, numbersOf, superviseTiny, trainTiny, tinySuite } from '../support/tiny-run.ts';

const reward = 'worker.reward.reward_function=test/support/letters-reward.ts:score';
const lora = ['worker.actor.model.lora.rank=4', 'worker.actor.model.lora.alpha=8'];

/** Names of the tensors of a Hugging Face directory whose bytes are not those of another. */
async function changed(directory: string, from: string): Promise<string[]> {
  const [before, after] = await Promise.all(
    [from, directory].map((one) => readSafetensors(join(one, 'model.safetensors'))),
  );
  assert.deepEqual([...after!.keys()], [...before!.keys()]);
  const bytes = (data: ArrayBufferView): Buffer =>
    Buffer.from(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
  return [...after!].flatMap(([name, { data }]) =>
    bytes(data).equals(bytes(before!.get(name)!.data)) ? [] : [name],
  );
}

describe('a run that trains a part of the model', () => {
  const { demo, path } = tinySuite();
  let base: string;
  const actor = (run: string, step: number): string => path(run, `global_step_${step}`, 'actor');
  const train = (run: string, items: readonly string[], notes: string[] = []) =>
    trainTiny(demo, path(run), [reward, 'trainer.save_freq=2', ...items], {
      reporter: { ...silentReporter, note: (note) => void notes.push(note) },
    });
  const stateOf = async (run: string, step: number) =>
    readSafetensors(join(actor(run, step), 'optimizer.safetensors'));

  before(() => {
    base = path('demo', 'model');
  });

  describe('with low-rank adapters', () => {
    const notes: string[] = [];
    const greedy = [
      'trainer.val_freq=2',
      'trainer.val_generations_to_log=4',
      'worker.rollout.val_override_config.temperature=0',
    ];
    before(() => train('lora', [...lora, ...greedy, 'trainer.max_steps=4'], notes));

    effectOf('worker.actor.model.lora.rank');
    it('has moments for adapters alone, and says how many', async () => {
      const { config } = await loadCheckpoint(base);
      const { spec, arena } = await loadAdapter(join(actor('lora', 4), 'lora_adapter'), config);
      const count = arena.layout.entries.reduce((sum, { size }) => sum + size, 0);
      const state = await stateOf('lora', 4);
      for (const name of ['weights', 'm', 'v']) {
        // Parameters begin at multiples of 16 elements.
        assert.ok(state.get(name)!.data.length - count < 16 * arena.layout.entries.length);
      }
      assert.match(
        notes.join('\n'),
        new RegExp(
          `${count.toLocaleString('en')} parameters are trained, .* adapters of ${spec.modules.length} modules`,
        ),
      );
      for (const module of spec.modules) {
        const b = arena.tensor(`${module}.lora_B.weight`).data;
        assert.ok(
          b.some((value) => value !== 0),
          `${module} learnt nothing`,
        );
      }
    });

    it('saves the merged model beside the adapters, nothing else of it changed', async () => {
      const merged = path('merged');
      await mergeCheckpoint(actor('lora', 4), { out: merged });
      const names = await changed(join(actor('lora', 4), 'huggingface'), base);
      assert.deepEqual(await changed(merged, join(actor('lora', 4), 'huggingface')), []);
      assert.ok(names.length > 0);
      for (const name of names) assert.match(name, /(_proj|qkv|attn\.proj|mlp\.[02])\.weight$/);
    });

    it('takes the weights without adapters as its reference', () => {
      const kl = metricsOf(path('lora')).flatMap((line) => line['actor/kl_loss'] ?? []);
      const first = kl[0]!;
      assert.ok(first < kl.at(-1)!, `${first} is not below ${kl.at(-1)}`);
      // Of two optimizer steps in the first training step, one is before anything has changed.
      assert.ok(first >= 0);
    });

    effectOf('worker.actor.model.model_path');
    it('answers with the adapters as the merged model does', async () => {
      const merged = `worker.actor.model.model_path=${join(actor('lora', 4), 'huggingface')}`;
      await train('eval', [
        ...greedy,
        merged,
        'trainer.val_only=true',
        'algorithm.disable_kl=true',
      ]);
      const outputs = (run: string): string[] =>
        readFileSync(path(run, 'generations.jsonl'), 'utf8')
          .trimEnd()
          .split('\n')
          .map((line) => (JSON.parse(line) as { output: string }).output);
      assert.deepEqual(outputs('eval'), outputs('lora').slice(-4));
      assert.notDeepEqual(outputs('eval'), outputs('lora').slice(0, 4));
    });

    it('goes on after a stop bit for bit', async () => {
      const from = `trainer.load_checkpoint_path=${path('lora', 'global_step_2')}`;
      await train('rest', [...lora, ...greedy, from, 'trainer.max_steps=4']);
      for (const name of [
        'lora_adapter/adapter_model.safetensors',
        'optimizer.safetensors',
        'huggingface/model.safetensors',
      ]) {
        const [one, other] = ['rest', 'lora'].map((run) => readFileSync(join(actor(run, 4), name)));
        assert.ok(one!.equals(other!), `${name} differs`);
      }
      assert.deepEqual(numbersOf(path('rest')).slice(-2), numbersOf(path('lora')).slice(-2));
    });

    it('is refused another rank when it goes on', async () => {
      const from = `trainer.load_checkpoint_path=${path('lora', 'global_step_2')}`;
      const items = ['worker.actor.model.lora.rank=3', from, 'trainer.max_steps=6'];
      await assert.rejects(train('other', items), {
        code: 'CHECKPOINT_INVALID',
        message: /does not fit what is trained/,
      });
    });

    it('comes to the same with two learners', async () => {
      const items = [...lora, 'trainer.max_steps=2', 'trainer.val_freq=2'];
      await train('two', [...items, 'worker.actor.num_workers=2']);
      const [two, one] = [await stateOf('two', 2), await stateOf('lora', 2)];
      for (const name of ['weights', 'm', 'v']) {
        const [got, want] = [two, one].map((state) => state.get(name)!.data as Float32Array);
        assert.equal(got!.length, want!.length);
        const error = relativeError(got!, want!);
        assert.ok(error < 1e-3, `${name}: relative error ${error}`);
      }
    });

    effectOf('worker.actor.model.lora.target_modules');
    it('adapts what is asked for, and no vision tower that is frozen', async () => {
      const told: string[] = [];
      const items = [...lora, 'worker.actor.model.freeze_vision_tower=true', 'trainer.max_steps=2'];
      await train(
        'some',
        [...items, 'worker.actor.model.lora.target_modules=up_proj,v_proj'],
        told,
      );
      const { config } = await loadCheckpoint(base);
      const { spec } = await loadAdapter(join(actor('some', 2), 'lora_adapter'), config);
      assert.deepEqual(spec.modules, [
        'model.layers.0.self_attn.v_proj',
        'model.layers.0.mlp.up_proj',
      ]);
      assert.ok(told.includes('the vision tower is frozen'));
    });

    it('is refused modules that there are not', async () => {
      await assert.rejects(
        train('none', [...lora, 'worker.actor.model.lora.target_modules=query']),
        {
          code: 'CONFIG_INVALID',
          message: /target_modules = query .* linear modules end in .*q_proj/,
        },
      );
    });
  });

  describe('without adapters', () => {
    effectOf('worker.actor.model.freeze_vision_tower');
    it('leaves a frozen vision tower its bytes, and keeps no moments for it', async () => {
      const frozen = 'worker.actor.model.freeze_vision_tower=true';
      await train('frozen', [frozen, 'trainer.max_steps=2', 'worker.actor.num_workers=2']);
      const names = await changed(join(actor('frozen', 2), 'huggingface'), base);
      assert.ok(names.length > 0);
      assert.deepEqual(
        names.filter((name) => name.startsWith('visual.')),
        [],
      );
      const { arena } = await loadCheckpoint(base);
      const sizes = arena.layout.entries.filter(({ name }) => !name.startsWith('visual.'));
      const text = sizes.reduce((sum, { size }) => sum + size, 0);
      const { length } = (await stateOf('frozen', 2)).get('m')!.data;
      assert.ok(length >= text && length < text + 16 * sizes.length, `${length} for ${text}`);
    });

    it('holds its weights and computes in bf16, and goes on after a stop bit for bit', async () => {
      const items = [
        'worker.actor.optim.strategy=adamw_bf16',
        'worker.actor.fsdp.torch_dtype=bf16',
        'worker.actor.fsdp.mp_param_dtype=bf16',
      ];
      await train('bf16', [...items, 'trainer.max_steps=2', 'trainer.save_freq=1']);
      const from = `trainer.load_checkpoint_path=${path('bf16', 'global_step_1')}`;
      await train('bf16-rest', [...items, from, 'trainer.max_steps=2']);
      const state = await stateOf('bf16', 2);
      for (const name of ['m', 'v', 'c']) assert.equal(state.get(name)!.dtype, 'bf16');
      const weights = state.get('weights')!.data as Float32Array;
      assert.ok(weights.every((value) => value === bf16ToNumber(numberToBf16(value))));
      const file = 'optimizer.safetensors';
      const [one, other] = ['bf16', 'bf16-rest'].map((run) =>
        readFileSync(join(actor(run, 2), file)),
      );
      assert.ok(one!.equals(other!));
    });

    effectOf('sft.train_files', 'sft.epochs', 'sft.batch_size', 'sft.save_checkpoint_path');
    it('makes a warm start of a merged model', async () => {
      const folder = `sft.save_checkpoint_path=${path('sft')}`;
      // Of the open task's four rows a batch is made twice.
      const data = [`sft.train_files=${path('demo', 'open-train.jsonl')}`, 'sft.epochs=2'];
      const own = [folder, ...data, 'sft.max_steps=null', 'data.max_response_length=96'];
      const items = [...lora, ...own];
      const { checkpoint, steps } = await superviseTiny(demo, path('sft-run'), items);
      assert.equal(steps, 2);
      assert.ok((await changed(checkpoint, base)).length > 0);
      assert.ok(existsSync(path('sft', 'lora_adapter', 'adapter_config.json')));
    });

    effectOf('worker.actor.model.override_config');
    it('computes with a config that is laid over the checkpoint, and saves it', async () => {
      const override = 'worker.actor.model.override_config';
      const items = ['trainer.max_steps=1', 'trainer.save_freq=1'];
      await train('overridden', [`${override}={rms_norm_eps: 0.5}`, ...items]);
      const saved = join(actor('overridden', 1), 'huggingface');
      assert.equal((await loadCheckpoint(saved)).config.text.rmsNormEps, 0.5);
      // What the first step samples does not depend on what it trains.
      const sampled = (run: string): unknown => {
        const { 'critic/score/mean': score, 'response_length/mean': length } = metricsOf(
          path(run),
        )[0]!;
        return [score, length];
      };
      assert.deepEqual(sampled('frozen'), sampled('lora'));
      assert.notDeepEqual(sampled('overridden'), sampled('frozen'));
      await assert.rejects(train('wrong', [`${override}={rms_norm_epps: 0.5, hidden_sizes: 3}`]), {
        code: 'CONFIG_INVALID',
        message:
          /override_config\.rms_norm_epps: .* nearest: rms_norm_eps\n.*hidden_sizes: .* hidden_size/,
      });
      await assert.rejects(train('resized', [`${override}={intermediate_size: 96}`]), {
        code: 'CHECKPOINT_INVALID',
        message: /the weights do not fit .*wrong tensors: .*mlp/,
      });
    });
  });
});
