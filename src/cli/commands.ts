import { Completion } from './completion.ts';
import { ConfigCommand } from './config.ts';
import { Convert } from './convert.ts';
import { DashboardCommand } from './dashboard.ts';
import { Doctor } from './doctor.ts';
import { Eval } from './eval.ts';
import { Generate } from './generate.ts';
import { HelpCommand } from './help.ts';
import { Init } from './init.ts';
import { Launch } from './launch.ts';
import { Logs } from './logs.ts';
import { Merge } from './merge.ts';
import { Node } from './node.ts';
import { Plan } from './plan.ts';
import { Quickstart } from './quickstart.ts';
import { Score } from './score.ts';
import { Serve } from './serve.ts';
import { Sft } from './sft.ts';
import { Status } from './status.ts';
import { Save, Stop, Validate } from './steer.ts';
import { Train } from './train.ts';

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
