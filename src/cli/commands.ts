import { Completion } from './commands/completion.ts';
import { ConfigCommand } from './commands/config.ts';
import { Convert } from './commands/convert.ts';
import { DashboardCommand } from './commands/dashboard.ts';
import { Doctor } from './commands/doctor.ts';
import { Eval } from './commands/eval.ts';
import { Generate } from './commands/generate.ts';
import { HelpCommand } from './commands/help.ts';
import { Init } from './commands/init.ts';
import { Launch } from './commands/launch.ts';
import { Logs } from './commands/logs.ts';
import { Merge } from './commands/merge.ts';
import { Node } from './commands/node.ts';
import { Plan } from './commands/plan.ts';
import { Quickstart } from './commands/quickstart.ts';
import { Score } from './commands/score.ts';
import { Serve } from './commands/serve.ts';
import { Sft } from './commands/sft.ts';
import { Status } from './commands/status.ts';
import { Save, Stop, Validate } from './commands/steer.ts';
import { Train } from './commands/train.ts';

/** Every command, by the name it is called with. */
export const commands = {
  completion: Completion,
  config: ConfigCommand,
  convert: Convert,
  dashboard: DashboardCommand,
  doctor: Doctor,
  eval: Eval,
  generate: Generate,
  help: HelpCommand,
  init: Init,
  launch: Launch,
  logs: Logs,
  merge: Merge,
  node: Node,
  plan: Plan,
  quickstart: Quickstart,
  save: Save,
  score: Score,
  serve: Serve,
  sft: Sft,
  status: Status,
  stop: Stop,
  train: Train,
  validate: Validate,
};
