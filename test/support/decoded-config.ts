import assert from 'node:assert/strict';
import { Config } from '../../src/config/schema.ts';

/** The config that the keys of a file decode to, without derived values. */
export function decodedConfig(file: object): Config {
  const decoded = Config.decode(file);
  assert.equal(decoded._tag, 'Right');
  return decoded.right;
}
