/**
 * An actor of your own in a pipeline of your own: a slot machine with four arms, on two threads, and a policy that
 * learns which arm pays by group-relative advantages. Run it: `npx node bandit.ts`, in this repository
 * `npx node --conditions=cxmind-source examples/bandit.ts`.
 */
import { groupRelativeAdvantage, keyOf, Rng, tensorOf, type Tensor } from 'cxmind';
import {
  actorFactory,
  ActorSystem,
  askAny,
  call,
  protocol,
  tensor,
  type Actor,
  type PropsOf,
} from 'cxmind/actors';

export const machine = protocol('bandit', {
  pull: call(tensor('i32', ['n']), tensor('f32', ['n'])),
});

class Bandit implements Actor<typeof machine> {
  readonly #rng = new Rng(keyOf('bandit'));
  readonly #pays: readonly number[];
  constructor(pays: readonly number[]) {
    this.#pays = pays;
  }
  pull({ data, shape }: Tensor<'i32'>): Tensor<'f32'> {
    const rewards = Array.from(data, (arm) => this.#pays[arm]! + this.#rng.nextNormal());
    return tensorOf('f32', shape, rewards);
  }
}
export const createBandit = actorFactory(machine, (pays: number[]) => new Bandit(pays));

/** The policy's probability of each arm after `steps` groups of 16 pulls. */
export async function learn(steps: number): Promise<number[]> {
  await using system = new ActorSystem();
  const props = [0.1, 0.9, 0.4, 0.2] satisfies PropsOf<typeof createBandit>;
  const kind = { protocol: machine, module: new URL(import.meta.url), props };
  const bandits = await Promise.all(
    [0, 1].map((i) => system.spawn({ ...kind, name: `bandit/${i}`, create: 'createBandit' })),
  );
  const [logits, rng] = [props.map(() => 0), new Rng(keyOf('policy'))];
  for (let step = 0; step < steps; step++) {
    const policy = softmax(logits);
    const picks = Array.from({ length: 16 }, () => sample(policy, rng.nextUniform()));
    const pulls = tensorOf('i32', [16], picks);
    const { data } = await askAny(bandits, 'pull', pulls, { timeoutMs: 5_000, retries: 2 });
    const promptIds = picks.map(() => 'the only prompt');
    const advantages = groupRelativeAdvantage(data, promptIds);
    for (const [i, pick] of picks.entries())
      policy.forEach((p, arm) => (logits[arm]! += 0.01 * advantages[i]! * (+(arm === pick) - p)));
  }
  return softmax(logits);
}

const softmax = (logits: number[]): number[] => {
  const exps = logits.map(Math.exp);
  return exps.map((exp) => exp / exps.reduce((sum, each) => sum + each));
};
const sample = (policy: number[], rest: number): number =>
  policy.findIndex((chance, arm) => (rest -= chance) < 0 || arm === policy.length - 1);

if (import.meta.main) console.log(await learn(300));
