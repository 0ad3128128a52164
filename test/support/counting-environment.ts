import type { Environment } from 'cxmind';

/**
 * An environment that tells the number of each turn, and ends its episode after `end` turns.
 *
 * At the second turn of the prompt `bad` it fails in the way that `fault` names.
 */
export function counting({
  word = 'turn',
  end = 3,
  role = 'tool',
  fault = '',
}: {
  readonly word?: string;
  readonly end?: number;
  readonly role?: 'tool' | 'user';
  readonly fault?: string;
}): Environment {
  let prompt = '';
  let count = 0;
  return {
    tools: [{ type: 'function', function: { name: 'count', description: 'Counts turns.' } }],
    reset: (episode) => {
      prompt = episode.prompt;
    },
    step: (messages) => {
      count++;
      if (prompt === 'bad' && count === 2) fail(fault);
      const calls = messages.flatMap((one) => ('toolCalls' in one ? one.toolCalls : []));
      const content = `${word} ${count} of ${prompt}: ${calls.map(({ name }) => name).join()}`;
      return { messages: [{ role, content }], done: count >= end };
    },
  };
}

function fail(fault: string): void {
  if (fault === 'throw') throw new Error('a fault');
  if (fault === 'exit') process.exit(3);
  if (fault === 'hang') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

/** A counting environment with a short word and two turns. */
export function terse(): Environment {
  return counting({ word: 'x', end: 2 });
}

/** An environment that shows the prompt's picture again after every turn. One episode in four fails at its second turn. */
export function mirror(): Environment {
  let image: string | Uint8Array = '';
  let breaks = false;
  let count = 0;
  return {
    reset: ({ images, seed }) => {
      image = images[0]!;
      breaks = seed % 4 === 0;
    },
    step: () => {
      if (++count === 2 && breaks) throw new Error('the mirror broke');
      const text = { type: 'text', text: 'Look again.' } as const;
      return {
        messages: [{ role: 'user', content: [{ type: 'image', image }, text] }],
        done: false,
      };
    },
  };
}

/** An environment that answers with the roles of the messages since its last turn. */
export function listening(): Environment {
  return {
    reset: () => undefined,
    step: (messages) => ({
      messages: [{ role: 'user', content: messages.map(({ role }) => role).join(' ') }],
      done: false,
    }),
  };
}
