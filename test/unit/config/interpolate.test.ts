import assert from 'node:assert/strict';
import { interpolate } from '../../../src/config/interpolate.ts';

const environment = { DATA: '/data/cxr', STEPS: '12', TEXT: '007', data: 'shadowed', EMPTY: '' };

function read(tree: Record<string, unknown>): unknown {
  const { value, issues } = interpolate(tree, () => undefined, environment);
  assert.deepEqual(issues, []);
  return value;
}

describe('references to the environment', () => {
  it('take a variable as the reference loader spells it, and shorter', () => {
    assert.deepEqual(read({ a: '${oc.env:DATA}', b: '${env:DATA}', c: '${DATA}' }), {
      a: '/data/cxr',
      b: '/data/cxr',
      c: '/data/cxr',
    });
  });

  it('read a variable that stands alone as YAML, and one inside a text as text', () => {
    assert.deepEqual(read({ steps: '${STEPS}', file: '${DATA}/closed-${TEXT}.jsonl' }), {
      steps: 12,
      file: '/data/cxr/closed-007.jsonl',
    });
  });

  it('take the default after a comma only when the variable is not set', () => {
    assert.deepEqual(read({ a: '${oc.env:NONE,5}', b: '${env:STEPS,5}', c: 'x${env:EMPTY,5}' }), {
      a: 5,
      b: 12,
      c: 'x',
    });
  });

  it('prefer a key of the config to a variable of the same name', () => {
    assert.deepEqual(read({ data: 'given', copy: '${data}' }), { data: 'given', copy: 'given' });
  });

  it('take a text that is no YAML as it is, and no value that nobody set', () => {
    const odd = { A: '@b', B: '*c', C: '{d', D: '"', E: 'a: b: c' };
    const { value } = interpolate(
      Object.fromEntries(Object.keys(odd).map((name) => [name.toLowerCase(), `\${${name}}`])),
      () => undefined,
      odd,
    );
    assert.deepEqual(Object.values(value), Object.values(odd));
    for (const name of ['constructor', 'toString', '__proto__', 'a.constructor']) {
      const { issues } = interpolate({ a: {}, b: `\${${name}}` }, () => undefined, odd);
      assert.deepEqual(issues, [{ path: 'b', expected: `\${${name}} is not given` }]);
    }
  });

  it('are told of where they stand, by the text that was written there', () => {
    const tree = {
      key: '${TEXT}',
      url: 'http://${data.user}@host',
      data: { user: '${DATA}', list: ['x', '${STEPS}'] },
      copy: '${data.list}',
      plain: '${given}',
      given: 1,
    };
    const { fromEnvironment } = interpolate(tree, () => undefined, environment);
    assert.deepEqual(Object.fromEntries(fromEnvironment), {
      key: '${TEXT}',
      url: 'http://${data.user}@host',
      'data.user': '${DATA}',
      'data.list[1]': '${STEPS}',
      copy: '${data.list}',
      'copy[1]': '${STEPS}',
    });
  });

  it('have an end where they double at every key, or make a text without one', () => {
    const bomb: Record<string, unknown> = { a0: 'x'.repeat(100) };
    for (let i = 1; i < 60; i++) bomb[`a${i}`] = `\${a${i - 1}}\${a${i - 1}}`;
    const lists: Record<string, unknown> = { a0: ['x'] };
    for (let i = 1; i < 60; i++) lists[`a${i}`] = [`\${a${i - 1}}`, `\${a${i - 1}}`];
    for (const tree of [bomb, lists]) {
      const { issues } = interpolate(tree, () => undefined, {});
      assert.ok(issues.some(({ expected }) => /without end|more than 1000000/.test(expected)));
    }
    const long = interpolate({ a: 'y'.repeat(2000), b: '${a}'.repeat(2000) }, () => undefined, {});
    assert.equal(long.issues[0]!.expected, 'references make more than 1000000 characters');
  });

  it('are an issue when nothing of that name is set', () => {
    const { issues } = interpolate({ a: { b: '${oc.env:NONE}' } }, () => 'x.yaml:2', environment);
    assert.deepEqual(issues, [
      { path: 'a.b', expected: '${oc.env:NONE} is not given', source: 'x.yaml:2' },
    ]);
  });
});
