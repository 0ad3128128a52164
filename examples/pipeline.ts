/**
 * Best of n in a pipeline of your own: an actor of yours, in a process of its own, writes answers one by one, and two
 * of cxmind's reward actors score them as they come. Any model directory brings the tokenizer:
 * `npx node pipeline.ts demo/model`, in this repository
 * `npx node --conditions=cxmind-source examples/pipeline.ts demo/model`.
 */
import { tensorOf, Tokenizer } from 'cxmind';
import {
  actorFactory,
  ActorSystem,
  askAny,
  protocol,
  rewardSpec,
  stream,
  type Actor,
  type Context,
} from 'cxmind/actors';
import * as t from 'io-ts';

const Task = t.type({ question: t.string, letters: t.string });
const writerProtocol = protocol('writer', { write: stream(Task, t.string) });

/** Stands for whatever you have that answers: a model, a service, people. */
class Writer implements Actor<typeof writerProtocol> {
  async *write({ question, letters }: t.TypeOf<typeof Task>, { signal }: Context) {
    for (const letter of letters) {
      if (signal.aborted) return;
      yield await Promise.resolve(
        `<think>${question} It looks like ${letter}.</think><answer>${letter}</answer>`,
      );
    }
  }
}
export const createWriter = actorFactory(writerProtocol, () => new Writer());

/** The first answer of full score; the writer is not asked for more. */
export async function bestAnswer(model: string, task: t.TypeOf<typeof Task>, groundTruth: string) {
  await using system = new ActorSystem();
  await system.startProcess({ name: 'writers' });
  const module = new URL(import.meta.url);
  const own = { protocol: writerProtocol, module, create: 'createWriter', props: null };
  const writer = await system.spawn({ ...own, name: 'writer/0', place: { node: 'writers' } });
  const props = { tokenizerPath: model, rewardFunction: 'closed_plain', kwargs: {} };
  const ours = rewardSpec({ ...props, skipSpecialTokens: true });
  const rewards = await Promise.all(
    [0, 1].map((i) => system.spawn({ ...ours, name: `reward/${i}` })),
  );
  const tokenizer = Tokenizer.load(model);
  const messages = [{ role: 'user' as const, content: task.question }];
  const prompt = { text: task.question, messages, columns: {} };
  const soon = { timeoutMs: 30_000, retries: 2 };
  for await (const text of writer.stream.write(task, soon)) {
    const ids = tokenizer.encode(text);
    const tokenIds = tensorOf('i32', [ids.length], ids);
    const response = {
      name: text,
      prompt: 0,
      tokenIds,
      finishReason: 'stop' as const,
      groundTruth,
    };
    const request = { prompts: [prompt], responses: [response] };
    const { scored } = await askAny(rewards, 'score', request, soon);
    if (scored[0]!.parts?.['overall'] === 1) return scored[0]!.text;
  }
  return null;
}

if (import.meta.main) {
  const task = { question: 'Which option is it?', letters: 'ABCD' };
  console.log(await bestAnswer(process.argv[2] ?? 'demo/model', task, '<answer>C</answer>'));
}
