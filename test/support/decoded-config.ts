import assert from 'node:assert/strict';
import { Config } from '../../src/config/schema.ts';

/** The config that a file of these keys makes, without what is derived from them. */
export function decodedConfig(file: object): Config {
  const decoded = Config.decode(file);
  assert.equal(decoded._tag, 'Right');
  return decoded.right;
}
