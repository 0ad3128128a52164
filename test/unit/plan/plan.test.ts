import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Planner, plansOf } from '../../../src/cli/plan-machines.ts';
import { decodeModelConfig } from '../../../src/model/checkpoint/config-file.ts';
import type { PromptInput } from '../../../src/model/pack.ts';
import { madePrompts } from '../../../src/plan/prompts.ts';
import { advise } from '../../../src/plan/advice.ts';
import type { Estimate } from '../../../src/plan/estimate.ts';
import { readMachines, type Machine } from '../../../src/plan/machines.ts';
import { detailsOf, factsOf, tableOf, type MachinePlan } from '../../../src/plan/report.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';
import { qwen3b, wideText } from './configs.ts';

describe('the plan of a run', () => {
  const directory = new TemporaryDirectory();
  after(() => directory[Symbol.dispose]());
  const file = (name: string, text: string): string => {
    const path = join(directory.path, name);
    writeFileSync(path, text);
    return path;
  };
  file('config.json', JSON.stringify(wideText));
  const machines = file(
    'machines.yaml',
    `small:
  cards: { name: small, count: 1, memory_gib: 5, bandwidth_gb_s: 1000, tflops_bf16: 100, tflops_f32: 20 }
  host: { cores: 8, memory_gib: 32, bandwidth_gb_s: 50, gflops_a_core: 50 }
pair:
  cards: { name: small, count: 2, memory_gib: 5, bandwidth_gb_s: 1000, tflops_bf16: 100, tflops_f32: 20, link_gb_s: 50 }
  host: { cores: 8, memory_gib: 32, bandwidth_gb_s: 50, gflops_a_core: 50 }
roomy:
  host: { cores: 8, memory_gib: 64, bandwidth_gb_s: 50, gflops_a_core: 50 }
tiny:
  host: { cores: 2, memory_gib: 0.5, bandwidth_gb_s: 20, gflops_a_core: 50 }
`,
  );
  const items = [
    `worker.actor.model.model_path=${directory.path}`,
    ...['data.max_prompt_length=64', 'data.max_response_length=64', 'data.rollout_batch_size=4'],
    ...['worker.actor.global_batch_size=4', 'worker.rollout.n=4', 'algorithm.use_kl_loss=true'],
    ...['worker.actor.model.enable_gradient_checkpointing=false', 'trainer.max_steps=100'],
  ];
  const planOn = async (machine: string, more: readonly string[] = []): Promise<MachinePlan> => {
    const { plans } = await plansOf([...items, ...more], { machine: [machine], machines });
    return plans[0]!;
  };

  const machineOf = async (wanted: string): Promise<Machine> =>
    (await readMachines(machines)).find(({ name }) => name === wanted)!;
  const planner = new Planner(items, {});
  const roomyCard = {
    ...{ name: 'roomy', count: 1, memoryGib: 24, linkGbS: null },
    ...{ bandwidthGbS: 1000, tflopsBf16: 100, tflopsF32: 20 },
  };

  it('says what to change where a card is too small, and that fits when it is applied', async () => {
    const machine = await machineOf('small');
    const first = await planner.tryOn(machine, []);
    assert.equal(first.estimate.fits, false);
    const advice = await advise(first, (more) => planner.tryOn(machine, more));
    const last = advice.at(-1)!;
    assert.ok(last.estimate.fits);
    const applied = await planOn(
      'small',
      advice.flatMap(({ items: some }) => some),
    );
    assert.ok(applied.estimate.fits);
    assert.deepEqual(applied.estimate.memory, last.estimate.memory);
    // None of the changes is for nothing.
    for (const one of advice) {
      const others = advice.filter((other) => other !== one).flatMap(({ items: some }) => some);
      assert.equal((await planner.tryOn(machine, others)).estimate.fits, false);
    }
    const text = detailsOf({ ...first, advice });
    assert.match(text, /to make it fit/);
    for (const { items: some } of advice) assert.ok(text.includes(some.join(' ')));
  });

  it('takes one card for trainer.device=auto as a run does, and advises all of them', async () => {
    const [one, two] = [await machineOf('small'), await machineOf('pair')];
    const auto = await planner.tryOn(two, []);
    assert.deepEqual(auto.run.policy.model.devices, ['cuda:0']);
    assert.deepEqual(auto.estimate.seconds, (await planner.tryOn(one, [])).estimate.seconds);
    const roomier = { ...two, cards: { ...two.cards!, memoryGib: 6.5 } };
    const tried = await planner.tryOn(roomier, []);
    assert.equal(tried.estimate.fits, false);
    const advice = await advise(tried, (more) => planner.tryOn(roomier, more));
    assert.deepEqual(
      advice.map(({ items: some }) => some),
      [['trainer.device=cuda']],
    );
  });

  it('gives a processor the work and the memory of all actors that share it', async () => {
    const machine = await machineOf('roomy');
    const on = async (...more: string[]): Promise<Estimate> =>
      (await planner.tryOn(machine, more)).estimate;
    const partOf = ({ memory }: Estimate, name: string): number =>
      memory[0]!.parts.find(({ what }) => what === name)!.bytes;
    const [one, learners, rollouts] = [
      await on(),
      await on('worker.actor.num_workers=4'),
      await on('worker.rollout.num_workers=4'),
    ];
    // Four learners on one processor have one rollout beside them, and no more cores than one learner.
    assert.equal(learners.seconds.prefill, one.seconds.prefill);
    assert.equal(learners.seconds.decode, one.seconds.decode);
    assert.ok(learners.seconds.update_actor > 0.9 * one.seconds.update_actor);
    assert.ok(rollouts.seconds.decode > one.seconds.decode);
    // Every rollout has logits and draws for 32 sequences in f32. The sequences are as many as before.
    const cache = 'cache of keys and values';
    assert.equal(
      partOf(rollouts, cache) - partOf(one, cache),
      3 * 2 * 32 * wideText.vocab_size * 4,
    );
  });

  it("has a thread for each reward actor's function of a user, but for one in Python", async () => {
    const machine = await machineOf('roomy');
    const bytesWith = async (...more: string[]): Promise<number> => {
      const { memory } = (await planner.tryOn(machine, more)).estimate;
      return memory[0]!.parts.find(({ what }) => what.startsWith('process'))!.bytes;
    };
    const reward = (file: string): string => `worker.reward.reward_function=${file}:score`;
    const none = await bytesWith();
    const one = (await bytesWith(reward('./own.ts'))) - none;
    assert.ok(one > 0);
    const two = [reward('./own.ts'), 'worker.reward.num_workers=2'];
    assert.equal((await bytesWith(...two)) - none, 2 * one);
    assert.equal(await bytesWith(reward('./own.py')), none);
  });

  it('decodes in more waves where the cache is cut to its share of the card', async () => {
    const machine = { ...(await machineOf('small')), cards: roomyCard };
    const at = async (...more: string[]): Promise<Estimate> =>
      (await planner.tryOn(machine, more)).estimate;
    const whole = await at();
    // Of 16 sequences of 2 kinds x 4 layers x 2 heads x 128 numbers of 2 bytes x 128 tokens, 3 fit: there are 6 waves.
    const cut = await at('worker.rollout.gpu_memory_utilization=0.0001');
    assert.ok(whole.fits && cut.fits);
    assert.equal(cut.seconds.prefill, whole.seconds.prefill);
    assert.ok(cut.seconds.decode > 4 * whole.seconds.decode);
  });

  it('has the speed of the threads that a run may use, and the greedy responses of ReMax', async () => {
    const machine = await machineOf('roomy');
    const on = async (...more: string[]): Promise<Estimate> =>
      (await planner.tryOn(machine, more)).estimate;
    const [all, few] = [await on(), await on('trainer.threads=2')];
    // Two of eight threads; what JavaScript does alone takes as long.
    assert.ok(few.seconds.update_actor > 3.5 * all.seconds.update_actor);
    assert.deepEqual((await on('trainer.threads=99')).seconds, all.seconds);
    const remax = await on('algorithm.adv_estimator=remax');
    assert.ok(remax.seconds.decode > all.seconds.decode);
    assert.equal(remax.seconds.update_actor, all.seconds.update_actor);
  });

  it('makes prompts of any length, and refuses pictures that do not fit or that nobody sees', async () => {
    const config = decodeModelConfig(qwen3b, 'config.json');
    const lengths = { promptTokens: 131072, pictures: 1, picture: [56, 56] as const };
    const [{ tokenIds }] = madePrompts(config, lengths, 1) as [PromptInput];
    const { visionStart, imagePad, visionEnd } = config.tokens!;
    assert.deepEqual(
      [...tokenIds.data.subarray(0, 7)],
      [visionStart, imagePad, imagePad, imagePad, imagePad, visionEnd, 0],
    );
    assert.equal(tokenIds.data.length, 131072);
    // 99,999 pixels are 3571 tokens of 28 x 28: nothing as large is made before it is refused.
    const huge = { ...lengths, picture: [99999, 99999] as const };
    assert.throws(() => madePrompts(config, huge, 1), {
      message: /take 12752043 tokens of 131072/,
    });
    await assert.rejects(plansOf(items, { 'prompt-tokens': 64, pictures: 1 }), {
      message: /--pictures: .* reads text alone/,
    });
  });

  it('shows machines that lack the device as such, and throws where none has it', async () => {
    const wanted = [...items, 'trainer.device=cuda'];
    const { plans, refused } = await plansOf(wanted, {});
    assert.ok(plans.length > 1);
    assert.deepEqual(
      refused.map(({ machine, hasCard }) => [machine, hasCard]),
      ['this machine', 'cpu-16-cores', 'cpu-96-cores'].map((name) => [name, false]),
    );
    assert.match(tableOf(plans, refused), /\nthis machine +no card/);
    await assert.rejects(plansOf([...items, 'data.max_prompt_length=0'], {}), {
      code: 'CONFIG_INVALID',
    });
  });

  it('adds up to what it tells, and has hours by the steps', async () => {
    const plan = await planOn('h100-x1');
    const { memory, seconds, stepSeconds } = plan.estimate;
    for (const { parts, peakBytes } of memory) {
      assert.equal(
        peakBytes,
        parts.reduce((sum, { bytes }) => sum + bytes, 0),
      );
    }
    const sum = Object.values(seconds).reduce((all, one) => all + one, 0);
    assert.ok(Math.abs(sum - stepSeconds) < 1e-9 * sum);
    const told = factsOf(plan);
    assert.equal(told.fits, true);
    assert.equal(told.hours, (100 * told.step_seconds) / 3600);
    assert.match(tableOf([plan]), /^machine +fits .*\nh100-x1 +yes/);
  });

  it('takes a machine of no such name for a slip, and one without cards for a processor', async () => {
    await assert.rejects(planOn('h100-x9'), { message: /no machine h100-x9; did you mean h100-x/ });
    const { estimate } = await planner.tryOn(await machineOf('tiny'), []);
    assert.deepEqual(
      estimate.memory.map(({ place }) => place),
      ['host'],
    );
    await assert.rejects(planOn('tiny', ['trainer.device=cuda']), { message: /tiny has no card/ });
  });

  it('names the file and the line of a machine that is wrong', async () => {
    const wrong = file('wrong.yaml', 'a:\n  host:\n    cores: 0\n    memory: 5\n');
    await assert.rejects(readMachines(wrong), (error: Error) => {
      assert.match(error.message, /a\.host\.cores: .*wrong\.yaml:3/);
      assert.match(error.message, /a\.host\.memory.*wrong\.yaml:4/);
      return true;
    });
  });
});
