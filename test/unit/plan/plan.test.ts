import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { plansOf } from '../../../src/cli/plan-machines.ts';
import { readMachines } from '../../../src/plan/machines.ts';
import { detailsOf, factsOf, tableOf, type MachinePlan } from '../../../src/plan/report.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';
import { wideText } from './configs.ts';

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

  it('says what to change where a card is too small, and that fits when it is applied', async () => {
    const plan = await planOn('small');
    assert.equal(plan.estimate.fits, false);
    const { advice } = plan;
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
      assert.equal((await planOn('small', others)).estimate.fits, false);
    }
    const text = detailsOf(plan);
    assert.match(text, /to make it fit/);
    for (const { items: some } of advice) assert.ok(text.includes(some.join(' ')));
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
    const plan = await planOn('tiny');
    assert.deepEqual(
      plan.estimate.memory.map(({ place }) => place),
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
