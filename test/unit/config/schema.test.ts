import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isRight } from 'fp-ts/lib/Either.js';
import fc from 'fast-check';
import { distance } from 'fastest-levenshtein';
import { parse } from 'yaml';
import { asMapping, keyPaths, snakeCase } from '../../../src/check/codec.ts';
import { issuesOf } from '../../../src/check/issues.ts';
import { nearestKey } from '../../../src/check/nearest.ts';
import { bool, int, text, YamlFloat } from '../../../src/check/scalars.ts';
import { Config, defaults } from '../../../src/config/schema.ts';

const reference = parse(
  readFileSync(join(import.meta.dirname, 'reference-defaults.yaml'), 'utf8'),
) as Record<string, unknown>;

function at(tree: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((value, key) => asMapping(value)?.[key], tree);
}

function nested(path: string, value: unknown): unknown {
  return path.split('.').reduceRight((inner, key) => ({ [key]: inner }), value);
}

const paths = keyPaths(Config);
const leaves = paths.filter(
  (path) => !path.includes('[]') && !paths.some((other) => other.startsWith(`${path}.`)),
);

describe('Config', () => {
  it('has every key of the reference with its default', () => {
    const encoded = Config.encode(defaults());
    // The processor computes in f32 unless it is asked for bf16, which it widens and rounds.
    const own: Readonly<Record<string, unknown>> = { 'worker.actor.fsdp.mp_param_dtype': null };
    for (const [path, value] of Object.entries(reference)) {
      assert.ok(paths.includes(path), path);
      assert.deepEqual(at(encoded, path), path in own ? own[path] : value, path);
    }
  });

  it('adds to the reference only its derived keys and cxmind’s own', () => {
    const derived =
      /^worker\.(critic|ref)\.|per_device$|_length$|training_steps$|trust_remote_code$|function_name$|^worker\.actor\.(disable_kl|use_kl_loss|kl_penalty|kl_coef)$/;
    const added = leaves.filter((path) => !(path in reference) && !derived.test(path));
    assert.deepEqual(
      added.filter(
        (path) =>
          !/^(sft\.|curriculum|(algorithm\.rollout_correction|worker\.rollout\.(multi_turn|structured_outputs))\.|worker\.rollout\.mcp_servers)/.test(
            path,
          ),
      ),
      [
        'data.apply_chat_template_kwargs',
        'data.bit_depth',
        'data.window',
        'data.num_workers',
        'data.invalid_rows',
        'data.max_invalid_fraction',
        'data.check',
        'algorithm.scale_rewards',
        'algorithm.mask_truncated_completions',
        'algorithm.top_entropy_quantile',
        'worker.actor.loss_scale_factor',
        'worker.actor.clip_cov_ratio',
        'worker.actor.clip_cov_lb',
        'worker.actor.clip_cov_ub',
        'worker.actor.kl_cov_ratio',
        'worker.actor.ppo_kl_coef',
        'worker.actor.calculate_entropy',
        'worker.actor.entropy_coeff',
        'worker.actor.use_adaptive_entropy',
        'worker.actor.entropy_target',
        'worker.actor.entropy_coeff_delta',
        'worker.actor.entropy_coeff_min',
        'worker.actor.entropy_coeff_max',
        'worker.actor.vespo_k_pos',
        'worker.actor.vespo_lambda_pos',
        'worker.actor.vespo_k_neg',
        'worker.actor.vespo_lambda_neg',
        'worker.actor.num_workers',
        'worker.rollout.min_p',
        'worker.rollout.repetition_penalty',
        'worker.rollout.presence_penalty',
        'worker.rollout.frequency_penalty',
        'worker.rollout.bad_words',
        'worker.rollout.num_workers',
        'worker.reward.reward_functions',
        'worker.reward.num_workers',
        'worker.reward.form',
        'worker.reward.gate.rule',
        'worker.reward.gate.key',
        'worker.reward.gate.bonus',
        'worker.reward.timeout_seconds',
        'worker.reward.invalid_responses',
        'worker.reward.python',
        'trainer.max_staleness',
        'trainer.partial_rollout',
        'trainer.best_metric',
        'trainer.console_form',
        'trainer.rollout_data_dir',
        'trainer.validation_data_dir',
        'trainer.dashboard',
        'trainer.dashboard_port',
        'trainer.profile',
        'trainer.device',
        'trainer.threads',
        'trainer.local_mode',
        'trainer.seed',
        'transport.collectives',
      ],
    );
  });

  it('decodes what it encodes', () => {
    const config = defaults();
    assert.deepEqual(Config.decode(Config.encode(config)), { _tag: 'Right', right: config });
  });

  it('names the path of any one field that is broken', () => {
    fc.assert(
      fc.property(fc.constantFrom(...leaves), (path) => {
        const decoded = Config.decode(nested(path, [['broken']]));
        assert.ok(!isRight(decoded), path);
        const issues = issuesOf(Config, decoded.left, () => undefined);
        assert.equal(issues.length, 1);
        assert.equal(issues[0]!.path.replace('[0]', ''), path);
      }),
      { numRuns: 300 },
    );
  });

  it('names the right key for any key with one letter missing', () => {
    fc.assert(
      fc.property(fc.constantFrom(...leaves), fc.nat(), (path, seed) => {
        const start = path.lastIndexOf('.') + 1;
        const cut = start + (seed % (path.length - start));
        const misspelt = path.slice(0, cut) + path.slice(cut + 1);
        if (paths.includes(misspelt) || path.length - start < 4) return;
        const nearest = nearestKey(misspelt, paths)!;
        assert.ok(
          distance(misspelt, nearest) <= distance(misspelt, path),
          `${misspelt}: ${nearest}`,
        );
      }),
      { numRuns: 300 },
    );
  });
});

describe('snakeCase', () => {
  it('splits only where a capital stands', () => {
    assert.equal(snakeCase('nGpusPerNode'), 'n_gpus_per_node');
    assert.equal(snakeCase('enableRank0Init'), 'enable_rank0_init');
    assert.equal(snakeCase('topP'), 'top_p');
  });
});

describe('coerced scalars', () => {
  const decodes = (codec: { decode: (value: unknown) => unknown }, value: unknown): unknown => {
    const decoded = codec.decode(value) as { _tag: string; right?: unknown };
    return decoded._tag === 'Right' ? decoded.right : 'refused';
  };

  it('take integers and integer-looking text for an integer, and no floats', () => {
    for (const [value, expected] of [
      [4, 4],
      ['4', 4],
      ['-1_000', -1000],
      [4.5, 'refused'],
      ['4.0', 'refused'],
      [new YamlFloat('4.0'), 'refused'],
      [true, 'refused'],
      [null, 'refused'],
      [NaN, 'refused'],
      [2 ** 60, 'refused'],
    ] as const) {
      assert.equal(decodes(int, value), expected, String(value));
    }
  });

  it('take yes, no, on, off, 1 and 0 for a boolean, in any case', () => {
    for (const word of [true, 'true', 'Yes', 'ON', '1', 1]) assert.equal(decodes(bool, word), true);
    for (const word of [false, 'False', 'no', 'off', 0]) assert.equal(decodes(bool, word), false);
    for (const word of ['maybe', 2, null, [], 'constructor']) {
      assert.equal(decodes(bool, word), 'refused');
    }
  });

  it('take scalars for a string by their text', () => {
    assert.equal(decodes(text, 4), '4');
    assert.equal(decodes(text, new YamlFloat('1.0')), '1.0');
    assert.equal(decodes(text, false), 'false');
    assert.equal(decodes(text, null), 'refused');
    assert.equal(decodes(text, {}), 'refused');
  });
});
