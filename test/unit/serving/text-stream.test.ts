import assert from 'node:assert/strict';
import { TextStream } from '../../../src/serving/text-stream.ts';

describe('the text of a response', () => {
  const bytes = ['an', ' end', [0xe2, 0x82]].map((part) =>
    typeof part === 'string' ? new TextEncoder().encode(part) : Uint8Array.from(part),
  );
  const joined = Uint8Array.of(...bytes[1]!, ...bytes[2]!);
  const tokens = {
    bytes: [...bytes, joined],
    text: () => null,
    shown: (token: number) => bytes[token]!,
  };

  it('has nothing behind a stop string, not even a character that had begun', () => {
    const stream = new TextStream(tokens, ['end']);
    assert.deepEqual(stream.add(0), { text: 'an', isStopped: false });
    assert.deepEqual(stream.add(3), { text: ' ', isStopped: true });
    assert.equal(stream.end(), '');
  });

  it('shows a character that never became whole where nothing stopped it', () => {
    const stream = new TextStream(tokens, ['stop']);
    assert.equal(stream.add(2).text, '');
    assert.equal(stream.end(), '\uFFFD');
  });
});
