import assert from 'node:assert/strict';
import { CommandHelp } from '@oclif/core';
import { oclifConfig } from '../../../src/cli/main.ts';

describe('the help of a command', () => {
  it('fits a terminal of 80 columns, says each thing once, and shows no empty default', async () => {
    const config = await oclifConfig();
    for (const command of config.commands) {
      const { helpOptions } = config.pjson.oclif;
      const help = new CommandHelp(command, config, { ...helpOptions, maxWidth: 80 }).generate();
      const [said = ''] = help.split('EXAMPLES');
      const wide = said.split('\n').filter((line) => line.length > 80);
      assert.deepEqual(wide, [], command.id);
      assert.doesNotMatch(said, /\[default: \]| \]/, command.id);
      assert.ok(!said.includes(command.summary!), command.id);
    }
  });
});
