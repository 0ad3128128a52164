/**
 * Other hosts of a run: whether ssh reaches them, which cxmind starts there, and how far their clocks are off.
 *
 * A host is asked once. It tells the time, starts cxmind, and tells the time again. Its clock is ahead by at most the
 * first time less that of the question, and by at least the last time less that of the answer (Cristian, "Probabilistic
 * clock synchronization", 1989). What lies between these bounds is not blamed on the clock.
 */
import { broken, ok, worthKnowing, type Finding } from './finding.ts';

/** Seconds between clocks from which the times of log lines of several hosts mislead. */
const SKEW_SECONDS = 1;

/** Way to a host by ssh. */
export interface HostAddress {
  readonly host: string;
  readonly user: string | undefined;
  readonly port: number | undefined;
}

/** Answer of a host to the script of `hostQuestion`. */
export interface HostAnswer {
  readonly address: HostAddress;
  /** Times of the question and of the answer on this host's clock, in seconds since 1970. */
  readonly sentSeconds: number;
  readonly receivedSeconds: number;
  readonly stdout: string;
  /** Reason why there is no whole answer; null where there is one. */
  readonly failure: string | null;
}

/** This cxmind, which the others are compared with. */
export interface OwnVersion {
  /** Line that `cxmind --version` prints here. */
  readonly line: string;
  /** Folder of the package. */
  readonly root: string;
}

/**
 * Script for a host's shell.
 *
 * @param version command that prints the version there
 */
export function hostQuestion(version: string): string {
  return `date +%s.%N; ${version}; code=$?; date +%s.%N; exit $code`;
}

/** Findings about one host. */
export function checkHost(answer: HostAnswer, own: OwnVersion): Finding[] {
  const check = targetOf(answer.address);
  const [before, ...rest] = answer.stdout.trim().split('\n');
  if (!isTime(before)) return [unreached(check, answer)];
  const [version, after] = [rest.slice(0, -1).join(' '), rest.at(-1)];
  return [
    compared(check, version, answer, own),
    ...(isTime(after) ? checkClock(check, answer, Number(before), Number(after)) : []),
  ];
}

/** True for a time with its fraction, which not every `date` prints. */
function isTime(text: string | undefined): boolean {
  return /^\d+\.\d+$/.test(text ?? '');
}

/** A host whose shell did not begin to answer. */
function unreached(check: string, { address, failure }: HostAnswer): Finding {
  const reason = failure ?? 'its answer is not that of a shell with date(1) of GNU';
  const port = address.port === undefined ? '' : `-p ${address.port} `;
  if (/host key verification failed/i.test(reason)) {
    const scan = `ssh-keyscan ${port}${address.host} >> ~/.ssh/known_hosts`;
    return broken(check, reason, scan);
  }
  if (/permission denied/i.test(reason)) {
    return broken(check, reason, `ssh-copy-id ${port}${check}`);
  }
  return broken(check, reason, `ssh -v ${port}${check} date +%s.%N`);
}

/** The version of a host beside ours. */
function compared(
  check: string,
  version: string,
  { address, failure }: HostAnswer,
  own: OwnVersion,
): Finding {
  const mend = copyingTo(address, own.root);
  if (failure !== null) return broken(check, `cxmind does not start there: ${failure}`, mend);
  if (version === own.line) return ok(check, version);
  const [program, ...platform] = version.split(' ');
  const [ownProgram, ...ownPlatform] = own.line.split(' ');
  if (program !== ownProgram) {
    return broken(check, `has ${version}, and this host has ${own.line}`, mend);
  }
  const says = `has ${platform.join(' ')}, and this host has ${ownPlatform.join(' ')}`;
  return worthKnowing(check, `${says}; numbers may differ in their last bits`);
}

/** The clock of a host, where it is certainly off. */
function checkClock(
  check: string,
  { address, sentSeconds, receivedSeconds }: HostAnswer,
  before: number,
  after: number,
): Finding[] {
  const [least, most] = [after - receivedSeconds, before - sentSeconds];
  const skew = Math.max(least, Math.min(most, 0));
  if (Math.abs(skew) < SKEW_SECONDS) return [];
  const way = skew > 0 ? 'ahead of' : 'behind';
  const says = `its clock is ${Math.abs(skew).toFixed(1)} s ${way} this one; log lines mislead`;
  const port = address.port === undefined ? '' : `-p ${address.port} `;
  return [worthKnowing(check, says, `ssh ${port}${check} sudo chronyc makestep`)];
}

/** Name of a host as ssh takes it. */
function targetOf({ host, user }: HostAddress): string {
  return user === undefined ? host : `${user}@${host}`;
}

/** Command that copies this package to the same path of a host. */
function copyingTo({ host, user, port }: HostAddress, root: string): string {
  const at = targetOf({ host: host.includes(':') ? `[${host}]` : host, user, port });
  const shell = port === undefined ? '' : `-e "ssh -p ${port}" `;
  return `rsync -a ${shell}${JSON.stringify(`${root}/`)} ${JSON.stringify(`${at}:${root}/`)}`;
}
