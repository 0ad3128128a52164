import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { parse } from 'yaml';
import { schemaKeys } from '../../../src/check/codec.ts';
import { Config } from '../../../src/config/schema.ts';
import { isWithoutEffect } from '../../../src/config/unsupported.ts';

const tests = join(import.meta.dirname, '../..');

/**
 * Keys that a source registers: the arguments of `effectOf(…)`, and the items in the second argument of `effects(…)`.
 *
 * The statement behind an `effectOf(…)` has its test, so that the keys go with the test.
 */
function keysIn(source: string): string[] {
  const keys: string[] = [];
  const visit = (node: ts.Node): void => {
    if (isCallOf('effectOf', node)) keys.push(...node.arguments.flatMap(textsIn));
    if (isCallOf('effects', node)) keys.push(...textsIn(node.arguments[1]!).map(keyOf));
    if (ts.isSourceFile(node) || ts.isBlock(node)) {
      for (const [i, statement] of node.statements.entries()) {
        if (!ts.isExpressionStatement(statement)) continue;
        if (!isCallOf('effectOf', statement.expression)) continue;
        const [key] = statement.expression.arguments.flatMap(textsIn);
        const next = node.statements[i + 1];
        assert.ok(next !== undefined && hasTest(next), `no test behind effectOf('${key}')`);
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile('x.ts', source, ts.ScriptTarget.Latest));
  return keys;
}

function isCallOf(name: string, node: ts.Node): node is ts.CallExpression {
  return (
    ts.isCallExpression(node) && ts.isIdentifier(node.expression) && node.expression.text === name
  );
}

/** True for a test, and for a loop over tests. */
function hasTest(node: ts.Node): boolean {
  return isCallOf('it', node) || ts.forEachChild(node, hasTest) === true;
}

const keyOf = (item: string): string => item.split('=')[0]!;

/** Texts of a literal, or of a list of them, with `${role}` written out. */
function textsIn(node: ts.Node): string[] {
  if (ts.isArrayLiteralExpression(node)) return node.elements.flatMap(textsIn);
  if (ts.isStringLiteralLike(node)) return [node.text];
  assert.ok(ts.isTemplateExpression(node), `no literal: ${ts.SyntaxKind[node.kind]}`);
  return ['actor', 'critic'].map((role) =>
    node.templateSpans.reduce((text, { literal }) => text + role + literal.text, node.head.text),
  );
}

describe('every key of the config', () => {
  const keys = schemaKeys(Config).flatMap(({ path, isSection }) => (isSection ? [] : [path]));

  it('has a test of its effect, or none and is known for it', () => {
    const registered = readdirSync(tests, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.test.ts'))
      .map((file) => readFileSync(join(tests, file), 'utf8'))
      .filter((source) => source.includes('support/effect.ts'))
      .flatMap(keysIn);
    assert.deepEqual(
      keys.filter((key) => !isWithoutEffect(key) && !registered.includes(key)),
      [],
    );
    assert.deepEqual(
      registered.filter((key) => !keys.includes(key)),
      [],
    );
  });

  it('is there for every key of the reference', () => {
    const defaults = readFileSync(join(tests, 'unit/config/reference-defaults.yaml'), 'utf8');
    const reference = Object.keys(parse(defaults) as object);
    assert.ok(reference.length > 130);
    assert.deepEqual(
      reference.filter((key) => !keys.includes(key)),
      [],
    );
  });

  it('is found in both forms', () => {
    const source = "effectOf('a.b', `c.${role}.d`); it('t', f); effects('t', ['e.f=[1, 2]'], f);";
    assert.deepEqual(keysIn(source), ['a.b', 'c.actor.d', 'c.critic.d', 'e.f']);
  });

  it('is not found without a test behind it', () => {
    assert.deepEqual(keysIn("effectOf('a.b'); for (const x of y) it(x, f);"), ['a.b']);
    for (const source of ["effectOf('a.b');", "effectOf('a.b'); const c = 1; it('t', f);"]) {
      assert.throws(() => keysIn(source), /no test behind/);
    }
  });
});
