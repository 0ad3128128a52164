import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { runHere, type Told } from '../support/cxmind-process.ts';
import { goldenCases, goldenPath } from '../support/golden.ts';
import { directoryForEach } from '../support/temporary-directory.ts';

describe('cxmind generate', () => {
  const folder = directoryForEach();
  const generate = (...args: readonly string[]): Promise<Told> =>
    runHere(['generate', '--model', goldenPath('micro-vl'), ...args]);
  const plain = goldenCases().find(
    ({ images, messages }) => images.length + messages.length === 1,
  )!;
  const plainText = plain.messages[0]!.content.map((part) => part.text).join('');

  it('continues the rows of a file greedily with the reference’s tokens', async () => {
    const data = join(folder.path, 'rows.jsonl');
    const out = join(folder.path, 'out.jsonl');
    writeFileSync(data, `${JSON.stringify({ prompt: plainText })}\n`);
    const flags = ['--temperature', '0', '--max-tokens', '24', '--n', '2'];
    const { exitCode, stderr } = await generate('--data', data, '--out', out, ...flags);
    assert.equal(exitCode, 0, stderr);
    const lines = readFileSync(out, 'utf8').trimEnd().split('\n');
    const responses = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.deepEqual(
      responses.map(({ index, sample, token_ids }) => ({ index, sample, token_ids })),
      [0, 1].map((sample) => ({ index: 0, sample, token_ids: plain.greedy.ids })),
    );
  });

  it('prints the responses to a prompt with a picture, the same for the same seed', async () => {
    const image = goldenPath('micro-vl-reference/images/case_001_0.png');
    const shown = (picture: string): Promise<Told> =>
      generate('--max-tokens', '8', '--seed', '5', '--image', picture, 'What is it?');
    const first = await shown(image);
    assert.equal(first.exitCode, 0, first.stderr);
    assert.ok(first.stdout.trim().length > 0);
    assert.equal((await shown(pathToFileURL(image).href)).stdout, first.stdout);
  });

  it('gives the chat template further variables', async () => {
    const image = goldenPath('micro-vl-reference/images/case_001_0.png');
    const kwargs = ['--chat-template-kwargs', '{"add_vision_id": true}'];
    const said = async (...args: readonly string[]): Promise<string> =>
      (await generate('--max-tokens', '8', '--image', image, ...args)).stdout;
    const written = await said('Picture 1: <image>What is it?');
    assert.equal(await said(...kwargs, '<image>What is it?'), written);
    assert.notEqual(await said('<image>What is it?'), written);
  });

  it('gives answers the form of a regular expression, the best of several', async () => {
    const regex = '[A-D]: (yes|no)';
    const given = ['--regex', regex, '--bad-words', 'A', '--n', '2', '--best-of', '5', 'Which?'];
    const { exitCode, stdout, stderr } = await generate(...given);
    assert.equal(exitCode, 0, stderr);
    const answers = stdout.trimEnd().split('\n');
    assert.equal(answers.length, 2);
    for (const answer of answers) assert.match(answer, /^[B-D]: (yes|no)$/);
  });

  it('names every flag with a wrong value, with exit code 2', async () => {
    const { exitCode, stderr } = await generate(
      'x',
      '--temperature',
      'hot',
      '--top-p',
      '2',
      '--min-p',
      '2',
    );
    assert.equal(exitCode, 2);
    assert.equal(
      stderr,
      '--temperature: expected number >= 0, got "hot"\n--top-p: expected number in (0, 1], got "2"\n--min-p: expected number in [0, 1], got "2"\n',
    );
  });

  it('names the variables that a chat template does not take, with exit code 2', async () => {
    const wrong = async (kwargs: string): Promise<string> => {
      const { exitCode, stderr } = await generate('x', '--chat-template-kwargs', kwargs);
      assert.equal(exitCode, 2);
      return stderr;
    };
    assert.match(
      await wrong('{"tools": 1}'),
      /^\t--chat-template-kwargs\.tools: expected another/m,
    );
    assert.match(await wrong('{thinking'), /^\t--chat-template-kwargs: .* got "\{thinking"$/m);
  });

  it('asks for a prompt or a file', async () => {
    const { exitCode, stderr } = await generate();
    assert.equal(exitCode, 2);
    assert.match(stderr, /give either a prompt or --data FILE/);
  });
});
